//! OpenAI's responses, and Open Responses.
//!
//! | part | on the wire |
//! | --- | --- |
//! | the beginning | `response.created`, `response.in_progress` |
//! | a piece of thought | `response.reasoning_summary_text.delta`, in an item of type `reasoning` |
//! | a piece of the answer | `response.output_text.delta`, in an item of type `message` |
//! | a piece of a call | `response.function_call_arguments.delta`, in an item of type `function_call` |
//! | how far it is, token counts | nothing |
//! | an upstream's event | that event, byte for byte, but for a `sequence_number` that is not the log's |
//! | the end | `response.completed`, or `response.incomplete` for `length` and `content_filter`; `[DONE]` |
//! | cancelled, failed, expired | `response.failed` with the response's `status` and `error`; `[DONE]` |
//!
//! Whenever the kind of what is said changes, and for each call, what is open is closed by its `…done`
//! events, and `response.output_item.added` (and `…_part.added`) open the next. Thought is spelled as a
//! summary, because that is where clients look for it: the AI SDK knows no `reasoning_text`.
//!
//! `sequence_number` is the event's number in the log, so that `starting_after=N` finds it; for the same
//! reason a late joiner's replay is not merged. OpenAI sends no `[DONE]`, Open Responses wants it, and
//! nobody's client minds. No ids, as Open Responses says.

mod doors;
mod interpreter;
mod request;
mod response;
mod speller;

use http::request::Parts;
use http::{Method, StatusCode};
use wellspring::query;

use super::openai::OpenAi;
use super::{Dialect, Door, Head, KeyHeader, Language, Speller};
use crate::answer::Answer;
use crate::run::From;

#[derive(Debug)]
pub(crate) struct Responses;

/// As upstreams speak it.
pub(crate) static LANGUAGE: Language = Language {
    dialect: &Responses,
    path: "/responses",
    key: KeyHeader::Bearer,
    passed: &[
        "authorization",
        "openai-organization",
        "openai-project",
        "openai-beta",
    ],
    interpreter: || Box::new(interpreter::Reading::default()),
};

impl Dialect for Responses {
    fn name(&self) -> &'static str {
        "responses"
    }

    fn doors(&self) -> &'static [Door] {
        const DOORS: &[Door] = &[
            Door {
                method: Method::POST,
                path: "/v1/responses",
                open: doors::create,
            },
            Door {
                method: Method::GET,
                path: "/v1/responses/{response}",
                open: doors::retrieve,
            },
            Door {
                method: Method::POST,
                path: "/v1/responses/{response}/cancel",
                open: doors::cancel,
            },
        ];
        DOORS
    }

    fn speller(&self, head: &Head) -> Box<dyn Speller> {
        Box::new(speller::Telling::new(head))
    }

    fn has_ids(&self) -> bool {
        false
    }

    /// Clients count events, and each has a number.
    fn merges(&self) -> bool {
        false
    }

    /// `starting_after` is the number of the last event seen. Without it from the beginning: openai-node
    /// needs all of a response, and leaves out by itself what it has seen.
    fn from(&self, request: &Parts) -> From {
        let last = query(request, "starting_after").and_then(|last| last.parse::<u64>().ok());
        last.map_or_else(
            || super::cursor(request),
            |last| From::Number(last.saturating_add(1)),
        )
    }

    fn refuse(&self, status: StatusCode, message: &str) -> Answer {
        OpenAi.refuse(status, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{golden, heard};

    #[test]
    fn stories_are_told_as_the_golden_files_have_them() {
        golden::assert_told(&Responses, &golden::head());
    }

    #[test]
    fn upstreams_are_understood_as_the_golden_files_have_it() {
        heard::assert_heard(&LANGUAGE);
    }
}
