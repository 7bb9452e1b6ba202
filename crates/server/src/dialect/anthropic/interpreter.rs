//! An upstream's message, read event by event.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::STOP_REASONS;
use crate::dialect::usage::Usage;
use crate::dialect::{Heard, Interpreter, Misheard};
use crate::run::{Part, Summary, ToolCall};

/// What has been read so far, as far as it is needed later.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// The indexes of the blocks that are calls, in the order of their beginning.
    calls: Vec<u64>,
    stop_reason: Option<String>,
    /// Counts come in two events, and the later ones count.
    usage: Map<String, Value>,
}

/// What we need to know of an event; the rest is passed on unread.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    message: Start,
    index: u64,
    content_block: Block,
    delta: Delta,
    usage: Option<Map<String, Value>>,
    error: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Start {
    usage: Option<Map<String, Value>>,
}

/// A block as it begins. That of a text may hold some already; of a call the input is `{}` until it is
/// complete.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    thinking: Option<String>,
    id: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
}

impl Message {
    /// What a block says as it begins.
    fn start(&mut self, index: u64, block: Block) -> Option<Part> {
        match block.kind.as_str() {
            "text" => said(block.text).map(Part::Answer),
            "thinking" => said(block.thinking).map(Part::Thinking),
            // Calls of tools that the upstream runs itself (`server_tool_use`) concern nobody else.
            "tool_use" => {
                self.calls.push(index);
                Some(Part::Tool(ToolCall {
                    index: self.call(index)?,
                    id: block.id,
                    name: block.name,
                    arguments: String::new(),
                }))
            }
            _ => None,
        }
    }

    /// What a block says after that.
    fn more(&self, index: u64, delta: Delta) -> Option<Part> {
        if let Some(text) = said(delta.text) {
            return Some(Part::Answer(text));
        }
        if let Some(text) = said(delta.thinking) {
            return Some(Part::Thinking(text));
        }
        Some(Part::Tool(ToolCall {
            arguments: said(delta.partial_json)?,
            index: self.call(index)?,
            ..ToolCall::default()
        }))
    }

    /// Which of the calls the block of this index is.
    fn call(&self, index: u64) -> Option<u32> {
        let call = self.calls.iter().position(|known| *known == index)?;
        u32::try_from(call).ok()
    }

    fn count(&mut self, usage: Option<Map<String, Value>>) {
        let counts = usage.into_iter().flatten();
        self.usage
            .extend(counts.filter(|(_, count)| !count.is_null()));
    }

    fn summary(&mut self) -> Summary {
        let usage = std::mem::take(&mut self.usage);
        Summary {
            finish_reason: self.stop_reason.take().map(finish_reason),
            usage: (!usage.is_empty()).then(|| Usage::read(&Value::Object(usage)).to_chat()),
            ..Summary::default()
        }
    }
}

impl Interpreter for Message {
    /// By the event's name, and not by its data's `type`, as clients do: they do not see an event without.
    fn read(
        &mut self,
        event_type: &str,
        data: &str,
        parts: &mut Vec<Part>,
    ) -> Result<Heard, Misheard> {
        let data: Data = serde_json::from_str(data)?;
        match event_type {
            "message_start" => self.count(data.message.usage),
            "content_block_start" => parts.extend(self.start(data.index, data.content_block)),
            "content_block_delta" => parts.extend(self.more(data.index, data.delta)),
            "message_delta" => {
                self.stop_reason = data.delta.stop_reason.or(self.stop_reason.take());
                self.count(data.usage);
            }
            "message_stop" => return Ok(Heard::End(self.summary())),
            "error" => return Ok(Heard::Failed(words(&data.error))),
            _ => {}
        }
        Ok(Heard::More)
    }
}

fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// What chat completions call this reason.
fn finish_reason(stop_reason: String) -> String {
    if stop_reason == "stop_sequence" {
        return "stop".to_owned();
    }
    let known = STOP_REASONS
        .iter()
        .find(|(_, theirs)| *theirs == stop_reason);
    known.map_or(stop_reason, |(ours, _)| (*ours).to_owned())
}

/// The upstream's own error, for people.
fn words(error: &Value) -> String {
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    match (text("type"), text("message")) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (_, Some(message)) => message.to_owned(),
        _ => error.to_string(),
    }
}
