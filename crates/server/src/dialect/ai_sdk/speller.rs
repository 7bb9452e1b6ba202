//! A run, spelled as the chunks of a UI message stream.

use serde::Serialize;
use serde_json::{Map, Value, json};
use wellspring::event::Event;

use crate::dialect::{Said, Speller};
use crate::run::{Ending, Part, ToolCall};

#[derive(Debug)]
pub(super) struct Chunks {
    message: String,
    open: Open,
    /// How many ids were made of numbers.
    numbered: u32,
}

/// What of the message has begun and not ended. A chunk that is more of anything else fails the client.
#[derive(Debug)]
enum Open {
    Nothing,
    Prose(Prose, u32),
    /// Calls made side by side, their pieces mixed as the upstream likes.
    Calls(Vec<Call>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prose {
    Text,
    Reasoning,
}

#[derive(Debug)]
struct Call {
    index: u32,
    id: String,
    name: String,
    arguments: String,
}

/// A chunk, as far as we have something to say with it.
#[derive(Debug, Serialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
enum Chunk<'a> {
    Start {
        message_id: &'a str,
    },
    StartStep,
    TextStart {
        id: String,
    },
    TextDelta {
        id: String,
        delta: &'a str,
    },
    TextEnd {
        id: String,
    },
    ReasoningStart {
        id: String,
    },
    ReasoningDelta {
        id: String,
        delta: &'a str,
    },
    ReasoningEnd {
        id: String,
    },
    ToolInputStart {
        tool_call_id: &'a str,
        tool_name: &'a str,
    },
    ToolInputDelta {
        tool_call_id: &'a str,
        input_text_delta: &'a str,
    },
    ToolInputAvailable {
        tool_call_id: &'a str,
        tool_name: &'a str,
        input: Value,
    },
    ToolInputError {
        tool_call_id: &'a str,
        tool_name: &'a str,
        input: &'a str,
        error_text: &'a str,
    },
    DataProgress {
        data: &'a Map<String, Value>,
        transient: bool,
    },
    Abort {
        reason: &'a str,
    },
    Error {
        error_text: &'a str,
    },
    FinishStep,
    Finish {
        finish_reason: &'a str,
    },
}

impl Chunks {
    pub(super) fn new(message: &str) -> Self {
        Self {
            message: message.to_owned(),
            open: Open::Nothing,
            numbered: 0,
        }
    }

    fn prose(&mut self, prose: Prose, delta: &str, events: &mut Vec<Event<'static>>) {
        let id = match self.open {
            Open::Prose(open, id) if open == prose => id,
            _ => {
                self.close(events);
                self.numbered += 1;
                let id = self.numbered;
                self.open = Open::Prose(prose, id);
                events.push(prose.start(id).event());
                id
            }
        };
        events.push(prose.delta(id, delta).event());
    }

    fn call(&mut self, piece: &ToolCall, events: &mut Vec<Event<'static>>) {
        if !matches!(self.open, Open::Calls(_)) {
            self.close(events);
        }
        let mut calls = match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Calls(calls) => calls,
            _ => Vec::new(),
        };
        // Some upstreams repeat the id with each piece, and some number all their calls 0.
        let given = piece.id.as_deref().filter(|id| !id.is_empty());
        let known = calls.iter().rposition(|call| {
            call.index == piece.index && given.is_none_or(|given| given == call.id)
        });
        let at = known.unwrap_or_else(|| {
            calls.push(Call {
                index: piece.index,
                id: match given {
                    Some(id) => id.to_owned(),
                    None => {
                        self.numbered += 1;
                        format!("{}-{}", self.message, self.numbered)
                    }
                },
                name: piece.name.clone().unwrap_or_default(),
                arguments: String::new(),
            });
            calls.len() - 1
        });
        let call = &mut calls[at];
        if known.is_none() {
            events.push(call.start().event());
        }
        if !piece.arguments.is_empty() {
            call.arguments.push_str(&piece.arguments);
            let delta = Chunk::ToolInputDelta {
                tool_call_id: &call.id,
                input_text_delta: &piece.arguments,
            };
            events.push(delta.event());
        }
        self.open = Open::Calls(calls);
    }

    fn end(&mut self, ending: &Ending, events: &mut Vec<Event<'static>>) {
        let message = ending.message().unwrap_or_default();
        let finish_reason = match ending {
            Ending::Done(summary) => {
                self.close(events);
                finish_reason(summary.finish_reason.as_deref())
            }
            Ending::Cancelled => {
                self.break_off(events);
                events.push(Chunk::Abort { reason: message }.event());
                "other"
            }
            Ending::Failed { .. } | Ending::Expired => {
                self.break_off(events);
                let error = Chunk::Error {
                    error_text: message,
                };
                events.push(error.event());
                "error"
            }
        };
        events.push(Chunk::FinishStep.event());
        events.push(Chunk::Finish { finish_reason }.event());
        events.push(Event::new("[DONE]"));
    }

    /// Ends what has begun.
    fn close(&mut self, events: &mut Vec<Event<'static>>) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Prose(prose, id) => events.push(prose.end(id).event()),
            Open::Calls(calls) => events.extend(calls.iter().map(|call| call.whole().event())),
        }
    }

    /// Ends what may be incomplete. A call must not look whole: the client would make it.
    fn break_off(&mut self, events: &mut Vec<Event<'static>>) {
        if matches!(self.open, Open::Prose(..)) {
            self.close(events);
        }
    }
}

impl Speller for Chunks {
    fn spell(&mut self, said: &Said<'_>, _: u64, events: &mut Vec<Event<'static>>) {
        match said {
            Said::Beginning => {
                let start = Chunk::Start {
                    message_id: &self.message,
                };
                events.extend([start.event(), Chunk::StartStep.event()]);
            }
            Said::Part(Part::Answer(text)) => self.prose(Prose::Text, text, events),
            Said::Part(Part::Thinking(text)) => self.prose(Prose::Reasoning, text, events),
            Said::Part(Part::Tool(piece)) => self.call(piece, events),
            Said::Part(Part::Progress(data)) => {
                let transient = true;
                events.push(Chunk::DataProgress { data, transient }.event());
            }
            Said::Part(Part::Usage(_)) => {}
            Said::End(ending) => self.end(ending, events),
        }
    }
}

impl Prose {
    fn start(self, id: u32) -> Chunk<'static> {
        let id = id.to_string();
        match self {
            Self::Text => Chunk::TextStart { id },
            Self::Reasoning => Chunk::ReasoningStart { id },
        }
    }

    fn delta(self, id: u32, delta: &str) -> Chunk<'_> {
        let id = id.to_string();
        match self {
            Self::Text => Chunk::TextDelta { id, delta },
            Self::Reasoning => Chunk::ReasoningDelta { id, delta },
        }
    }

    fn end(self, id: u32) -> Chunk<'static> {
        let id = id.to_string();
        match self {
            Self::Text => Chunk::TextEnd { id },
            Self::Reasoning => Chunk::ReasoningEnd { id },
        }
    }
}

impl Call {
    fn start(&self) -> Chunk<'_> {
        Chunk::ToolInputStart {
            tool_call_id: &self.id,
            tool_name: &self.name,
        }
    }

    fn whole(&self) -> Chunk<'_> {
        let (tool_call_id, tool_name) = (self.id.as_str(), self.name.as_str());
        // What takes no arguments is often called with none at all.
        let input = match self.arguments.trim() {
            "" => Ok(json!({})),
            arguments => serde_json::from_str(arguments),
        };
        match input {
            Ok(input) => Chunk::ToolInputAvailable {
                tool_call_id,
                tool_name,
                input,
            },
            Err(_) => Chunk::ToolInputError {
                tool_call_id,
                tool_name,
                input: &self.arguments,
                error_text: "the arguments are not JSON",
            },
        }
    }
}

impl Chunk<'_> {
    fn event(&self) -> Event<'static> {
        Event::json(self).expect("our own structs have string keys")
    }
}

/// The AI SDK's own words; any others fail its clients.
fn finish_reason(given: Option<&str>) -> &'static str {
    match given {
        Some("stop") | None => "stop",
        Some("length") => "length",
        Some("content_filter") => "content-filter",
        Some("tool_calls" | "function_call") => "tool-calls",
        Some("error") => "error",
        Some(_) => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::ai_sdk::AiSdk;
    use crate::dialect::golden;

    #[test]
    fn stories_are_told_as_the_golden_files_have_them() {
        golden::assert_told(&AiSdk, &golden::head());
    }

    #[test]
    fn calls_are_told_apart_however_upstreams_number_them() {
        let mut chunks = Chunks::new("m");
        let mut events = Vec::new();
        for (index, id, arguments) in [
            (0, Some("a"), "{"),
            (0, Some("a"), "}"),
            // Another one, under the same number.
            (0, Some("b"), "[1"),
            (1, None, "no"),
            (0, Some(""), "]"),
        ] {
            let piece = ToolCall {
                index,
                id: id.map(str::to_owned),
                name: Some("f".to_owned()),
                arguments: arguments.to_owned(),
            };
            chunks.call(&piece, &mut events);
        }
        events.clear();
        chunks.close(&mut events);
        let whole: Vec<&str> = events.iter().map(Event::data).collect();
        assert_eq!(
            whole,
            [
                r#"{"type":"tool-input-available","toolCallId":"a","toolName":"f","input":{}}"#,
                r#"{"type":"tool-input-available","toolCallId":"b","toolName":"f","input":[1]}"#,
                r#"{"type":"tool-input-error","toolCallId":"m-1","toolName":"f","input":"no","errorText":"the arguments are not JSON"}"#,
            ]
        );
    }
}
