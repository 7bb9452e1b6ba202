//! The spellings of a run: one story, told in the words of each kind of client.
//!
//! A dialect is one file (and a folder, if it is long) in here and one line in [`DIALECTS`]. It says how
//! the parts of a run are spelled ([`Speller`]), at which doors of the program it is spoken ([`Door`]),
//! and, where upstreams speak it too, how it is read ([`Language`]). The mapping stands in its doc
//! comment, and golden files beside its tests show it.

mod ai_sdk;
mod anthropic;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod heard;
mod langgraph;
mod native;
mod openai;
mod responses;
mod usage;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use wellspring::event::Event;
use wellspring::{last_event_id, query};

pub(crate) use self::native::push;
use crate::answer::Answer;
use crate::call::Call;
use crate::problem::Problem;
use crate::run::{Ending, From, Part};
pub(crate) use crate::upstream::language::{Heard, Interpreter, KeyHeader, Language, Misheard};

/// Every dialect that is spoken.
pub(crate) const DIALECTS: &[&dyn Dialect] = &[
    NATIVE,
    &openai::OpenAi,
    &anthropic::Anthropic,
    &responses::Responses,
    &ai_sdk::AiSdk,
    &langgraph::LangGraph,
];

/// Our own.
pub(crate) const NATIVE: &dyn Dialect = &native::Native;

/// A spelling of runs, and the doors at which it is spoken.
pub(crate) trait Dialect: fmt::Debug + Send + Sync {
    /// Its name in `?as=`.
    fn name(&self) -> &'static str;

    /// What it is spoken at, beside `GET /v1/runs/{id}/events?as=`.
    fn doors(&self) -> &'static [Door] {
        &[]
    }

    /// Begins to tell a run.
    fn speller(&self, head: &Head) -> Box<dyn Speller>;

    /// Whether its events carry ids.
    fn has_ids(&self) -> bool {
        true
    }

    /// Whether its clients come back by themselves, and are told when.
    fn reconnects(&self) -> bool {
        false
    }

    /// Whether a late joiner may be told several events as one: not where clients count them.
    fn merges(&self) -> bool {
        true
    }

    /// Where the client wants to begin, in the dialect's own words.
    fn from(&self, request: &Parts) -> From {
        cursor(request)
    }

    /// An error before there is a stream, in the shape that its clients show to people.
    fn refuse(&self, status: StatusCode, message: &str) -> Answer {
        Problem::new(status, message.to_owned()).into_answer()
    }

    /// The headers that its clients look for.
    fn mark(&self, _head: &Head, _headers: &mut HeaderMap) {}
}

/// Tells one run in one dialect, from its beginning on.
pub(crate) trait Speller: fmt::Debug + Send {
    /// Adds the events that say this; most parts are one, some are several or none. The first of them
    /// will have the number `at`.
    fn spell(&mut self, said: &Said<'_>, at: u64, events: &mut Vec<Event<'static>>);

    /// The data of an upstream's own event, as it is passed on with the number `at`: as it came, unless
    /// the dialect numbers its events itself. Here the speller learns what was said without it.
    fn repeat<'a>(&mut self, _event_type: &str, data: &'a str, _at: u64) -> Cow<'a, str> {
        Cow::Borrowed(data)
    }

    /// All that was said in one JSON document, in dialects that have one.
    fn whole(&self) -> Option<String> {
        None
    }
}

/// What there is to spell.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Said<'a> {
    /// Comes first, once.
    Beginning,
    Part(&'a Part),
    /// Comes last, once. It is all that comes of a run that was passed on word for word; where the
    /// upstream's own words told the end, there is nothing to add to them.
    End(&'a Ending),
}

/// What is the same in each event of a run.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) id: Arc<str>,
    pub(crate) model: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// Whether the client asked for token counts.
    pub(crate) include_usage: bool,
    /// What the dialect in which the run began keeps of its request: a chat, a thread.
    pub(crate) conversation: Option<Conversation>,
}

/// A type of the dialect's own, which no other dialect can read.
pub(crate) type Conversation = Arc<dyn Any + Send + Sync>;

impl Head {
    /// What this dialect keeps of the request, if the run began in it.
    pub(crate) fn conversation<T: 'static>(&self) -> Option<&T> {
        self.conversation.as_ref()?.downcast_ref()
    }
}

/// One route of a dialect.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) method: Method,
    /// As the router has it: `/v1/responses/{response}`.
    pub(crate) path: &'static str,
    pub(crate) open: Open,
}

/// What happens at a door. The request's body was read already.
pub(crate) type Open = for<'a> fn(Call<'a>) -> Opening<'a>;

/// An answer in the making.
pub(crate) type Opening<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// The dialect of this name.
pub(crate) fn named(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS
        .iter()
        .copied()
        .find(|dialect| dialect.name() == name)
}

/// What is wrong with a request's JSON, for people: serde_json repeats what it found, however long.
pub(crate) fn misread(what: &str, why: &serde_json::Error) -> String {
    let why: String = why.to_string().chars().take(200).collect();
    format!("no {what}: {why}")
}

/// Where a client wants to begin: `Last-Event-ID`, or else `?last_event_id=`, or else `?after=`, each an
/// id, the number of the last event seen, `-1` for the beginning, or `now`.
pub(crate) fn cursor(request: &Parts) -> From {
    let header = request.headers.get(wellspring::LAST_EVENT_ID);
    let header = header.map(|id| String::from_utf8_lossy(id.as_bytes()));
    let given: Option<Cow<'_, str>> = header
        .filter(|id| !id.is_empty())
        .or_else(|| query(request, "last_event_id"))
        .or_else(|| query(request, "after"))
        .filter(|id| !id.is_empty());
    match given.as_deref() {
        None | Some("-1" | "earliest") => From::Beginning,
        Some("now") => From::Now,
        Some(given) => match given.parse::<u64>() {
            Ok(last) => From::Number(last.saturating_add(1)),
            Err(_) => From::Id(
                last_event_id(request)
                    .unwrap_or_else(|| wellspring::Start::from_last_event_id(given)),
            ),
        },
    }
}
