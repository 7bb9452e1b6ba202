//! An upstream's response, read event by event.

use serde::Deserialize;
use serde_json::Value;

use super::response::INCOMPLETE;
use crate::dialect::usage::Usage;
use crate::dialect::{Heard, Interpreter, Misheard};
use crate::run::{Part, Summary, ToolCall};

/// What has been read so far, as far as it is needed later.
#[derive(Debug, Default)]
pub(super) struct Reading {
    id: Option<String>,
    /// Where in the output the calls are, in the order of their beginning.
    calls: Vec<u64>,
}

/// What we need to know of an event; the rest is passed on unread.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    #[serde(rename = "type")]
    kind: String,
    output_index: u64,
    /// Text, in the events that we read.
    delta: Value,
    item: Option<Item>,
    response: Option<Response>,
    /// Of an event `error`, of which there are two shapes.
    error: Option<Failure>,
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    call_id: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    id: Option<String>,
    usage: Option<Value>,
    error: Option<Failure>,
    incomplete_details: Option<Incomplete>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

impl Reading {
    fn begin_call(&mut self, output_index: u64, item: Item) -> Option<Part> {
        self.calls.push(output_index);
        Some(Part::Tool(ToolCall {
            index: self.call(output_index)?,
            id: item.call_id,
            name: item.name,
            arguments: String::new(),
        }))
    }

    fn more_of_call(&self, output_index: u64, arguments: String) -> Option<Part> {
        Some(Part::Tool(ToolCall {
            index: self.call(output_index)?,
            arguments,
            ..ToolCall::default()
        }))
    }

    /// Which of the calls the item at this place is.
    fn call(&self, output_index: u64) -> Option<u32> {
        let call = self.calls.iter().position(|known| *known == output_index)?;
        u32::try_from(call).ok()
    }
}

impl Interpreter for Reading {
    fn read(&mut self, _: &str, data: &str, parts: &mut Vec<Part>) -> Result<Heard, Misheard> {
        let data: Data = serde_json::from_str(data)?;
        let at = data.output_index;
        let text = || data.delta.as_str().unwrap_or_default().to_owned();
        let response = data.response.unwrap_or_default();
        match data.kind.as_str() {
            "response.created" => self.id = response.id,
            "response.output_item.added" => {
                let call = data.item.filter(|item| item.kind == "function_call");
                parts.extend(call.and_then(|item| self.begin_call(at, item)));
            }
            "response.output_text.delta" | "response.refusal.delta" => {
                parts.push(Part::Answer(text()));
            }
            "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                parts.push(Part::Thinking(text()));
            }
            "response.function_call_arguments.delta" => {
                parts.extend(self.more_of_call(at, text()));
            }
            "response.completed" => {
                let reason = match self.calls.is_empty() {
                    true => "stop",
                    false => "tool_calls",
                };
                return Ok(Heard::End(summary(reason, response.usage)));
            }
            "response.incomplete" => {
                let why = response.incomplete_details.and_then(|why| why.reason);
                let reason = finish_reason(why.as_deref());
                return Ok(Heard::End(summary(reason, response.usage)));
            }
            "response.failed" => return Ok(Heard::Failed(words(response.error, None))),
            "error" => return Ok(Heard::Failed(words(data.error, data.message))),
            _ => {}
        }
        Ok(Heard::More)
    }

    fn name(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

fn summary(finish_reason: &str, usage: Option<Value>) -> Summary {
    Summary {
        finish_reason: Some(finish_reason.to_owned()),
        usage: usage.map(|usage| Usage::read(&usage).to_chat()),
        ..Summary::default()
    }
}

/// What chat completions call the reason for which a response is incomplete.
fn finish_reason(incomplete: Option<&str>) -> &str {
    let reason = incomplete.unwrap_or("incomplete");
    let known = INCOMPLETE.iter().find(|(_, theirs)| *theirs == reason);
    known.map_or(reason, |(ours, _)| ours)
}

/// The upstream's own error, for people.
fn words(error: Option<Failure>, message: Option<String>) -> String {
    error
        .and_then(|error| error.message)
        .or(message)
        .unwrap_or_else(|| "the upstream's response failed".to_owned())
}
