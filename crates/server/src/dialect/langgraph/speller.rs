//! A run, spelled as the events of a graph with one node.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};
use wellspring::event::{Event, EventType};

use super::message::Message;
use super::request::Mode;
use super::{Asked, ThreadId};
use crate::dialect::usage::Usage;
use crate::dialect::{Head, Said, Speller};
use crate::run::{Ending, Part, Summary, ToolCall};

/// The one node of the graph.
const NODE: &str = "model";

#[derive(Debug)]
pub(super) struct Events {
    run: Arc<str>,
    model: String,
    thread: Option<ThreadId>,
    modes: Vec<Mode>,
    /// What was said before.
    before: Arc<[Message]>,
    answer: Answer,
    /// How much of the answer was told with the last `messages/partial`, in bytes.
    told: usize,
}

/// The answer so far.
#[derive(Debug, Default)]
struct Answer {
    content: String,
    thinking: String,
    calls: Vec<ToolCall>,
    /// Its end, if it is whole.
    summary: Option<Summary>,
}

impl Events {
    pub(super) fn new(head: &Head) -> Self {
        let asked = head.conversation::<Asked>();
        Self {
            run: Arc::clone(&head.id),
            model: head.model.clone(),
            thread: asked.and_then(|asked| asked.thread.clone()),
            modes: asked.map_or_else(
                || vec![Mode::MessagesTuple, Mode::Values, Mode::Custom],
                |asked| asked.modes.clone(),
            ),
            before: asked.map_or_else(Arc::default, |asked| Arc::clone(&asked.messages)),
            answer: Answer::default(),
            told: 0,
        }
    }

    fn begin(&self, events: &mut Vec<Event<'static>>) {
        let metadata = json!({ "run_id": &*self.run, "thread_id": self.thread });
        events.push(event("metadata", &metadata));
        if self.wants(Mode::Values) {
            events.push(event("values", &self.values()));
        }
        if self.wants(Mode::Messages) {
            let metadata = json!({ &*self.run: { "metadata": self.metadata() } });
            events.push(event("messages/metadata", &metadata));
        }
    }

    /// A piece of the message: of its text, or of something else that it has.
    fn piece(
        &mut self,
        content: &str,
        other: Option<(&str, Value)>,
        events: &mut Vec<Event<'static>>,
    ) {
        if self.wants(Mode::MessagesTuple) {
            events.push(self.tuple(content, other));
        }
        // Each tells all of it: were there one for each piece, they would grow with the square of it.
        let length = self.answer.len();
        if self.wants(Mode::Messages) && length - self.told >= length.div_ceil(64) {
            self.told = length;
            events.push(event("messages/partial", &[self.message()]));
        }
    }

    fn end(&mut self, ending: &Ending, events: &mut Vec<Event<'static>>) {
        let error = match ending {
            Ending::Done(summary) => return self.finish(summary, events),
            Ending::Cancelled => "UserInterrupt",
            Ending::Failed { .. } => "UpstreamError",
            Ending::Expired => "TimeoutError",
        };
        let message = ending.message();
        let error = json!({ "error": error, "message": message });
        events.push(event("error", &error));
    }

    fn finish(&mut self, summary: &Summary, events: &mut Vec<Event<'static>>) {
        self.answer.summary = Some(summary.clone());
        if self.wants(Mode::MessagesTuple) {
            events.push(self.tuple("", self.closing(summary)));
        }
        if self.wants(Mode::Messages) {
            events.push(event("messages/complete", &[self.message()]));
        }
        if self.wants(Mode::Updates) {
            let update = json!({ NODE: { "messages": [self.message()] } });
            events.push(event("updates", &update));
        }
        if self.wants(Mode::Values) {
            events.push(event("values", &self.values()));
        }
        events.push(event("end", &Value::Null));
    }

    fn wants(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }

    fn tuple<'a>(
        &self,
        content: &str,
        others: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> Event<'static> {
        let mut chunk = Message::of_model("AIMessageChunk", &self.run, content);
        for (name, value) in others {
            chunk.set(name, value);
        }
        event("messages", &(chunk, self.metadata()))
    }

    fn metadata(&self) -> Value {
        json!({ "langgraph_node": NODE, "run_id": &*self.run, "tags": [] })
    }

    /// The thread's messages; the answer is one when it is whole.
    fn values(&self) -> Value {
        let answer = self.answer.summary.as_ref().map(|_| self.message());
        let messages: Vec<&Message> = self.before.iter().chain(&answer).collect();
        json!({ "messages": messages })
    }

    /// The answer as a message.
    fn message(&self) -> Message {
        let answer = &self.answer;
        let mut message = Message::of_model("ai", &self.run, &answer.content);
        if !answer.thinking.is_empty() {
            let (name, thinking) = thought(&answer.thinking);
            message.set(name, thinking);
        }
        let (calls, invalid) = answer.calls();
        if !calls.is_empty() {
            message.set("tool_calls", calls.into());
        }
        if !invalid.is_empty() {
            message.set("invalid_tool_calls", invalid.into());
        }
        if let Some(summary) = &answer.summary {
            for (name, value) in self.closing(summary) {
                message.set(name, value);
            }
        }
        message
    }

    /// What a message has when it is whole.
    fn closing(&self, summary: &Summary) -> Vec<(&'static str, Value)> {
        let metadata = json!({ "finish_reason": summary.finish_reason, "model_name": self.model });
        let usage = summary.usage.as_ref().map(|counts| {
            let usage = Usage::read(counts);
            json!({
                "input_tokens": usage.input,
                "output_tokens": usage.output,
                "total_tokens": usage.total(),
            })
        });
        let usage = usage.map(|usage| ("usage_metadata", usage));
        [("response_metadata", metadata)]
            .into_iter()
            .chain(usage)
            .collect()
    }
}

impl Speller for Events {
    fn spell(&mut self, said: &Said<'_>, _: u64, events: &mut Vec<Event<'static>>) {
        match said {
            Said::Beginning => self.begin(events),
            Said::Part(Part::Answer(text)) => {
                self.answer.content.push_str(text);
                self.piece(text, None, events);
            }
            Said::Part(Part::Thinking(text)) => {
                self.answer.thinking.push_str(text);
                self.piece("", Some(thought(text)), events);
            }
            Said::Part(Part::Tool(piece)) => {
                let mut chunk = json!({
                    "type": "tool_call_chunk", "index": piece.index, "args": piece.arguments,
                });
                if self.answer.call(piece) {
                    // Once: what a piece repeats, LangChain puts behind what it has.
                    chunk["id"] = json!(piece.id);
                    chunk["name"] = json!(piece.name);
                }
                self.piece("", Some(("tool_call_chunks", json!([chunk]))), events);
            }
            Said::Part(Part::Progress(progress)) => {
                if self.wants(Mode::Custom) {
                    events.push(event("custom", progress));
                }
            }
            Said::Part(Part::Usage(_)) => {}
            Said::End(ending) => self.end(ending, events),
        }
    }

    /// The state of the thread.
    fn whole(&self) -> Option<String> {
        Some(self.values().to_string())
    }
}

impl Answer {
    /// Whether it is the first of its call.
    fn call(&mut self, piece: &ToolCall) -> bool {
        let known = self
            .calls
            .iter_mut()
            .rfind(|call| call.index == piece.index && (piece.id.is_none() || piece.id == call.id));
        let is_first = known.is_none();
        match known {
            Some(known) => known.arguments.push_str(&piece.arguments),
            None => self.calls.push(piece.clone()),
        }
        is_first
    }

    /// The calls whose arguments are JSON, and those whose are not.
    fn calls(&self) -> (Vec<Value>, Vec<Value>) {
        let (mut calls, mut invalid) = (Vec::new(), Vec::new());
        for ToolCall {
            id,
            name,
            arguments,
            ..
        } in &self.calls
        {
            let args = match arguments.trim() {
                "" => Ok(Map::new()),
                arguments => serde_json::from_str::<Map<_, _>>(arguments),
            };
            match args {
                Ok(args) => {
                    let call = json!({ "type": "tool_call", "id": id, "name": name, "args": args });
                    calls.push(call);
                }
                Err(error) => invalid.push(json!({
                    "type": "invalid_tool_call", "id": id, "name": name, "args": arguments,
                    "error": error.to_string(),
                })),
            }
        }
        (calls, invalid)
    }

    fn len(&self) -> usize {
        let calls = self.calls.iter().map(|call| 1 + call.arguments.len());
        self.content.len() + self.thinking.len() + calls.sum::<usize>()
    }
}

/// Under DeepSeek's name, as LangChain has it, too.
fn thought(text: &str) -> (&'static str, Value) {
    ("additional_kwargs", json!({ "reasoning_content": text }))
}

fn event(name: &'static str, data: &(impl Serialize + ?Sized)) -> Event<'static> {
    let name = EventType::new(name).expect("a word");
    Event::json(data)
        .expect("our own structs have string keys")
        .with_type(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::golden;
    use crate::dialect::langgraph::LangGraph;

    fn asked(modes: &[Mode]) -> Head {
        Head {
            conversation: Some(Arc::new(Asked {
                thread: ThreadId::try_from("t".to_owned()).ok(),
                assistant: "agent".to_owned(),
                modes: modes.to_vec(),
                messages: [Message::read(&json!("Hello")).unwrap()].into(),
            })),
            ..golden::head()
        }
    }

    fn names(modes: &[Mode], parts: usize) -> Vec<String> {
        let mut speller = Events::new(&asked(modes));
        let mut events = Vec::new();
        speller.spell(&Said::Beginning, 0, &mut events);
        for _ in 0..parts {
            let part = Part::Answer("word ".to_owned());
            speller.spell(&Said::Part(&part), 0, &mut events);
        }
        let done = Ending::Done(Summary::default());
        speller.spell(&Said::End(&done), 0, &mut events);
        let names = events.iter().filter_map(Event::event_type);
        names.map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn stories_are_told_as_the_golden_files_have_them() {
        let modes = [
            Mode::MessagesTuple,
            Mode::Values,
            Mode::Updates,
            Mode::Custom,
        ];
        golden::assert_told(&LangGraph, &asked(&modes));
    }

    #[test]
    fn each_mode_has_its_events() {
        for (mode, wanted) in [
            (Mode::Values, &["metadata", "values", "values", "end"][..]),
            (Mode::Updates, &["metadata", "updates", "end"]),
            (
                Mode::MessagesTuple,
                &["metadata", "messages", "messages", "end"],
            ),
            (
                Mode::Messages,
                &[
                    "metadata",
                    "messages/metadata",
                    "messages/partial",
                    "messages/complete",
                    "end",
                ],
            ),
            (Mode::Other, &["metadata", "end"]),
        ] {
            assert_eq!(names(&[mode], 1), wanted, "{mode:?}");
        }
    }

    #[test]
    fn partial_messages_do_not_grow_with_the_square_of_the_answer() {
        let partial = |parts| {
            let names = names(&[Mode::Messages], parts);
            names
                .iter()
                .filter(|name| *name == "messages/partial")
                .count()
        };
        assert_eq!(partial(60), 60);
        let (once, twice) = (partial(2_000), partial(4_000));
        assert!(twice - once < 64, "{once}, {twice}");
    }
}
