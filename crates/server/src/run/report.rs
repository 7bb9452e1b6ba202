//! What there is to tell of a run: `GET /v1/runs/{id}`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::part::{Ending, Part, State};
use super::story::Story;
use crate::dialect::Head;

/// A run at one moment. Times are in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    id: String,
    pub(crate) state: State,
    model: String,
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
    pub(crate) thinking: String,
    pub(crate) text: String,
}

impl Report {
    pub(super) fn of(head: &Head, born: Instant, readers: usize, story: &Story) -> Self {
        let ended = story.ended();
        let (mut thinking, mut text, mut usage) = (String::new(), String::new(), None);
        for part in story.parts() {
            match part {
                Part::Thinking(piece) => thinking.push_str(piece),
                Part::Answer(piece) => text.push_str(piece),
                Part::Usage(counts) => usage = Some(counts.clone()),
                Part::Tool(_) | Part::Progress(_) => {}
            }
        }
        let mut finish_reason = None;
        if let Some(Ending::Done(summary)) = story.ending() {
            finish_reason.clone_from(&summary.finish_reason);
            usage = summary.usage.clone().or(usage);
        }
        Self {
            id: (*head.id).to_owned(),
            state: story.state(),
            model: head.model.clone(),
            created: head.created,
            events: story.events(),
            tokens: story.tally.tokens,
            unread_tokens: story.tally.unread,
            readers,
            first_token_ms: story
                .tally
                .first
                .map(|first| milliseconds(first.saturating_duration_since(born))),
            duration_ms: milliseconds(ended.map_or_else(
                || born.elapsed(),
                |ended| ended.saturating_duration_since(born),
            )),
            finish_reason,
            usage,
            error: story.ending().and_then(Ending::message).map(str::to_owned),
            thinking,
            text,
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
