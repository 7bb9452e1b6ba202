//! An item of a response's output, and the events that open it, fill it and close it.

use serde_json::{Value, json};

use super::Page;
use crate::run::ToolCall;

#[derive(Debug)]
pub(super) struct Item {
    id: String,
    output_index: usize,
    pub(super) content: Content,
    /// Its text so far; a call's arguments.
    text: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Thinking,
    Answer,
    Call {
        /// By what the run tells its calls apart.
        index: u32,
        call_id: String,
        name: String,
    },
}

impl Content {
    pub(super) fn of_call(call: &ToolCall) -> Self {
        Self::Call {
            index: call.index,
            call_id: call.id.clone().unwrap_or_default(),
            name: call.name.clone().unwrap_or_default(),
        }
    }

    /// What the ids of such items begin with.
    fn prefix(&self) -> &'static str {
        match self {
            Self::Thinking => "rs",
            Self::Answer => "msg",
            Self::Call { .. } => "fc",
        }
    }
}

impl Item {
    pub(super) fn new(run: &str, output_index: usize, content: Content) -> Self {
        Self {
            id: format!("{}_{run}_{output_index}", content.prefix()),
            output_index,
            content,
            text: String::new(),
        }
    }

    /// Whether this is the call that `piece` is more of.
    pub(super) fn is_begun_by(&self, piece: &ToolCall) -> bool {
        match &self.content {
            Content::Call { index, call_id, .. } => piece.continues(*index, call_id),
            _ => false,
        }
    }

    pub(super) fn open(&self, page: &mut Page<'_>) {
        let mut item = self.to_json("in_progress");
        // Its one part comes in an event of its own.
        for parts in ["content", "summary"] {
            if let Some(parts) = item.get_mut(parts) {
                *parts = json!([]);
            }
        }
        page.write(
            "response.output_item.added",
            json!({ "output_index": self.output_index, "item": item }),
        );
        match self.content {
            Content::Thinking => {
                let part = json!({ "part": self.part() });
                page.write("response.reasoning_summary_part.added", self.place(part));
            }
            Content::Answer => {
                let part = json!({ "part": self.part() });
                page.write("response.content_part.added", self.place(part));
            }
            Content::Call { .. } => {}
        }
    }

    pub(super) fn add(&mut self, text: &str, page: &mut Page<'_>) {
        self.text.push_str(text);
        let (name, delta) = match self.content {
            Content::Thinking => (
                "response.reasoning_summary_text.delta",
                json!({ "delta": text }),
            ),
            Content::Answer => (
                "response.output_text.delta",
                json!({ "delta": text, "logprobs": [] }),
            ),
            Content::Call { .. } => (
                "response.function_call_arguments.delta",
                json!({ "delta": text }),
            ),
        };
        page.write(name, self.place(delta));
    }

    pub(super) fn close(&self, page: &mut Page<'_>) {
        let part = json!({ "part": self.part() });
        match &self.content {
            Content::Thinking => {
                let text = json!({ "text": self.text });
                page.write("response.reasoning_summary_text.done", self.place(text));
                page.write("response.reasoning_summary_part.done", self.place(part));
            }
            Content::Answer => {
                let text = json!({ "text": self.text, "logprobs": [] });
                page.write("response.output_text.done", self.place(text));
                page.write("response.content_part.done", self.place(part));
            }
            Content::Call { name, .. } => {
                let call = json!({ "name": name, "arguments": self.text });
                page.write("response.function_call_arguments.done", self.place(call));
            }
        }
        page.write(
            "response.output_item.done",
            json!({ "output_index": self.output_index, "item": self.to_json("completed") }),
        );
    }

    pub(super) fn to_json(&self, status: &str) -> Value {
        match &self.content {
            Content::Thinking => json!({
                "id": self.id,
                "type": "reasoning",
                "status": status,
                "summary": [self.part()],
            }),
            Content::Answer => json!({
                "id": self.id,
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": [self.part()],
            }),
            Content::Call { call_id, name, .. } => json!({
                "id": self.id,
                "type": "function_call",
                "status": status,
                "call_id": call_id,
                "name": name,
                "arguments": self.text,
            }),
        }
    }

    /// The one part that texts have.
    fn part(&self) -> Value {
        match self.content {
            Content::Thinking => json!({ "type": "summary_text", "text": self.text }),
            _ => json!({
                "type": "output_text",
                "text": self.text,
                "annotations": [],
                "logprobs": [],
            }),
        }
    }

    /// Where in the output these fields belong.
    fn place(&self, fields: Value) -> Value {
        let mut place = json!({ "item_id": self.id, "output_index": self.output_index });
        match self.content {
            Content::Thinking => place["summary_index"] = json!(0),
            Content::Answer => place["content_index"] = json!(0),
            Content::Call { .. } => {}
        }
        if let (Value::Object(place), Value::Object(fields)) = (&mut place, fields) {
            place.extend(fields);
        }
        place
    }
}
