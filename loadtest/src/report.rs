//! What came of a run: every subscriber's books, their totals, and how late the events were.

pub mod html;
mod json;
mod text;

use std::time::Duration;

use crate::account::Tally;
use crate::cut::Cuts;
use crate::latency::{Latency, Quantile};
use crate::publisher::Published;
use crate::subscriber::{End, Journey, SubscriberReport};
use crate::target::Protocol;

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
    /// Events published, and owed to each subscriber.
    pub events: u64,
    /// Every subscriber, in order.
    pub subscribers: Vec<SubscriberReport>,
    /// The publisher's side.
    pub published: Published,
    /// Delivery latency of every first arrival, counted from the moment at which the event was due.
    pub latency: Latency,
    /// Until every subscriber's stream was open.
    pub opening: Duration,
    /// The whole run.
    pub took: Duration,
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
}

impl Report {
    /// Adds all subscribers up.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for subscriber in &self.subscribers {
            totals.tally.add(&subscriber.tally);
            totals.journey.add(&subscriber.journey);
            totals.stopped_early += u64::from(subscriber.end != End::RunOver);
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
            .filter(|subscriber| !subscriber.tally.is_complete())
    }

    /// The latency that the share `quantile` (0 to 1) of all deliveries kept; one that is lost is infinitely late.
    #[must_use]
    pub fn latency_at(&self, quantile: f64) -> Quantile {
        self.latency.quantile(quantile, self.totals().tally.lost)
    }
}
