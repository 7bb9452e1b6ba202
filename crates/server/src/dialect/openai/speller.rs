//! A run, spelled as chunks.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};
use wellspring::event::Event;

use super::interpreter::tells_of_failure;
use crate::dialect::{Head, Said, Speller};
use crate::run::{Ending, Part};

#[derive(Debug)]
pub(super) struct Chunks {
    id: Arc<str>,
    model: String,
    created: u64,
    include_usage: bool,
    /// Whether an upstream has said `[DONE]` itself.
    over: bool,
    /// Whether it has told of its failure itself.
    failed: bool,
}

impl Chunks {
    pub(super) fn new(head: &Head) -> Self {
        Self {
            id: Arc::clone(&head.id),
            model: head.model.clone(),
            created: head.created,
            include_usage: head.include_usage,
            over: false,
            failed: false,
        }
    }

    fn chunk(&self, choices: &Value, usage: Option<&Value>) -> Event<'static> {
        let mut chunk = json!({
            "id": &*self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        });
        if self.include_usage {
            chunk["usage"] = usage.cloned().unwrap_or_default();
        }
        Event::new(chunk.to_string())
    }

    fn delta(&self, delta: &Value, finish_reason: Option<&str>) -> Event<'static> {
        let choice = json!([{ "index": 0, "delta": delta, "finish_reason": finish_reason }]);
        self.chunk(&choice, None)
    }
}

impl Speller for Chunks {
    fn spell(&mut self, said: &Said<'_>, _: u64, events: &mut Vec<Event<'static>>) {
        match said {
            Said::Beginning => {
                events.push(self.delta(&json!({ "role": "assistant", "content": "" }), None));
            }
            Said::Part(Part::Answer(text)) => {
                events.push(self.delta(&json!({ "content": text }), None));
            }
            Said::Part(Part::Thinking(text)) => {
                events.push(self.delta(&json!({ "reasoning_content": text }), None));
            }
            Said::Part(Part::Tool(call)) => {
                let mut function = json!({ "arguments": call.arguments });
                if let Some(name) = &call.name {
                    function["name"] = json!(name);
                }
                let mut piece = json!({ "index": call.index, "function": function });
                if let Some(id) = &call.id {
                    piece["id"] = json!(id);
                    piece["type"] = json!("function");
                }
                events.push(self.delta(&json!({ "tool_calls": [piece] }), None));
            }
            Said::Part(Part::Progress(_) | Part::Usage(_)) => {}
            Said::End(_) if self.over => {}
            Said::End(Ending::Done(summary)) => {
                let reason = summary.finish_reason.as_deref().unwrap_or("stop");
                events.push(self.delta(&json!({}), Some(reason)));
                if self.include_usage {
                    events.push(self.chunk(&json!([]), summary.usage.as_ref()));
                }
                events.push(Event::new("[DONE]"));
            }
            Said::End(_) if self.failed => events.push(Event::new("[DONE]")),
            Said::End(ending) => {
                let error = json!({ "error": {
                    "message": ending.message(),
                    "type": "server_error",
                    "param": null,
                    "code": ending.state(),
                }});
                events.push(Event::new(error.to_string()));
                events.push(Event::new("[DONE]"));
            }
        }
    }

    fn repeat<'a>(&mut self, _: &str, data: &'a str, _: u64) -> Cow<'a, str> {
        self.over |= data == "[DONE]";
        self.failed |= tells_of_failure(data);
        Cow::Borrowed(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Summary;

    fn data(said: &Said<'_>) -> Vec<String> {
        let mut events = Vec::new();
        let mut chunks = Chunks {
            id: "chatcmpl-1".into(),
            model: "m".to_owned(),
            created: 1,
            include_usage: true,
            over: false,
            failed: false,
        };
        chunks.spell(said, 0, &mut events);
        events.iter().map(|event| event.data().to_owned()).collect()
    }

    #[test]
    fn an_answer_is_chunks_and_done() {
        let begin: Value = serde_json::from_str(&data(&Said::Beginning)[0]).unwrap();
        assert_eq!(
            begin["choices"][0]["delta"],
            json!({ "role": "assistant", "content": "" })
        );
        assert_eq!(begin["usage"], Value::Null);
        let done = data(&Said::End(&Ending::Done(Summary {
            finish_reason: Some("stop".to_owned()),
            usage: Some(json!({ "total_tokens": 3 })),
            ..Summary::default()
        })));
        let last: Value = serde_json::from_str(&done[0]).unwrap();
        assert_eq!(last["choices"][0]["finish_reason"], "stop");
        let usage: Value = serde_json::from_str(&done[1]).unwrap();
        assert_eq!(
            (&usage["choices"], &usage["usage"]["total_tokens"]),
            (&json!([]), &json!(3))
        );
        assert_eq!(done[2], "[DONE]");
    }

    #[test]
    fn a_failure_is_told_and_ended() {
        let failed = data(&Said::End(&Ending::failed("gone")));
        let error: Value = serde_json::from_str(&failed[0]).unwrap();
        assert_eq!(error["error"]["message"], "gone");
        assert_eq!(failed[1], "[DONE]");
    }
}
