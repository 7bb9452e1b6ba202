//! What there is to tell of a run: `GET /v1/runs/{id}`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::part::{Ending, Part, State};
use super::push::{Desk, Progress};
use super::story::Story;
use crate::dialect::Head;

/// A run at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) outline: Outline,
    pub(crate) thinking: String,
    pub(crate) text: String,
}

/// A run at one moment, without what it said. Times are in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Outline {
    id: String,
    pub(crate) state: State,
    /// None of a run that an app pushes.
    model: Option<String>,
    /// Seconds since 1970.
    created: u64,
    /// Events of the native dialect so far.
    events: u64,
    /// Pieces of thought and answer that the producer gave.
    tokens: u64,
    /// How many of them came while nobody was reading.
    unread_tokens: u64,
    readers: usize,
    first_token_ms: Option<u64>,
    /// From the beginning to the end, or to now.
    duration_ms: u64,
    pub(crate) finish_reason: Option<String>,
    pub(crate) usage: Option<Value>,
    pub(crate) error: Option<String>,
    /// How far those who push are; none of a run that the server feeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<Progress>,
}

impl Report {
    pub(super) fn of(outline: Outline, story: &Story) -> Self {
        let (mut thinking, mut text) = (String::new(), String::new());
        for part in story.parts() {
            match part {
                Part::Thinking(piece) => thinking.push_str(piece),
                Part::Answer(piece) => text.push_str(piece),
                Part::Tool(_) | Part::Progress(_) | Part::Usage(_) => {}
            }
        }
        Self {
            outline,
            thinking,
            text,
        }
    }
}

impl Outline {
    pub(super) fn of(head: &Head, born: Instant, readers: usize, story: &Story) -> Self {
        let since = |end: Instant| milliseconds(end.saturating_duration_since(born));
        let (finish_reason, counts) = match story.ending() {
            Some(Ending::Done(summary)) => (summary.finish_reason.clone(), summary.usage.clone()),
            // As the event says it.
            Some(Ending::Cancelled) => (Some("cancelled".to_owned()), None),
            _ => (None, None),
        };
        Self {
            id: (*head.id).to_owned(),
            state: story.state(),
            model: (!head.model.is_empty()).then(|| head.model.clone()),
            created: head.created,
            events: story.events(),
            tokens: story.tally.tokens,
            unread_tokens: story.tally.unread,
            readers,
            first_token_ms: story.tally.first.map(since),
            duration_ms: since(story.ended().unwrap_or_else(Instant::now)),
            finish_reason,
            usage: counts.or_else(|| story.usage().cloned()),
            error: story.ending().and_then(Ending::message).map(str::to_owned),
            producer: story.desk.as_ref().map(Desk::progress),
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
