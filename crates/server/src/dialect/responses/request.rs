//! A request for a response, as far as it concerns us; an upstream gets all of it, byte for byte.

use serde::Deserialize;

use crate::demo;
use crate::dialect::misread;
use crate::dialect::openai::{Message, prompt};

/// The parts of a request that concern us.
#[derive(Debug, Deserialize)]
pub(super) struct ResponseRequest {
    #[serde(default)]
    pub(super) model: Option<String>,
    /// None where the upstream has it: in a prompt that is kept there.
    #[serde(default)]
    input: Option<Input>,
    #[serde(default)]
    pub(super) stream: Option<bool>,
    /// Whether the client wants no stream, but will come back for the response.
    #[serde(default)]
    pub(super) background: Option<bool>,
    #[serde(default)]
    max_output_tokens: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`input` is neither a text nor a list of items")]
enum Input {
    Text(String),
    Items(Vec<Message>),
}

impl ResponseRequest {
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|why| misread("request for a response", &why))
    }

    /// What the demo is asked.
    pub(super) fn prompt(&self) -> demo::Prompt {
        match &self.input {
            None => prompt(&[], self.max_output_tokens),
            Some(Input::Text(text)) => prompt(&[Message::of_user(text)], self.max_output_tokens),
            Some(Input::Items(items)) => prompt(items, self.max_output_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn prompt_of(request: &Value) -> demo::Prompt {
        let request = ResponseRequest::read(request.to_string().as_bytes());
        request.unwrap().prompt()
    }

    #[test]
    fn the_input_is_a_text_or_items_or_kept_elsewhere() {
        let hello = demo::Prompt {
            text: "Hello there".to_owned(),
            words: 2,
            most: Some(7),
        };
        let content = json!([{ "type": "input_text", "text": "Hello there" }]);
        for input in [
            json!("Hello there"),
            json!([{ "role": "user", "content": "Hello there" }]),
            json!([
                { "type": "message", "role": "user", "content": content },
                { "type": "function_call_output", "call_id": "c", "output": "{}" },
            ]),
        ] {
            let asked = json!({ "input": input, "max_output_tokens": 7 });
            assert_eq!(prompt_of(&asked), hello, "{asked}");
        }
        assert_eq!(
            prompt_of(&json!({ "prompt": { "id": "pmpt_1" } })),
            demo::Prompt::default()
        );
        let why = ResponseRequest::read(br#"{"input":7}"#).unwrap_err();
        assert!(why.contains("neither a text nor a list"), "{why}");
    }
}
