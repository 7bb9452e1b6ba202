//! A run, spelled as the events of a response.

mod item;
mod theirs;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};
use wellspring::event::{Event, EventType};

use super::response;
use crate::dialect::{Head, Said, Speller};
use crate::run::{Ending, Part, ToolCall};
use item::{Content, Item};
use theirs::Theirs;

/// A response in the making.
#[derive(Debug)]
pub(super) struct Telling {
    run: Arc<str>,
    /// The object, without its output.
    response: Value,
    items: Vec<Item>,
    /// Whether the last item is not complete.
    open: bool,
    theirs: Theirs,
    /// The response after the end.
    ended: Option<String>,
}

/// Numbers events, and writes them down.
#[derive(Debug)]
struct Page<'a> {
    number: u64,
    events: &'a mut Vec<Event<'static>>,
}

impl Telling {
    pub(super) fn new(head: &Head) -> Self {
        Self {
            run: Arc::clone(&head.id),
            response: response::begin(head),
            items: Vec::new(),
            open: false,
            theirs: Theirs::default(),
            ended: None,
        }
    }

    fn begin(&self, page: &mut Page<'_>) {
        for name in ["response.created", "response.in_progress"] {
            page.write(name, json!({ "response": self.response }));
        }
    }

    /// A piece of text in an item of its kind: the one that is open, or a new one.
    fn add_text(&mut self, content: Content, text: &str, page: &mut Page<'_>) {
        let last = self.items.last().filter(|_| self.open);
        if last.is_none_or(|last| last.content != content) {
            self.open(content, page);
        }
        if let Some(item) = self.items.last_mut() {
            item.add(text, page);
        }
    }

    fn add_call(&mut self, call: &ToolCall, page: &mut Page<'_>) {
        // Even of one that another has followed: clients put it where its index says.
        let known = self.items.iter().rposition(|item| item.is_begun_by(call));
        let at = known.unwrap_or_else(|| {
            self.open(Content::of_call(call), page);
            self.items.len() - 1
        });
        if !call.arguments.is_empty() {
            self.items[at].add(&call.arguments, page);
        }
    }

    fn open(&mut self, content: Content, page: &mut Page<'_>) {
        self.close(page);
        let item = Item::new(&self.run, self.items.len(), content);
        item.open(page);
        self.items.push(item);
        self.open = true;
    }

    fn close(&mut self, page: &mut Page<'_>) {
        if std::mem::take(&mut self.open)
            && let Some(item) = self.items.last()
        {
            item.close(page);
        }
    }

    fn end(&mut self, ending: &Ending, page: &mut Page<'_>) {
        let told = self.theirs.end();
        if told != Some(theirs::End::Whole) {
            if matches!(ending, Ending::Done(_)) {
                self.close(page);
            }
            // Of a response that an upstream began, clients know what that said of it.
            let theirs = self.theirs.parsed();
            let mut response = theirs.unwrap_or_else(|| self.object("incomplete"));
            let name = response::end(&mut response, ending);
            self.ended = Some(response.to_string());
            if told.is_none() {
                page.write(name, json!({ "response": response }));
            }
        }
        page.events.push(Event::new("[DONE]"));
    }

    /// The response as it stands; the item that is open, if one is, with this status.
    fn object(&self, open: &str) -> Value {
        let closed = self.items.len() - usize::from(self.open);
        let output = self
            .items
            .iter()
            .enumerate()
            .map(|(at, item)| item.to_json(if at < closed { "completed" } else { open }));
        let mut response = self.response.clone();
        response["output"] = output.collect();
        response
    }
}

impl Speller for Telling {
    fn spell(&mut self, said: &Said<'_>, at: u64, events: &mut Vec<Event<'static>>) {
        let page = &mut Page { number: at, events };
        match said {
            Said::Beginning => self.begin(page),
            Said::Part(Part::Thinking(text)) => self.add_text(Content::Thinking, text, page),
            Said::Part(Part::Answer(text)) => self.add_text(Content::Answer, text, page),
            Said::Part(Part::Tool(call)) => self.add_call(call, page),
            Said::Part(Part::Progress(_) | Part::Usage(_)) => {}
            Said::End(ending) => self.end(ending, page),
        }
    }

    fn repeat<'a>(&mut self, _: &str, data: &'a str, at: u64) -> Cow<'a, str> {
        self.theirs.repeat(data, at)
    }

    fn whole(&self) -> Option<String> {
        let given = self.ended.as_deref().or(self.theirs.response());
        let given = given.map(str::to_owned);
        Some(given.unwrap_or_else(|| self.object("in_progress").to_string()))
    }
}

impl Page<'_> {
    /// The next event. Its name is also its data's `type`, as Open Responses says.
    fn write(&mut self, name: &'static str, fields: Value) {
        let mut data = json!({ "type": name, "sequence_number": self.number });
        if let (Value::Object(data), Value::Object(fields)) = (&mut data, fields) {
            data.extend(fields);
        }
        self.number += 1;
        let name = EventType::new(name).expect("a word");
        self.events
            .push(Event::new(data.to_string()).with_type(name));
    }
}
