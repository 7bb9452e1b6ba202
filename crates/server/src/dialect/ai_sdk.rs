//! The UI message stream of the AI SDK, versions 5 to 7: what `useChat` reads.
//!
//! | part | on the wire |
//! | --- | --- |
//! | the beginning | `start` with the message's id, `start-step` |
//! | a piece of thought | `reasoning-delta`, in a `reasoning-start` and a `reasoning-end` |
//! | a piece of the answer | `text-delta`, in a `text-start` and a `text-end` |
//! | a piece of a call | `tool-input-start`, `tool-input-delta`; once it is whole, `tool-input-available` |
//! | how far it is | `data-progress`, transient: a page is told, and the message does not keep it |
//! | token counts | nothing |
//! | the end | `finish-step`, `finish` with its reason, `[DONE]` |
//! | the end, cancelled | `abort`, and then as above |
//! | failed, expired | `error`, and then as above, with the reason `error` |
//!
//! Each is one `data:` line of JSON. Any other type fails the whole stream in the client, so what was
//! lost cannot be told here otherwise than by that (`event: gap`, whose data has no type).
//!
//! | door | what it does |
//! | --- | --- |
//! | `POST /api/chat` | begins a run and streams it; `x-workflow-run-id` names it |
//! | `GET /api/chat/{id}/stream` | the chat's open run from its first chunk on, merged; 204 if there is none |
//! | `GET /api/chat/{id}/stream?startIndex=N` | a chat's or a run's chunks from number N on, each as it was; below zero, from the end |
//! | `POST /api/chat/{id}/stop` | cancels the chat's open run, or the run of this id |
//!
//! There are two clients. `DefaultChatTransport` knows chats, and asks for all of an answer again when
//! a page is loaded; React gives up at fifty renders in a row, and so that replay is merged.
//! `WorkflowChatTransport` knows runs, counts the chunks it has seen and asks for the next when its
//! connection breaks, until it has seen a `finish`: therefore every end has one, and therefore what it
//! reads is never merged. `[DONE]` is no chunk for either of them, and comes last.
//!
//! A chat belongs to whoever sends the same `Authorization`. Its name stands for the last run that was
//! begun in it; an earlier one that is still open goes on, as its policy says.

mod chat;
mod request;
mod speller;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{Dialect, Door, Head, Speller};
use speller::Chunks;

#[derive(Debug)]
pub(crate) struct AiSdk;

/// What the run's speller needs to know of the chat.
#[derive(Debug)]
struct Chat {
    /// The message that the answer is more of, and not a new one: the client sends the results of tools so.
    continued: Option<String>,
}

impl Dialect for AiSdk {
    fn name(&self) -> &'static str {
        "ai-sdk"
    }

    fn doors(&self) -> &'static [Door] {
        const DOORS: &[Door] = &[
            Door {
                method: Method::POST,
                path: "/api/chat",
                open: chat::begin,
            },
            Door {
                method: Method::GET,
                path: "/api/chat/{id}/stream",
                open: chat::resume,
            },
            Door {
                method: Method::POST,
                path: "/api/chat/{id}/stop",
                open: chat::stop,
            },
        ];
        DOORS
    }

    fn speller(&self, head: &Head) -> Box<dyn Speller> {
        let chat = head.conversation::<Chat>();
        let continued = chat.and_then(|chat| chat.continued.as_deref());
        Box::new(Chunks::new(continued.unwrap_or(&head.id)))
    }

    fn mark(&self, head: &Head, headers: &mut HeaderMap) {
        headers.insert(
            HeaderName::from_static("x-vercel-ai-ui-message-stream"),
            HeaderValue::from_static("v1"),
        );
        let run = HeaderValue::from_str(&head.id).expect("ids are ASCII");
        headers.insert(HeaderName::from_static("x-workflow-run-id"), run);
    }
}
