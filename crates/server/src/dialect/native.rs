//! Our own spelling of a run, with an id on every event, so that a plain `EventSource` resumes it.
//!
//! | part | event | data |
//! | --- | --- | --- |
//! | a piece of thought | `thinking` | `{"text":"Hm"}` |
//! | a piece of the answer | `answer` | `{"text":"Hel"}` |
//! | a piece of a call | `tool` | `{"index":0,"id":"call_1","name":"look","arguments":"{\"a"}` |
//! | how far it is | `progress` | `{"percent":25,"message":"…"}`, whatever its producer says |
//! | token counts | `usage` | as the model gives them |
//! | the end | `done` | `{"state":"done","finish_reason":"stop","usage":{…}}` |
//! | the end, cancelled | `done` | `{"state":"cancelled","finish_reason":"cancelled","usage":null}` |
//! | a failure | `error` | `{"state":"failed","message":"…"}` |
//! | no more of its producer | `error` | `{"state":"expired","message":"…"}` |
//!
//! Each part is one event, numbered from 0 without holes. After `done` or `error` the stream ends, and a
//! client that comes back with the last id is told to stay away (204). What was lost is a `gap`.
//! `native/events.schema.json` describes each for programs.

mod create;
mod manage;
pub(crate) mod push;
mod record;

use http::Method;
use serde::Serialize;
use serde_json::{Value, json};
use wellspring::event::{Event, EventType};

use super::{Dialect, Door, Head, Said, Speller};
use crate::run::{Ending, Part};

#[derive(Debug)]
pub(crate) struct Native;

#[derive(Debug)]
struct Events;

impl Dialect for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    /// And `POST /v1/runs/{run}/events`, whose body is [pushed](push) as it comes.
    fn doors(&self) -> &'static [Door] {
        const DOORS: &[Door] = &[
            Door {
                method: Method::POST,
                path: "/v1/runs",
                open: create::create,
            },
            Door {
                method: Method::GET,
                path: "/v1/runs",
                open: manage::list,
            },
            Door {
                method: Method::GET,
                path: "/v1/runs/{run}",
                open: manage::describe,
            },
            Door {
                method: Method::DELETE,
                path: "/v1/runs/{run}",
                open: manage::delete,
            },
            Door {
                method: Method::POST,
                path: "/v1/runs/{run}/cancel",
                open: manage::cancel,
            },
        ];
        DOORS
    }

    fn speller(&self, _: &Head) -> Box<dyn Speller> {
        Box::new(Events)
    }

    fn reconnects(&self) -> bool {
        true
    }
}

impl Speller for Events {
    fn spell(&mut self, said: &Said<'_>, _: u64, events: &mut Vec<Event<'static>>) {
        events.extend(match said {
            Said::Beginning => None,
            Said::Part(part) => Some(spell_part(part)),
            Said::End(ending) => Some(spell_end(ending)),
        });
    }
}

fn spell_part(part: &Part) -> Event<'static> {
    #[derive(Serialize)]
    struct Text<'a> {
        text: &'a str,
    }
    match part {
        Part::Thinking(text) => event("thinking", &Text { text }),
        Part::Answer(text) => event("answer", &Text { text }),
        Part::Tool(call) => event("tool", call),
        Part::Progress(progress) => event("progress", progress),
        Part::Usage(usage) => event("usage", usage),
    }
}

fn spell_end(ending: &Ending) -> Event<'static> {
    let state = ending.state();
    match ending {
        Ending::Done(summary) => {
            let mut done = json!({
                "state": state,
                "finish_reason": summary.finish_reason,
                "usage": summary.usage,
            });
            if let Value::Object(done) = &mut done {
                for (name, value) in &summary.more {
                    done.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
            event("done", &done)
        }
        Ending::Cancelled => event(
            "done",
            &json!({ "state": state, "finish_reason": "cancelled", "usage": null }),
        ),
        Ending::Failed { .. } | Ending::Expired => event(
            "error",
            &json!({ "state": state, "message": ending.message() }),
        ),
    }
}

fn event(name: &'static str, data: &impl Serialize) -> Event<'static> {
    let name = EventType::new(name).expect("a word");
    Event::json(data)
        .expect("our own structs have string keys")
        .with_type(name)
}

#[cfg(test)]
mod tests;
