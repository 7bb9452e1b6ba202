//! What comes of a trial.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::lab::Transport;
use crate::latency::{Latency, Quantile};
use crate::process::Usage;

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Over what.
    pub transport: Transport,
    /// Users.
    pub users: usize,
    /// Tabs of each user.
    pub tabs: usize,
    /// Host names that the streams were spread over; 0: the page's own.
    pub shards: usize,
    /// Streams on which events came, of all users.
    pub live: usize,
    /// Streams that waited for a place to the end, CONNECTING.
    pub waiting: usize,
    /// Sockets that all users opened, the page's included.
    pub sockets: usize,
    /// TLS handshakes among them.
    pub handshakes: usize,
    /// From asking to the first event, of each live tab in order of its opening, in seconds.
    #[serde(serialize_with = "all_seconds")]
    pub first_event: Vec<Duration>,
    /// What an ordinary fetch took while nothing else was open, of the slowest user, in seconds.
    #[serde(serialize_with = "seconds")]
    pub fetch_alone: Duration,
    /// What it took beside the open tabs, of the slowest user.
    pub fetch: Wait,
    /// What closing a tab changed, if the fetch had waited for that. One user only.
    pub after_close: Option<AfterClose>,
    /// Events that arrived on live tabs: all that were published.
    pub delivered: u64,
    /// How late, counted from the moment at which each should have been sent.
    #[serde(serialize_with = "percentiles")]
    pub latency: Latency,
    /// What it cost the server, if its process could be watched.
    pub cost: Option<Cost>,
}

/// How long something waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// So long.
    Answered(Duration),
    /// Longer than the patience of the trial, with nothing that would have ended it.
    ForEver,
}

/// What happened when the first tab was closed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AfterClose {
    /// Until the next waiting tab was live, if one waited.
    pub next_tab: Option<Wait>,
    /// Until the fetch was answered.
    pub fetch: Wait,
}

/// What the tabs cost the server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Bytes by which its memory grew, per live tab. With few tabs that is the allocator's chance, not the tabs' price.
    pub memory_per_tab: f64,
    /// Seconds of CPU for opening, per live tab: connection, handshake, request and first event.
    pub opening_per_tab: f64,
    /// Seconds of CPU per delivered event.
    pub per_event: f64,
}

impl Cost {
    /// From readings before the tabs, with them open, before the events and after them.
    pub(super) fn of(
        [before, open, listening, after]: [Option<Usage>; 4],
        live: usize,
        delivered: u64,
    ) -> Option<Self> {
        let (before, open) = (before?, open?);
        let tabs = live.max(1) as f64;
        let spent = |from: Usage, to: Usage| to.cpu.saturating_sub(from.cpu).as_secs_f64();
        Some(Self {
            memory_per_tab: (open.resident as f64 - before.resident as f64) / tabs,
            opening_per_tab: spent(before, open) / tabs,
            per_event: spent(listening?, after?) / delivered.max(1) as f64,
        })
    }
}

impl Serialize for Wait {
    /// Seconds; null for ever.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Answered(after) => serializer.serialize_some(&after.as_secs_f64()),
            Self::ForEver => serializer.serialize_none(),
        }
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn all_seconds<S: Serializer>(durations: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(durations.iter().map(Duration::as_secs_f64))
}

fn percentiles<S: Serializer>(latency: &Latency, serializer: S) -> Result<S::Ok, S::Error> {
    let at = |quantile| match latency.quantile(quantile, 0) {
        Quantile::At(latency) => Some(latency.as_secs_f64()),
        Quantile::Lost | Quantile::Unmeasured => None,
    };
    let points = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];
    serializer.collect_map(points.map(|(name, quantile)| (name, at(quantile))))
}
