//! OpenAI's chat completions, as chunks.
//!
//! | part | on the wire |
//! | --- | --- |
//! | the beginning | a chunk with `delta.role` and empty content |
//! | a piece of thought | a chunk with `delta.reasoning_content` |
//! | a piece of the answer | a chunk with `delta.content` |
//! | a piece of a call | a chunk with `delta.tool_calls` |
//! | how far it is, token counts | nothing |
//! | an upstream's chunk | that chunk, byte for byte, with whatever fields we do not know |
//! | an upstream's error | the same, if it is an object, then `[DONE]` |
//! | the end | a chunk with `finish_reason`, a chunk with `usage` if it was asked for, `[DONE]` |
//! | cancelled, failed, expired | `{"error":{…}}`, then `[DONE]` |
//!
//! No `event:`, no `id:`, no `retry:`; one `data:` line an event. Each of these has a client that
//! breaks on it.

mod completions;
mod interpreter;
mod request;
mod speller;

use http::{Method, StatusCode};
use serde_json::json;

use super::{Dialect, Door, Head, Language, Speller};
use crate::answer::{self, Answer};
use crate::upstream::language::KeyHeader;
use interpreter::Chunks;
pub(crate) use request::{ChatRequest, Message, prompt};

#[derive(Debug)]
pub(crate) struct OpenAi;

/// As upstreams speak it.
pub(crate) static LANGUAGE: Language = Language {
    dialect: &OpenAi,
    path: "/chat/completions",
    key: KeyHeader::Bearer,
    passed: &[
        "authorization",
        "openai-organization",
        "openai-project",
        "openai-beta",
    ],
    interpreter: || Box::new(Chunks::default()),
};

impl Dialect for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn doors(&self) -> &'static [Door] {
        const DOORS: &[Door] = &[
            Door {
                method: Method::POST,
                path: "/v1/chat/completions",
                open: completions::complete,
            },
            Door {
                method: Method::GET,
                path: "/v1/models",
                open: completions::models,
            },
        ];
        DOORS
    }

    fn speller(&self, head: &Head) -> Box<dyn Speller> {
        Box::new(speller::Chunks::new(head))
    }

    fn refuse(&self, status: StatusCode, message: &str) -> Answer {
        let kind = if status.is_client_error() {
            "invalid_request_error"
        } else {
            "server_error"
        };
        answer::json(
            status,
            &json!({ "error": { "message": message, "type": kind, "param": null, "code": null } }),
        )
    }

    /// openai-python parses every block once it has seen an id.
    fn has_ids(&self) -> bool {
        false
    }
}
