//! A run, spelled as the events of a message.

use std::borrow::Cow;

use serde_json::{Value, json};
use wellspring::event::{Event, EventType};

use super::STOP_REASONS;
use crate::dialect::usage::Usage;
use crate::dialect::{Head, Said, Speller};
use crate::run::{Ending, Part, ToolCall};

/// A message in the making.
#[derive(Debug)]
pub(super) struct Message {
    id: String,
    model: String,
    /// The blocks so far; each one's index is its place.
    blocks: Vec<Block>,
    /// Whether the last block has not been stopped.
    open: bool,
    /// Whether an upstream has told the end itself.
    over: bool,
}

/// What a block of content holds.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    /// The run's call that began with this index and id.
    ToolUse {
        call: u32,
        id: String,
    },
}

impl Message {
    pub(super) fn new(head: &Head) -> Self {
        Self {
            id: format!("msg_{}", head.id),
            model: head.model.clone(),
            blocks: Vec::new(),
            open: false,
            over: false,
        }
    }

    /// A piece of text in a block of its kind: the one that is open, or a new one.
    fn add_text(&mut self, block: Block, start: &Value, delta: &Value, events: &mut Events) {
        if !self.open || self.blocks.last() != Some(&block) {
            self.start(block, start, events);
        }
        events.push(delta_event(self.blocks.len() - 1, delta));
    }

    fn add_call(&mut self, call: &ToolCall, events: &mut Events) {
        // Even of one that another has followed: clients put it where the index says.
        let known = self.blocks.iter().rposition(
            |block| matches!(block, Block::ToolUse { call: index, id } if call.continues(*index, id)),
        );
        let index = known.unwrap_or_else(|| {
            let id = call.id.clone().unwrap_or_default();
            let name = call.name.as_deref().unwrap_or_default();
            let start = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
            let call = call.index;
            self.start(Block::ToolUse { call, id }, &start, events);
            self.blocks.len() - 1
        });
        if !call.arguments.is_empty() {
            let delta = json!({ "type": "input_json_delta", "partial_json": call.arguments });
            events.push(delta_event(index, &delta));
        }
    }

    fn start(&mut self, block: Block, start: &Value, events: &mut Events) {
        self.stop(events);
        let index = self.blocks.len();
        self.blocks.push(block);
        self.open = true;
        events.push(event(
            "content_block_start",
            &json!({ "type": "content_block_start", "index": index, "content_block": start }),
        ));
    }

    fn stop(&mut self, events: &mut Events) {
        if std::mem::take(&mut self.open) {
            let index = self.blocks.len() - 1;
            events.push(event(
                "content_block_stop",
                &json!({ "type": "content_block_stop", "index": index }),
            ));
        }
    }
}

type Events = Vec<Event<'static>>;

impl Speller for Message {
    fn spell(&mut self, said: &Said<'_>, _: u64, events: &mut Events) {
        match said {
            Said::Beginning => events.push(event(
                "message_start",
                &json!({ "type": "message_start", "message": message(&self.id, &self.model) }),
            )),
            Said::Part(Part::Thinking(text)) => self.add_text(
                Block::Thinking,
                &json!({ "type": "thinking", "thinking": "", "signature": "" }),
                &json!({ "type": "thinking_delta", "thinking": text }),
                events,
            ),
            Said::Part(Part::Answer(text)) => self.add_text(
                Block::Text,
                &json!({ "type": "text", "text": "" }),
                &json!({ "type": "text_delta", "text": text }),
                events,
            ),
            Said::Part(Part::Tool(call)) => self.add_call(call, events),
            Said::Part(Part::Progress(_) | Part::Usage(_)) => {}
            Said::End(_) if self.over => {}
            Said::End(Ending::Done(summary)) => {
                self.stop(events);
                let reason = stop_reason(summary.finish_reason.as_deref());
                events.push(event(
                    "message_delta",
                    &json!({
                        "type": "message_delta",
                        "delta": { "stop_reason": reason, "stop_sequence": null },
                        "usage": usage(summary.usage.as_ref()),
                    }),
                ));
                events.push(event("message_stop", &json!({ "type": "message_stop" })));
            }
            Said::End(ending) => {
                let kind = match ending {
                    Ending::Expired => "timeout_error",
                    _ => "api_error",
                };
                let error = json!({ "type": kind, "message": ending.message() });
                events.push(event("error", &json!({ "type": "error", "error": error })));
            }
        }
    }

    fn repeat<'a>(&mut self, event_type: &str, data: &'a str, _: u64) -> Cow<'a, str> {
        self.over |= matches!(event_type, "message_stop" | "error");
        Cow::Borrowed(data)
    }
}

/// A message that nothing was said in yet.
pub(super) fn message(id: &str, model: &str) -> Value {
    json!({
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": { "input_tokens": 0, "output_tokens": 0 },
    })
}

/// What the API calls a run's finish reason.
pub(super) fn stop_reason(finish_reason: Option<&str>) -> &str {
    let reason = finish_reason.unwrap_or("stop");
    let known = STOP_REASONS.iter().find(|(ours, _)| *ours == reason);
    known.map_or(reason, |(_, theirs)| theirs)
}

/// A run's token counts in the API's words.
pub(super) fn usage(counts: Option<&Value>) -> Value {
    let usage = counts.map(Usage::read).unwrap_or_default();
    json!({
        "input_tokens": usage.input - usage.cached.min(usage.input),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    })
}

fn delta_event(index: usize, delta: &Value) -> Event<'static> {
    event(
        "content_block_delta",
        &json!({ "type": "content_block_delta", "index": index, "delta": delta }),
    )
}

fn event(name: &'static str, data: &Value) -> Event<'static> {
    let name = EventType::new(name).expect("a word");
    Event::new(data.to_string()).with_type(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::golden;

    /// The index and the piece of each delta, where calls are numbered and named so.
    fn pieces(calls: &[(u32, Option<&str>, &str)]) -> Vec<(u64, String)> {
        let mut message = Message::new(&golden::head());
        let mut events = Vec::new();
        for (index, id, arguments) in calls {
            let call = ToolCall {
                index: *index,
                id: id.map(str::to_owned),
                name: id.map(|_| "f".to_owned()),
                arguments: (*arguments).to_owned(),
            };
            message.spell(&Said::Part(&Part::Tool(call)), 0, &mut events);
        }
        let data = events.iter().map(Event::data);
        let data = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
        data.filter_map(|data| {
            let piece = data["delta"]["partial_json"].as_str()?.to_owned();
            Some((data["index"].as_u64()?, piece))
        })
        .collect()
    }

    #[test]
    fn pieces_of_calls_find_their_block() {
        let told = |told: &[(u64, &str)]| -> Vec<(u64, String)> {
            let told = told
                .iter()
                .map(|(index, piece)| (*index, (*piece).to_owned()));
            told.collect()
        };
        for (calls, wanted) in [
            // A piece that comes after the next call has begun.
            (
                [(0, Some("a"), "{"), (1, Some("b"), "["), (0, None, "}")],
                [(0, "{"), (1, "["), (0, "}")],
            ),
            // The id with each piece; and all calls under one number.
            (
                [
                    (0, Some("a"), "{"),
                    (0, Some("a"), "}"),
                    (0, Some("b"), "["),
                ],
                [(0, "{"), (0, "}"), (1, "[")],
            ),
        ] {
            assert_eq!(pieces(&calls), told(&wanted));
        }
    }
}
