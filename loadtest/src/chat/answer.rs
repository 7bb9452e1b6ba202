//! The stream of one completion, in OpenAI's spelling.

use std::borrow::Cow;

use serde::Deserialize;
use wellspring_event::Decoder;

/// What ends a whole answer.
const DONE: &str = "[DONE]";

/// An answer while it is read.
pub(super) struct Answer {
    decoder: Decoder,
    over: bool,
}

/// A part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Text, of whatever length: servers send one token at a time, or several together.
    Token(&'a str),
    /// The server says that it failed.
    Error,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Delta<'a>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
}

impl Answer {
    pub(super) fn new() -> Self {
        Self {
            decoder: Decoder::new(),
            over: false,
        }
    }

    /// Whether the terminator has come.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes the next bytes and hands on what they complete.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut each: impl FnMut(Part<'_>)) {
        loop {
            match self.decoder.decode(&mut bytes) {
                Ok(Some(message)) if message.data() == DONE => self.over = true,
                Ok(Some(message)) => match serde_json::from_str::<Chunk<'_>>(message.data()) {
                    Ok(chunk) if chunk.error.is_some() => each(Part::Error),
                    Ok(chunk) => {
                        let mut contents = chunk
                            .choices
                            .iter()
                            .filter_map(|choice| choice.delta.content.as_deref());
                        if let Some(text) = contents.find(|text| !text.is_empty()) {
                            each(Part::Token(text));
                        }
                    }
                    Err(_) => each(Part::Error),
                },
                Ok(None) => return,
                Err(_) => each(Part::Error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts, an empty one for an error, and whether the answer is over.
    fn parts(stream: &str, size: usize) -> (Vec<String>, bool) {
        let (mut answer, mut parts) = (Answer::new(), Vec::new());
        for piece in stream.as_bytes().chunks(size) {
            answer.read(piece, |part| {
                parts.push(match part {
                    Part::Token(text) => text.to_owned(),
                    Part::Error => String::new(),
                });
            });
        }
        (parts, answer.is_over())
    }

    #[test]
    fn text_is_a_token_and_the_terminator_ends_the_answer() {
        let stream = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
                      data: {\"choices\":[{\"delta\":{\"content\":\"a \\\"b\\\"\"}}]}\n\n:\n\
                      data: {\"choices\":[{\"delta\":{\"content\":\"c\"}}]}\n\n\
                      data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                      data: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n";
        for size in [1, 7, 1_000] {
            assert_eq!(
                parts(stream, size),
                (vec!["a \"b\"".to_owned(), "c".to_owned()], true),
                "{size}"
            );
        }
    }

    #[test]
    fn an_error_and_what_is_no_json_are_errors() {
        let stream = "data: {\"error\":{\"message\":\"no\"}}\n\ndata: nonsense\n\n";
        assert_eq!(parts(stream, 64), (vec![String::new(); 2], false));
    }
}
