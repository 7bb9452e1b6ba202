//! The report for programs: one JSON object, described by `loadtest/report.schema.json`. Its `schema` grows by one
//! whenever a key changes its meaning or goes; new keys may come.
//!
//! Times are in seconds, sizes in bytes. There is no NaN and no infinity: a percentile that was not reached is `null`,
//! and `lost` says why.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::{Comparison, Report};
use crate::account::Tally;
use crate::hostile::Misconduct;
use crate::latency::{Latency, Quantile};
use crate::run::{Moment, Recovery};
use crate::subscriber::{Journey, SubscriberReport};
use crate::target::Protocol;

const SCHEMA: u32 = 2;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    version: &'static str,
    target: &'a str,
    protocol: Protocol,
    tls: bool,
    listening: bool,
    complete: bool,
    subscribers: usize,
    connections: usize,
    refused: u64,
    starved: u64,
    stopped_early: u64,
    events: u64,
    cuts: String,
    seed: u64,
    opening: f64,
    publishing: f64,
    took: f64,
    publish_lag: Percentiles,
    totals: Sums<'a>,
    latency: Percentiles,
    headers: Percentiles,
    first_event: Percentiles,
    spread: Percentiles,
    gap: Percentiles,
    jitter: Percentiles,
    traffic: Traffic,
    costs: Costs,
    recovery: Option<&'a Recovery>,
    misconduct: &'a [Misconduct],
    seconds: &'a [Moment],
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

/// Seconds, or `null` where too much was lost or nothing was measured.
#[derive(Serialize)]
struct Percentiles {
    count: u64,
    beyond_60_s: u64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    p99_9: Option<f64>,
    max: Option<f64>,
}

#[derive(Serialize)]
struct Traffic {
    arrivals: u64,
    deliveries_per_second: f64,
    payload: u64,
    wire: u64,
    opening: u64,
    requests: u64,
    bytes_per_event: Option<f64>,
    overhead: Option<f64>,
}

#[derive(Serialize)]
struct Costs {
    own_cpu: f64,
    own_cpu_per_delivery: Option<f64>,
    server_cpu: Option<f64>,
    server_cpu_per_delivery: Option<f64>,
    server_memory_before: Option<u64>,
    server_memory_open: Option<u64>,
    server_memory_peak: Option<u64>,
    server_memory_per_stream: Option<f64>,
}

impl Report {
    /// The report as one JSON object, pretty-printed, without a line break at its end.
    ///
    /// Its keys are those of the text report; `faulty` lists every subscriber that was not served faultlessly.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.to_value()).expect("a JSON value is always JSON")
    }

    /// The report's figures as CSV: a header line and a line of values. The keys are those of the JSON, joined by dots.
    #[must_use]
    pub fn to_csv(&self) -> String {
        csv(&[self.to_value()])
    }

    fn to_value(&self) -> Value {
        let totals = self.totals();
        let of = |latency| Percentiles::of(latency, 0);
        let measured = &self.distributions;
        let seconds = |time: Duration| time.as_secs_f64();
        let document = Document {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            target: &self.target,
            protocol: self.protocol,
            tls: self.secure,
            listening: self.listening,
            complete: self.is_complete(),
            subscribers: self.subscribers.len(),
            connections: self.connections,
            refused: totals.refused,
            starved: totals.starved,
            stopped_early: totals.stopped_early,
            events: self.events,
            cuts: self.cuts.to_string(),
            seed: self.seed,
            opening: seconds(self.opening),
            publishing: seconds(self.published.took),
            took: seconds(self.took),
            publish_lag: of(&self.published.lag),
            totals: Sums {
                tally: &totals.tally,
                journey: &totals.journey,
            },
            latency: Percentiles::of(&self.latency, totals.tally.lost),
            headers: of(&measured.headers),
            first_event: of(&measured.first_event),
            spread: of(&measured.spread),
            gap: of(&measured.gap),
            jitter: of(&measured.jitter),
            traffic: Traffic {
                arrivals: self.traffic.arrivals,
                deliveries_per_second: self.deliveries_per_second(),
                payload: self.traffic.payload,
                wire: self.traffic.wire,
                opening: self.traffic.opening,
                requests: self.traffic.requests,
                bytes_per_event: self.bytes_per_event(),
                overhead: self.overhead(),
            },
            costs: Costs {
                own_cpu: seconds(self.costs.own_cpu),
                own_cpu_per_delivery: self.own_cpu_per_delivery().map(seconds),
                server_cpu: self.costs.server_cpu.map(seconds),
                server_cpu_per_delivery: self.server_cpu_per_delivery().map(seconds),
                server_memory_before: self.costs.server_memory_before,
                server_memory_open: self.costs.server_memory_open,
                server_memory_peak: self.costs.server_memory_peak,
                server_memory_per_stream: self.server_memory_per_stream(),
            },
            recovery: self.recovery.as_ref(),
            misconduct: &self.misconduct,
            seconds: &self.seconds,
            faulty: self.faulty().collect(),
        };
        serde_json::to_value(&document).expect("numbers, strings and lists are always JSON")
    }
}

impl Comparison {
    /// The reports as one JSON object with a list `runs`, pretty-printed, without a line break at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let runs: Vec<_> = self.0.iter().map(Report::to_value).collect();
        let document = serde_json::json!({ "schema": SCHEMA, "runs": runs });
        serde_json::to_string_pretty(&document).expect("a JSON value is always JSON")
    }

    /// A header line, and a line of values for each report.
    #[must_use]
    pub fn to_csv(&self) -> String {
        csv(&self.0.iter().map(Report::to_value).collect::<Vec<_>>())
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
            p99_9: seconds(0.999),
            max: seconds(1.0),
        }
    }
}

/// JSON objects of the same keys as a header line and a line for each. RFC 4180, but for its CRLF: what reads CSV reads LF. Lists are left out: they have no cell.
pub(crate) fn csv(documents: &[Value]) -> String {
    let mut text = String::new();
    for (index, document) in documents.iter().enumerate() {
        let mut cells = Vec::new();
        flatten("", document, &mut cells);
        // Only a run without a storm lacks keys, and a storm is one of all runs or of none.
        if index == 0 {
            let names: Vec<_> = cells.iter().map(|(name, _)| name.as_str()).collect();
            text.push_str(&names.join(","));
            text.push('\n');
        }
        let values: Vec<_> = cells.iter().map(|(_, value)| value.as_str()).collect();
        text.push_str(&values.join(","));
        text.push('\n');
    }
    text
}

fn flatten(prefix: &str, value: &Value, cells: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{dot}{name}"), value, cells);
            }
        }
        Value::Array(_) => {}
        Value::Null => cells.push((prefix.to_owned(), String::new())),
        Value::String(text) => {
            let quoted = format!("\"{}\"", text.replace('"', "\"\""));
            let plain = !text.contains([',', '"', '\n', '\r']);
            cells.push((prefix.to_owned(), if plain { text.clone() } else { quoted }));
        }
        Value::Bool(_) | Value::Number(_) => cells.push((prefix.to_owned(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_dotted_names_and_quotes_where_needed() {
        let value =
            serde_json::json!({"a": {"b": 1, "c": null}, "d": "x, \"y\"", "e": [1, 2], "f": true});
        let mut cells = Vec::new();
        flatten("", &value, &mut cells);
        let cells: Vec<_> = cells
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            cells,
            [
                ("a.b", "1"),
                ("a.c", ""),
                ("d", "\"x, \"\"y\"\"\""),
                ("f", "true")
            ]
        );
    }
}
