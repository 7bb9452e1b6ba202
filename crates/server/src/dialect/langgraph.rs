//! The streams of a LangGraph server, whose SDK resumes a broken one by itself.
//!
//! The SDK is told in a `Location` where its stream goes on, and comes back there with the id of the
//! last event, after 1 s, 2 s, 4 s, 5 s and 5 s. What it is sent depends on the request's `stream_mode`,
//! one or several; without one, `values`.
//!
//! | part | event | data |
//! | --- | --- | --- |
//! | the beginning | `metadata` | `{"run_id":"…","thread_id":"…"}` |
//! | | `values` | `{"messages":[…]}`, as the thread has them with the run's input |
//! | a piece of thought | `messages` | `[{"type":"AIMessageChunk","additional_kwargs":{"reasoning_content":"Hm"},…},{…}]` |
//! | a piece of the answer | `messages` | `[{"type":"AIMessageChunk","content":"Hel",…},{…}]` |
//! | a piece of a call | `messages` | `[{"type":"AIMessageChunk","tool_call_chunks":[{…}],…},{…}]` |
//! | any of these | `messages/partial` | `[{"type":"ai",…}]`, the message so far |
//! | how far it is | `custom` | `{"percent":25}`, whatever its producer says |
//! | token counts | | in the message when it is whole |
//! | the end | `messages/complete` | `[{"type":"ai",…}]` |
//! | | `updates` | `{"model":{"messages":[{"type":"ai",…}]}}` |
//! | | `values` | `{"messages":[…]}` |
//! | | `end` | `null` |
//! | cancelled, failed, expired | `error` | `{"error":"UserInterrupt","message":"…"}`, `UpstreamError`, `TimeoutError` |
//!
//! `messages` is what the mode `messages-tuple` gives, `messages/…` the mode `messages`. The graph has
//! one node, `model`.
//!
//! | door | what it does |
//! | --- | --- |
//! | `POST /threads` | gives a thread a name |
//! | `GET /threads/{t}`, `GET /threads/{t}/state`, `POST /threads/{t}/history` | what was said in it |
//! | `POST /threads/{t}/runs/stream` | begins a run with what was said before, and streams it |
//! | `POST /runs/stream` | begins one without a thread |
//! | `GET /threads/{t}/runs/{r}/stream`, `GET /runs/{r}/stream` | joins it, after `Last-Event-ID` |
//! | `GET /threads/{t}/runs/{r}` | what has become of it |
//! | `POST /threads/{t}/runs/{r}/cancel` | cancels it |
//!
//! A thread is what its last run was asked and answered, and belongs to whoever sends the same key; it
//! is forgotten with that run. Its runs are not queued: while one is open another is refused with 409,
//! unless its `multitask_strategy` is `interrupt`. The assistant's id is the model's name, if neither
//! the request's `context` nor its `config.configurable` has a `model`.

mod message;
mod request;
mod runs;
mod speller;
mod thread;

use std::sync::Arc;

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, HeaderValue, Method};

use super::{Dialect, Door, Head, Speller};
use message::Message;
use request::Mode;
use thread::ThreadId;

#[derive(Debug)]
pub(crate) struct LangGraph;

/// What a run keeps of its request.
#[derive(Debug)]
struct Asked {
    thread: Option<ThreadId>,
    assistant: String,
    modes: Vec<Mode>,
    /// What was said in the thread, the run's own input last.
    messages: Arc<[Message]>,
}

impl Dialect for LangGraph {
    fn name(&self) -> &'static str {
        "langgraph"
    }

    fn doors(&self) -> &'static [Door] {
        const DOORS: &[Door] = &[
            Door {
                method: Method::POST,
                path: "/threads",
                open: thread::create,
            },
            Door {
                method: Method::GET,
                path: "/threads/{thread}",
                open: thread::get,
            },
            Door {
                method: Method::GET,
                path: "/threads/{thread}/state",
                open: thread::state,
            },
            Door {
                method: Method::POST,
                path: "/threads/{thread}/history",
                open: thread::history,
            },
            Door {
                method: Method::POST,
                path: "/threads/{thread}/runs/stream",
                open: runs::begin,
            },
            Door {
                method: Method::POST,
                path: "/runs/stream",
                open: runs::begin,
            },
            Door {
                method: Method::GET,
                path: "/threads/{thread}/runs/{run}/stream",
                open: runs::join,
            },
            Door {
                method: Method::GET,
                path: "/runs/{run}/stream",
                open: runs::join,
            },
            Door {
                method: Method::GET,
                path: "/threads/{thread}/runs/{run}",
                open: runs::get,
            },
            Door {
                method: Method::POST,
                path: "/threads/{thread}/runs/{run}/cancel",
                open: runs::cancel,
            },
        ];
        DOORS
    }

    fn speller(&self, head: &Head) -> Box<dyn Speller> {
        Box::new(speller::Events::new(head))
    }

    fn mark(&self, head: &Head, headers: &mut HeaderMap) {
        let asked = head.conversation::<Asked>();
        let run = match asked.and_then(|asked| asked.thread.as_ref()) {
            Some(thread) => format!("/threads/{thread}/runs/{}", head.id),
            None => format!("/runs/{}", head.id),
        };
        let ascii = |path: &str| HeaderValue::from_str(path).expect("ids are ASCII");
        headers.insert(CONTENT_LOCATION, ascii(&run));
        headers.insert(LOCATION, ascii(&format!("{run}/stream")));
    }
}
