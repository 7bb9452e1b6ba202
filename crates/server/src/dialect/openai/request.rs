//! A chat request, as far as it concerns us; an upstream gets all of it, byte for byte.

use serde::Deserialize;
use serde_json::Value;

use crate::demo;
use crate::dialect;

/// The parts of a chat request that concern us.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatRequest {
    #[serde(default)]
    pub(crate) model: Option<String>,
    pub(crate) messages: Vec<Message>,
    #[serde(default)]
    pub(crate) stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<u32>,
    #[serde(default)]
    max_completion_tokens: Option<u32>,
}

/// One message of a chat.
#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    #[serde(default)]
    role: String,
    #[serde(default)]
    content: Value,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

impl ChatRequest {
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let request: Self =
            serde_json::from_slice(body).map_err(|why| dialect::misread("chat request", &why))?;
        if request.messages.is_empty() {
            return Err("`messages` is empty".to_owned());
        }
        Ok(request)
    }

    pub(crate) fn includes_usage(&self) -> bool {
        self.stream_options
            .as_ref()
            .is_some_and(|options| options.include_usage)
    }

    /// What the demo is asked.
    pub(crate) fn prompt(&self) -> demo::Prompt {
        prompt(
            &self.messages,
            self.max_completion_tokens.or(self.max_tokens),
        )
    }
}

/// What the demo is asked by these messages, for an answer of at most so many tokens.
pub(crate) fn prompt(messages: &[Message], most: Option<u32>) -> demo::Prompt {
    let last = messages.iter().rev().find(|last| last.role == "user");
    demo::Prompt {
        text: last.map(Message::text).unwrap_or_default(),
        words: messages
            .iter()
            .map(|message| message.text().split_whitespace().count())
            .sum(),
        most,
    }
}

impl Message {
    pub(crate) fn of_user(text: &str) -> Self {
        Self {
            role: "user".to_owned(),
            content: Value::from(text),
        }
    }

    /// A message's text: a string, or the text parts of a list.
    fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => {
                let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
                texts.collect::<Vec<_>>().join(" ")
            }
            _ => String::new(),
        }
    }
}
