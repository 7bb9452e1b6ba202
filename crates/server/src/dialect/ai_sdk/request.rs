//! What a page of the AI SDK sends, and the chat completion request that is made of it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::dialect::misread;

/// `POST /api/chat`. The clients call a chat by its `id`, `WorkflowChatTransport` by none.
#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest {
    #[serde(default)]
    pub(super) id: Option<String>,
    messages: Vec<Message>,
    /// Why it is sent, which makes no difference: what is to be answered are the messages.
    #[serde(default, rename = "trigger")]
    _trigger: Option<String>,
    #[serde(default, rename = "messageId")]
    _message_id: Option<String>,
    /// Whatever else the page wants to say: `model`, `temperature`, `tools`.
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// A message as pages keep it.
#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    id: Option<String>,
    role: Role,
    #[serde(default)]
    parts: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    System,
    User,
    Assistant,
}

/// A part of a message, with the members that any kind of part may have.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Piece {
    #[serde(rename = "type")]
    kind: String,
    text: String,
    media_type: String,
    url: String,
    filename: Option<String>,
    tool_call_id: String,
    tool_name: Option<String>,
    state: String,
    input: Value,
    output: Value,
    error_text: String,
}

impl ChatRequest {
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let request: Self =
            serde_json::from_slice(body).map_err(|why| misread("chat of the AI SDK", &why))?;
        if request.messages.is_empty() {
            return Err("`messages` is empty".to_owned());
        }
        Ok(request)
    }

    /// The message that the answer is more of: with the results of its calls the client sends it last.
    pub(super) fn continued(&self) -> Option<&str> {
        let last = self.messages.last()?;
        last.id.as_deref().filter(|_| last.role == Role::Assistant)
    }

    /// The same, as a chat completion request: its messages, whatever else the page said, and that the
    /// answer is to be streamed. The model is the page's choice, or else the upstream's.
    pub(super) fn to_completion(&self) -> Value {
        let mut messages = Vec::new();
        for message in &self.messages {
            message.put_into(&mut messages);
        }
        let mut completion = self.more.clone();
        completion.insert("messages".to_owned(), Value::Array(messages));
        completion.insert("stream".to_owned(), json!(true));
        Value::Object(completion)
    }
}

impl Message {
    fn put_into(&self, messages: &mut Vec<Value>) {
        match self.role {
            Role::System => {
                messages.push(json!({ "role": "system", "content": text_of(&self.parts) }));
            }
            Role::User => messages.push(json!({ "role": "user", "content": self.content() })),
            // Of each step what was said, what was called, and what came of it.
            Role::Assistant => {
                for step in self.parts.split(|piece| piece.kind == "step-start") {
                    put_step_into(step, messages);
                }
            }
        }
    }

    /// Text, or a list where there is more than text.
    fn content(&self) -> Value {
        if self.parts.iter().all(|piece| piece.kind != "file") {
            return json!(text_of(&self.parts));
        }
        self.parts.iter().filter_map(Piece::content).collect()
    }
}

impl Piece {
    fn content(&self) -> Option<Value> {
        match self.kind.as_str() {
            "text" => Some(json!({ "type": "text", "text": self.text })),
            "file" if self.media_type.starts_with("image/") => {
                Some(json!({ "type": "image_url", "image_url": { "url": self.url } }))
            }
            "file" => Some(json!({
                "type": "file",
                "file": { "filename": self.filename, "file_data": self.url },
            })),
            _ => None,
        }
    }

    /// The name of the tool that this part is a call of.
    fn tool(&self) -> Option<&str> {
        match self.kind.strip_prefix("tool-") {
            Some(name) => Some(name),
            None => self
                .tool_name
                .as_deref()
                .filter(|_| self.kind == "dynamic-tool"),
        }
    }

    /// What came of the call. Without that a call is not told: upstreams refuse calls that nobody answered.
    fn result(&self) -> Option<String> {
        match self.state.as_str() {
            "output-available" => Some(match &self.output {
                Value::String(text) => text.clone(),
                output => output.to_string(),
            }),
            "output-error" => Some(self.error_text.clone()),
            "output-denied" => Some("the user denied this call".to_owned()),
            _ => None,
        }
    }
}

fn put_step_into(step: &[Piece], messages: &mut Vec<Value>) {
    let text = text_of(step);
    let calls: Vec<_> = step
        .iter()
        .filter_map(|piece| Some((piece, piece.tool()?, piece.result()?)))
        .collect();
    let mut said = json!({ "role": "assistant", "content": text });
    if !calls.is_empty() {
        said["tool_calls"] = calls
            .iter()
            .map(|(piece, name, _)| {
                json!({
                    "id": piece.tool_call_id,
                    "type": "function",
                    "function": { "name": name, "arguments": piece.input.to_string() },
                })
            })
            .collect();
    } else if text.is_empty() {
        return;
    }
    messages.push(said);
    messages.extend(calls.into_iter().map(|(piece, _, result)| {
        json!({ "role": "tool", "tool_call_id": piece.tool_call_id, "content": result })
    }));
}

fn text_of(pieces: &[Piece]) -> String {
    let texts = pieces.iter().filter(|piece| piece.kind == "text");
    texts.map(|piece| piece.text.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(request: &Value) -> Value {
        let request = ChatRequest::read(request.to_string().as_bytes()).unwrap();
        request.to_completion()
    }

    #[test]
    fn a_chat_becomes_a_completion_request() {
        let request = json!({
            "id": "chat-1", "trigger": "submit-message", "messageId": null,
            "model": "m", "temperature": 0.5,
            "messages": [
                { "id": "0", "role": "system", "parts": [{ "type": "text", "text": "Be brief." }] },
                { "id": "1", "role": "user", "metadata": {}, "parts": [
                    { "type": "text", "text": "What is this?" },
                    { "type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA==" },
                ] },
                { "id": "2", "role": "assistant", "parts": [
                    { "type": "step-start" },
                    { "type": "reasoning", "text": "Hm", "state": "done" },
                    { "type": "text", "text": "A pond.", "state": "done" },
                ] },
                { "id": "3", "role": "user", "parts": [{ "type": "text", "text": "Where?" }] },
            ],
        });
        assert_eq!(
            completion(&request),
            json!({
                "model": "m", "temperature": 0.5, "stream": true,
                "messages": [
                    { "role": "system", "content": "Be brief." },
                    { "role": "user", "content": [
                        { "type": "text", "text": "What is this?" },
                        { "type": "image_url", "image_url": { "url": "data:image/png;base64,AA==" } },
                    ] },
                    { "role": "assistant", "content": "A pond." },
                    { "role": "user", "content": "Where?" },
                ],
            })
        );
    }

    #[test]
    fn calls_are_told_with_their_results_and_not_without() {
        let request = json!({ "messages": [{ "id": "m1", "role": "assistant", "parts": [
            { "type": "step-start" },
            { "type": "text", "text": "Let me look." },
            { "type": "tool-look", "toolCallId": "a", "state": "output-available",
              "input": { "at": "Rome" }, "output": { "found": 1 } },
            { "type": "dynamic-tool", "toolName": "note", "toolCallId": "b", "state": "output-error",
              "input": {}, "errorText": "full" },
            { "type": "tool-look", "toolCallId": "c", "state": "input-available", "input": {} },
            { "type": "step-start" },
            { "type": "tool-look", "toolCallId": "d", "state": "input-streaming" },
        ] }] });
        let request = ChatRequest::read(request.to_string().as_bytes()).unwrap();
        assert_eq!(request.continued(), Some("m1"));
        assert_eq!(
            request.to_completion()["messages"],
            json!([
                { "role": "assistant", "content": "Let me look.", "tool_calls": [
                    { "id": "a", "type": "function",
                      "function": { "name": "look", "arguments": r#"{"at":"Rome"}"# } },
                    { "id": "b", "type": "function",
                      "function": { "name": "note", "arguments": "{}" } },
                ] },
                { "role": "tool", "tool_call_id": "a", "content": r#"{"found":1}"# },
                { "role": "tool", "tool_call_id": "b", "content": "full" },
            ])
        );
    }

    #[test]
    fn what_is_no_chat_is_refused_in_words() {
        for (body, told) in [
            ("{", "no chat of the AI SDK"),
            (r#"{"messages":[]}"#, "empty"),
            (r#"{"messages":[{"role":"nobody"}]}"#, "nobody"),
        ] {
            assert!(
                ChatRequest::read(body.as_bytes())
                    .unwrap_err()
                    .contains(told)
            );
        }
    }
}
