//! What came of a run: every subscriber's books, their totals, and how late the events were.

mod comparison;
mod expectation;
pub mod html;
mod json;
mod rows;
mod text;

use std::time::Duration;

use crate::account::Tally;
use crate::cut::Cuts;
use crate::hostile::Misconduct;
use crate::latency::{Latency, Quantile};
use crate::meter::Distributions;
use crate::publisher::Published;
use crate::run::{Moment, Recovery};
use crate::subscriber::{End, Journey, SubscriberReport};
use crate::target::Protocol;
pub use comparison::Comparison;
pub use expectation::{Expectation, NotAnExpectation};
use html::RunPage;
pub(crate) use json::csv;
pub(crate) use text::columns;

/// The result of a run. `Display` prints it as a table for people; [`Report::to_json`] for programs.
#[derive(Clone, Debug)]
pub struct Report {
    /// The URL.
    pub target: String,
    /// The protocol spoken.
    pub protocol: Protocol,
    /// Whether over TLS.
    pub secure: bool,
    /// Connections at any time.
    pub connections: usize,
    /// How often subscribers cut themselves off.
    pub cuts: Cuts,
    /// What chance was drawn from.
    pub seed: u64,
    /// Whether somebody else published: latency then counts from the first subscriber that had an event.
    pub listening: bool,
    /// Events published, and owed to each subscriber that was there from the start.
    pub events: u64,
    /// Every subscriber, in order.
    pub subscribers: Vec<SubscriberReport>,
    /// The publisher's side.
    pub published: Published,
    /// Delivery latency of every first arrival, counted from the moment at which the event was due.
    pub latency: Latency,
    /// What else was measured of every delivery.
    pub distributions: Distributions,
    /// What crossed the subscribers' sockets.
    pub traffic: Traffic,
    /// What it cost.
    pub costs: Costs,
    /// The run, second by second.
    pub seconds: Vec<Moment>,
    /// How the crowd came back from a storm, if there was one.
    pub recovery: Option<Recovery>,
    /// What became of those who misbehaved beside the subscribers.
    pub misconduct: Vec<Misconduct>,
    /// Until every subscriber's stream was open.
    pub opening: Duration,
    /// The whole run.
    pub took: Duration,
}

/// What crossed the subscribers' sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Events that arrived, of any kind.
    pub arrivals: u64,
    /// Bytes of their data.
    pub payload: u64,
    /// Bytes read since all streams were open, with framing, heartbeats and TLS.
    pub wire: u64,
    /// Bytes read before: handshakes and heads.
    pub opening: u64,
    /// Bytes written, mostly requests.
    pub requests: u64,
}

/// What a run cost this program, and the server if its process is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Processor time of this program.
    pub own_cpu: Duration,
    /// Processor time of the server.
    pub server_cpu: Option<Duration>,
    /// The server's resident memory before the first stream, in bytes.
    pub server_memory_before: Option<u64>,
    /// ... when all streams were open.
    pub server_memory_open: Option<u64>,
    /// ... at its highest, of those looked at each second.
    pub server_memory_peak: Option<u64>,
}

/// The sums over all subscribers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The books; no ranges of missing events.
    pub tally: Tally,
    /// The travels.
    pub journey: Journey,
    /// Subscribers that stopped before the run was over.
    pub stopped_early: u64,
    /// Subscribers whose first stream was refused, or could not be opened.
    pub refused: u64,
    /// Subscribers whose first stream was never answered: they wait in a queue of the server's, or for a stream.
    pub starved: u64,
}

impl Report {
    /// Adds all subscribers up.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for subscriber in &self.subscribers {
            totals.tally.add(&subscriber.tally);
            totals.journey.add(&subscriber.journey);
            let (never_open, over) = (!subscriber.was_open(), subscriber.end == End::RunOver);
            totals.stopped_early += u64::from(!over);
            totals.refused += u64::from(never_open && !over);
            totals.starved += u64::from(never_open && over);
        }
        totals
    }

    /// Whether every subscriber got every event, once, in order, under ids of their own, and none was told of a gap.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.faulty().next().is_none()
    }

    /// The subscribers that did not.
    pub fn faulty(&self) -> impl Iterator<Item = &SubscriberReport> {
        self.subscribers
            .iter()
            .filter(|subscriber| !subscriber.tally.is_complete() || !subscriber.was_open())
    }

    /// Protocol and encryption, in words: `HTTP/1.1 over TLS`.
    #[must_use]
    pub fn transport(&self) -> String {
        let security = if self.secure { " over TLS" } else { "" };
        format!("{}{security}", self.protocol)
    }

    /// One self-contained HTML document: the figures, and plots of latency, rate, open streams and completeness.
    #[must_use]
    pub fn to_html(&self) -> String {
        RunPage::of(std::slice::from_ref(self)).to_html()
    }

    /// The latency that the share `quantile` (0 to 1) of all deliveries kept; one that is lost is infinitely late.
    #[must_use]
    pub fn latency_at(&self, quantile: f64) -> Quantile {
        self.latency.quantile(quantile, self.totals().tally.lost)
    }

    /// Bytes on the wire for each event that arrived, heads and handshakes left out.
    #[must_use]
    pub fn bytes_per_event(&self) -> Option<f64> {
        per(self.traffic.wire as f64, self.traffic.arrivals)
    }

    /// Bytes on the wire for each byte of data, less one: 0.1 is 10 % of overhead.
    #[must_use]
    pub fn overhead(&self) -> Option<f64> {
        per(self.traffic.wire as f64, self.traffic.payload).map(|ratio| ratio - 1.0)
    }

    /// The server's processor time for each delivery.
    #[must_use]
    pub fn server_cpu_per_delivery(&self) -> Option<Duration> {
        let seconds = per(self.costs.server_cpu?.as_secs_f64(), self.traffic.arrivals)?;
        Some(Duration::from_secs_f64(seconds))
    }

    /// This program's processor time for each delivery.
    #[must_use]
    pub fn own_cpu_per_delivery(&self) -> Option<Duration> {
        let seconds = per(self.costs.own_cpu.as_secs_f64(), self.traffic.arrivals)?;
        Some(Duration::from_secs_f64(seconds))
    }

    /// What the server's memory grew by for each stream that was opened, in bytes.
    #[must_use]
    pub fn server_memory_per_stream(&self) -> Option<f64> {
        let before = self.costs.server_memory_before?;
        let grown = self.costs.server_memory_open?.saturating_sub(before);
        let open = self
            .subscribers
            .iter()
            .filter(|subscriber| subscriber.was_open());
        per(grown as f64, open.count() as u64)
    }

    /// Deliveries per second, from the first event to the last answer.
    #[must_use]
    pub fn deliveries_per_second(&self) -> f64 {
        let seconds = self.published.took.as_secs_f64();
        if seconds > 0.0 {
            self.traffic.arrivals as f64 / seconds
        } else {
            0.0
        }
    }
}

fn per(quantity: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| quantity / count as f64)
}
