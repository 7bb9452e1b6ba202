//! The report for programs. `schema` grows by one whenever a key changes its meaning or goes; new keys may come.
//!
//! Times are in seconds. There is no NaN and no infinity: a percentile that was not reached is `null`, and `lost`
//! says why.

use std::time::Duration;

use serde::Serialize;

use super::Report;
use crate::account::Tally;
use crate::latency::{Latency, Quantile};
use crate::subscriber::{Journey, SubscriberReport};
use crate::target::Protocol;

const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    target: &'a str,
    protocol: Protocol,
    tls: bool,
    complete: bool,
    subscribers: usize,
    connections: usize,
    events: u64,
    cuts: String,
    seed: u64,
    opening: f64,
    publishing: f64,
    publish_lag: Percentiles,
    took: f64,
    totals: Sums<'a>,
    latency: Percentiles,
    stopped_early: u64,
    faulty: Vec<&'a SubscriberReport>,
}

/// The totals: books and travels under one roof.
#[derive(Serialize)]
struct Sums<'a> {
    #[serde(flatten)]
    tally: &'a Tally,
    #[serde(flatten)]
    journey: &'a Journey,
}

/// Seconds, or `null` where too much was lost.
#[derive(Serialize)]
struct Percentiles {
    count: u64,
    beyond_60_s: u64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

impl Report {
    /// The report as one JSON object, pretty-printed, without a line break at its end.
    ///
    /// Its keys are those of the text report; `faulty` lists every subscriber that was not served faultlessly.
    #[must_use]
    pub fn to_json(&self) -> String {
        let totals = self.totals();
        let document = Document {
            schema: SCHEMA,
            target: &self.target,
            protocol: self.protocol,
            tls: self.secure,
            complete: self.is_complete(),
            subscribers: self.subscribers.len(),
            connections: self.connections,
            events: self.events,
            cuts: self.cuts.to_string(),
            seed: self.seed,
            opening: self.opening.as_secs_f64(),
            publishing: self.published.took.as_secs_f64(),
            publish_lag: Percentiles::of(&self.published.lag, 0),
            took: self.took.as_secs_f64(),
            totals: Sums {
                tally: &totals.tally,
                journey: &totals.journey,
            },
            latency: Percentiles::of(&self.latency, totals.tally.lost),
            stopped_early: totals.stopped_early,
            faulty: self.faulty().collect(),
        };
        serde_json::to_string_pretty(&document).expect("numbers, strings and lists are always JSON")
    }
}

impl Percentiles {
    fn of(latency: &Latency, lost: u64) -> Self {
        let seconds = |quantile| match latency.quantile(quantile, lost) {
            Quantile::At(latency) => Some(Duration::as_secs_f64(&latency)),
            Quantile::Lost | Quantile::Unmeasured => None,
        };
        Self {
            count: latency.count(),
            beyond_60_s: latency.beyond(),
            p50: seconds(0.5),
            p90: seconds(0.9),
            p99: seconds(0.99),
            max: seconds(1.0),
        }
    }
}
