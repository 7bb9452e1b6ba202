//! How each dialect asks, says and ends: what a test needs to know of it, and no more.

use http::Request;
use serde_json::{Value, json};

use crate::stream::Seen;
use crate::transport::{ClientBody, bare, post};

/// The spellings of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Native,
    OpenAi,
    Anthropic,
    Responses,
    AiSdk,
    LangGraph,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// As it should.
    Done,
    /// Because somebody wanted it to.
    Cancelled,
    /// With an error, in these words.
    Failed(String),
    /// With none of them: whoever reads it cannot tell whether it is whole.
    Silent,
}

impl Dialect {
    pub(crate) const ALL: [Self; 6] = [
        Self::Native,
        Self::OpenAi,
        Self::Anthropic,
        Self::Responses,
        Self::AiSdk,
        Self::LangGraph,
    ];

    /// Asks this model for a stream.
    pub(crate) fn question(self, model: &str) -> Request<ClientBody> {
        let said = json!([{ "role": "user", "content": "Count." }]);
        let thread = format!("/threads/{}/runs/stream", chat(model));
        let (path, body) = match self {
            Self::Native => (
                "/v1/runs",
                json!({ "request": { "model": model, "messages": said } }),
            ),
            Self::OpenAi => (
                "/v1/chat/completions",
                json!({ "model": model, "messages": said, "stream": true }),
            ),
            Self::Anthropic => (
                "/v1/messages",
                json!({ "model": model, "messages": said, "stream": true, "max_tokens": 1000 }),
            ),
            Self::Responses => (
                "/v1/responses",
                json!({ "model": model, "input": "Count.", "stream": true, "background": true }),
            ),
            Self::AiSdk => (
                "/api/chat",
                json!({
                    "id": chat(model), "model": model, "trigger": "submit-message",
                    "messages": [{ "id": "1", "role": "user", "parts": [{ "type": "text", "text": "Count." }] }],
                }),
            ),
            Self::LangGraph => (
                &*thread,
                json!({ "assistant_id": model, "input": { "messages": said }, "stream_mode": "messages-tuple" }),
            ),
        };
        let mut question = post(path, "application/json", body.to_string());
        let accept = "text/event-stream".parse().unwrap();
        question.headers_mut().insert("accept", accept);
        question
    }

    /// Cancels as this dialect's clients do: `id` is what [`Dialect::name_of`] found.
    pub(crate) fn cancel(self, id: &str) -> Request<ClientBody> {
        bare(Request::post(match self {
            Self::Native | Self::OpenAi | Self::Anthropic => format!("/v1/runs/{id}/cancel"),
            Self::Responses => format!("/v1/responses/{id}/cancel"),
            Self::AiSdk => format!("/api/chat/{id}/stop"),
            Self::LangGraph => format!("{id}/cancel"),
        }))
    }

    /// What this dialect's clients call a run of this model, of whose answer this is the beginning.
    pub(crate) fn name_of(self, model: &str, headers: &http::HeaderMap, first: &Seen) -> String {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        match self {
            Self::Native | Self::OpenAi | Self::Anthropic => header("x-run-id"),
            Self::Responses => first.json()["response"]["id"].as_str().unwrap().to_owned(),
            Self::AiSdk => chat(model),
            Self::LangGraph => header("content-location"),
        }
    }

    /// The answer's text in these events.
    pub(crate) fn text(self, events: &[Seen]) -> String {
        events.iter().map(|event| self.piece(event)).collect()
    }

    fn piece(self, event: &Seen) -> String {
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else {
            return String::new();
        };
        let piece = match self {
            Self::Native if event.event == "answer" => &data["text"],
            Self::OpenAi => &data["choices"][0]["delta"]["content"],
            Self::Anthropic if event.event == "content_block_delta" => &data["delta"]["text"],
            Self::Responses if event.event == "response.output_text.delta" => &data["delta"],
            Self::AiSdk if data["type"] == "text-delta" => &data["delta"],
            Self::LangGraph if event.event == "messages" => &data[0]["content"],
            _ => &Value::Null,
        };
        piece.as_str().unwrap_or_default().to_owned()
    }

    /// How the stream of these events ended.
    pub(crate) fn end(self, events: &[Seen]) -> End {
        let events = match events {
            [events @ .., last] if last.data == "[DONE]" => events,
            _ if matches!(self, Self::OpenAi | Self::Responses | Self::AiSdk) => {
                return End::Silent;
            }
            _ => events,
        };
        let Some(last) = events.last() else {
            return End::Silent;
        };
        let data = last.json();
        match (self, last.event.as_str()) {
            (Self::Native, "done") if data["state"] == "cancelled" => End::Cancelled,
            (Self::Native, "done") => End::Done,
            (Self::Native, "error") => failed(&data["message"]),
            (Self::OpenAi, _) if data["error"]["code"] == "cancelled" => End::Cancelled,
            (Self::OpenAi, _) if data["error"].is_object() => failed(&data["error"]["message"]),
            (Self::OpenAi, _) => End::Done,
            (Self::Anthropic, "message_stop") => End::Done,
            (Self::Anthropic, "error") if data["error"]["message"] == "the run was cancelled" => {
                End::Cancelled
            }
            (Self::Anthropic, "error") => failed(&data["error"]["message"]),
            (Self::Responses, "response.completed") => End::Done,
            (Self::Responses, "response.failed") if data["response"]["status"] == "cancelled" => {
                End::Cancelled
            }
            (Self::Responses, "response.failed") => failed(&data["response"]["error"]["message"]),
            (Self::Responses, "error") => failed(&data["message"]),
            (Self::AiSdk, _) if data["type"] == "finish" => {
                let mut before = events.iter().rev().map(Seen::json);
                before
                    .find_map(|chunk| match chunk["type"].as_str() {
                        Some("abort") => Some(End::Cancelled),
                        Some("error") => Some(failed(&chunk["errorText"])),
                        _ => None,
                    })
                    .unwrap_or(End::Done)
            }
            (Self::LangGraph, "end") => End::Done,
            (Self::LangGraph, "error") if data["error"] == "UserInterrupt" => End::Cancelled,
            (Self::LangGraph, "error") => failed(&data["message"]),
            _ => End::Silent,
        }
    }
}

fn failed(message: &Value) -> End {
    End::Failed(message.as_str().unwrap_or_default().to_owned())
}

/// What the clients of those dialects that have names for chats and threads call theirs.
fn chat(model: &str) -> String {
    format!("chat-about-{model}")
}
