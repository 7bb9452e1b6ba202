//! Anthropic's messages.
//!
//! | part | on the wire |
//! | --- | --- |
//! | the beginning | `message_start` |
//! | a piece of thought | `content_block_delta` with `thinking_delta`, in a block of type `thinking` |
//! | a piece of the answer | the same with `text_delta`, in a block of type `text` |
//! | a piece of a call | the same with `input_json_delta`, in a block of type `tool_use` |
//! | how far it is, token counts | nothing |
//! | an upstream's event | that event, byte for byte, `ping` among them |
//! | the end | `message_delta` with `stop_reason` and `usage`, `message_stop` |
//! | cancelled, failed, expired | `error` |
//!
//! Whenever the kind of what is said changes, and for each call, a `content_block_stop` closes the block
//! and a `content_block_start` opens the next. `stop_reason` is `end_turn` for `stop`, `max_tokens` for
//! `length`, `tool_use` for `tool_calls`, `refusal` for `content_filter`, and otherwise what the run says.
//!
//! The name of each event is mandatory, and the same as its data's `type`: without it Anthropic's packages
//! see nothing. An upstream's pings are events like others and are relayed; we add none, as our heartbeat
//! is a comment. Progress has no word here: anthropic-py 2.12 and the npm package hand events that they do
//! not know to the app, which expects none.

mod interpreter;
mod messages;
mod speller;

use http::{Method, StatusCode};
use serde_json::json;

use super::{Dialect, Door, Head, KeyHeader, Language, Speller};
use crate::answer::{self, Answer};

#[derive(Debug)]
pub(crate) struct Anthropic;

/// As upstreams speak it.
pub(crate) static LANGUAGE: Language = Language {
    dialect: &Anthropic,
    path: "/messages",
    key: KeyHeader::XApiKey,
    passed: &[
        "x-api-key",
        "authorization",
        "anthropic-version",
        "anthropic-beta",
    ],
    interpreter: || Box::new(interpreter::Message::default()),
};

/// A run's finish reasons, which are those of chat completions, and what they are called here.
const STOP_REASONS: [(&str, &str); 4] = [
    ("stop", "end_turn"),
    ("length", "max_tokens"),
    ("tool_calls", "tool_use"),
    ("content_filter", "refusal"),
];

impl Dialect for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn doors(&self) -> &'static [Door] {
        const DOORS: &[Door] = &[Door {
            method: Method::POST,
            path: "/v1/messages",
            open: messages::create,
        }];
        DOORS
    }

    fn speller(&self, head: &Head) -> Box<dyn Speller> {
        Box::new(speller::Message::new(head))
    }

    fn refuse(&self, status: StatusCode, message: &str) -> Answer {
        let kind = match status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            400..500 => "invalid_request_error",
            503 => "overloaded_error",
            _ => "api_error",
        };
        answer::json(
            status,
            &json!({ "type": "error", "error": { "type": kind, "message": message } }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{golden, heard};

    #[test]
    fn stories_are_told_as_the_golden_files_have_them() {
        golden::assert_told(&Anthropic, &golden::head());
    }

    #[test]
    fn upstreams_are_understood_as_the_golden_files_have_it() {
        heard::assert_heard(&LANGUAGE);
    }
}
