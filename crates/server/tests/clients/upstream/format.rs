//! The wire formats of models' servers, each with all the fields that the real ones send.

use rand::RngExt;
use serde_json::{Value, json};

/// Which API is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenAI's chat completions: `data:` alone, ended by `[DONE]`.
    Chat,
    /// Anthropic's messages: `event:` is the data's type, ended by `message_stop`.
    Messages,
    /// OpenAI's responses: the same, numbered from 0, ended by `response.completed`.
    Responses,
}

/// An answer in the telling.
#[derive(Debug)]
pub(super) struct Telling {
    format: Format,
    /// No two answers have the same: clients ask for a response by it.
    id: String,
    tokens: usize,
    text: String,
    /// The next event's number, which only [`Format::Responses`] tells.
    number: usize,
}

impl Format {
    pub(super) fn served_at(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::Chat),
            "/v1/messages" => Some(Self::Messages),
            "/v1/responses" => Some(Self::Responses),
            _ => None,
        }
    }

    /// The body of a refusal.
    pub(super) fn refusal(self, message: &str) -> Value {
        match self {
            Self::Chat | Self::Responses => json!({
                "error": { "message": message, "type": "stub_error", "param": null, "code": null },
            }),
            Self::Messages => {
                json!({ "type": "error", "error": { "type": "stub_error", "message": message } })
            }
        }
    }
}

impl Telling {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            id: format!("{:016x}", rand::rng().random::<u64>()),
            tokens: 0,
            text: String::new(),
            number: 0,
        }
    }

    /// What comes before the first token.
    pub(super) fn opening(&mut self) -> String {
        match self.format {
            Format::Chat => self.chunk(&json!({ "role": "assistant", "content": "" }), None),
            Format::Messages => {
                let message = json!({
                    "id": format!("msg_{}", self.id), "type": "message", "role": "assistant", "model": "stub", "content": [],
                    "stop_reason": null, "stop_sequence": null,
                    "usage": { "input_tokens": 3, "output_tokens": 1 },
                });
                let block = json!({ "type": "text", "text": "" });
                [
                    named(&json!({ "type": "message_start", "message": message })),
                    named(&json!({ "type": "content_block_start", "index": 0, "content_block": block })),
                    named(&json!({ "type": "ping" })),
                ]
                .concat()
            }
            Format::Responses => {
                let response = self.response("in_progress", &json!([]), &Value::Null);
                let part =
                    json!({ "type": "output_text", "text": "", "annotations": [], "logprobs": [] });
                [
                    self.numbered("response.created", json!({ "response": response })),
                    self.numbered("response.in_progress", json!({ "response": response })),
                    self.numbered(
                        "response.output_item.added",
                        json!({ "output_index": 0, "item": self.item("in_progress", &json!([])) }),
                    ),
                    self.numbered(
                        "response.content_part.added",
                        json!({ "item_id": format!("msg_{}", self.id), "output_index": 0, "content_index": 0, "part": part }),
                    ),
                ]
                .concat()
            }
        }
    }

    pub(super) fn token(&mut self, token: &str) -> String {
        self.tokens += 1;
        self.text.push_str(token);
        match self.format {
            Format::Chat => self.chunk(&json!({ "content": token }), None),
            Format::Messages => named(&json!({
                "type": "content_block_delta", "index": 0,
                "delta": { "type": "text_delta", "text": token },
            })),
            Format::Responses => self.numbered(
                "response.output_text.delta",
                json!({
                    "item_id": format!("msg_{}", self.id), "output_index": 0, "content_index": 0, "delta": token,
                    "logprobs": [], "obfuscation": "hQ2x",
                }),
            ),
        }
    }

    /// What comes after the last token, without the event that ends it all.
    pub(super) fn closing(&mut self) -> String {
        match self.format {
            Format::Chat => {
                let usage = json!({
                    "id": format!("chatcmpl-{}", self.id), "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "stub",
                    "choices": [],
                    "usage": {
                        "prompt_tokens": 3, "completion_tokens": self.tokens, "total_tokens": self.tokens + 3,
                    },
                });
                self.chunk(&json!({}), Some("stop")) + &format!("data: {usage}\n\n")
            }
            Format::Messages => {
                let delta = json!({ "stop_reason": "end_turn", "stop_sequence": null });
                let usage = json!({ "output_tokens": self.tokens });
                named(&json!({ "type": "content_block_stop", "index": 0 }))
                    + &named(&json!({ "type": "message_delta", "delta": delta, "usage": usage }))
            }
            Format::Responses => {
                let (text, part) = (self.text.clone(), self.part());
                let whole = self.item("completed", &json!([part]));
                let place = json!({ "item_id": format!("msg_{}", self.id), "output_index": 0, "content_index": 0 });
                let with = |name: &str, value: Value| {
                    let mut place = place.clone();
                    place[name] = value;
                    place
                };
                let mut text = with("text", text.into());
                text["logprobs"] = json!([]);
                [
                    self.numbered("response.output_text.done", text),
                    self.numbered("response.content_part.done", with("part", part)),
                    self.numbered(
                        "response.output_item.done",
                        json!({ "output_index": 0, "item": whole }),
                    ),
                ]
                .concat()
            }
        }
    }

    /// The event without which the answer is not whole.
    pub(super) fn end(&mut self) -> String {
        match self.format {
            Format::Chat => "data: [DONE]\n\n".to_owned(),
            Format::Messages => named(&json!({ "type": "message_stop" })),
            Format::Responses => {
                let output = json!([self.item("completed", &json!([self.part()]))]);
                let usage = json!({
                    "input_tokens": 3, "input_tokens_details": { "cached_tokens": 0 },
                    "output_tokens": self.tokens, "output_tokens_details": { "reasoning_tokens": 0 },
                    "total_tokens": self.tokens + 3,
                });
                let response = self.response("completed", &output, &usage);
                self.numbered("response.completed", json!({ "response": response }))
            }
        }
    }

    /// An error in the stream.
    pub(super) fn error(&mut self, message: &str) -> String {
        match self.format {
            // As vLLM has it: its [DONE] makes nothing whole.
            Format::Chat => {
                let error = self.format.refusal(message);
                format!("data: {error}\n\ndata: [DONE]\n\n")
            }
            Format::Messages => named(&self.format.refusal(message)),
            Format::Responses => self.numbered(
                "error",
                json!({ "code": "server_error", "message": message, "param": null }),
            ),
        }
    }

    /// An event whose data breaks off.
    pub(super) fn garbage(&mut self) -> String {
        let mut event = self.token("lost");
        event.truncate(event.len() - 9);
        event + "\n\n"
    }

    fn part(&self) -> Value {
        json!({ "type": "output_text", "text": self.text, "annotations": [], "logprobs": [] })
    }

    fn numbered(&mut self, kind: &str, rest: Value) -> String {
        let mut data = json!({ "type": kind, "sequence_number": self.number });
        self.number += 1;
        let (Value::Object(data), Value::Object(rest)) = (&mut data, rest) else {
            unreachable!("both are objects")
        };
        data.extend(rest);
        named(&Value::Object(data.clone()))
    }

    /// A chunk of [`Format::Chat`].
    fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> String {
        let choice = json!({
            "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason,
        });
        let chunk = json!({
            "id": format!("chatcmpl-{}", self.id), "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "stub",
            "service_tier": "default", "system_fingerprint": null, "choices": [choice], "usage": null, "obfuscation": "hQ2x",
        });
        format!("data: {chunk}\n\n")
    }

    fn response(&self, status: &str, output: &Value, usage: &Value) -> Value {
        json!({
            "id": format!("resp_{}", self.id), "object": "response", "created_at": 1_700_000_000, "status": status, "error": null,
            "incomplete_details": null, "instructions": null, "metadata": {}, "model": "stub", "output": output,
            "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
            "usage": usage,
        })
    }

    fn item(&self, status: &str, content: &Value) -> Value {
        json!({
            "id": format!("msg_{}", self.id), "type": "message", "status": status, "role": "assistant", "content": content,
        })
    }
}

/// An event that is named as its data's type.
fn named(data: &Value) -> String {
    let name = data["type"].as_str().expect("each has a type");
    format!("event: {name}\ndata: {data}\n\n")
}
