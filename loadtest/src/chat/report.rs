//! What came of a token run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::latency::{Latency, Quantile};
use crate::report::csv;
use crate::target::Protocol;

/// How many different reasons of failures are told apart; further ones count as others.
const REASONS: usize = 20;

/// The result of a token run. `Display` prints it as a table for people.
#[derive(Clone, Debug)]
pub struct ChatReport {
    /// The URL.
    pub target: String,
    /// The protocol spoken.
    pub protocol: Protocol,
    /// Whether over TLS.
    pub secure: bool,
    /// Connections.
    pub connections: usize,
    /// Requests at a time.
    pub workers: usize,
    /// The whole run.
    pub took: Duration,
    /// What was found.
    pub findings: Findings,
}

/// What was found of any number of requests.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Requests that were made.
    pub requests: u64,
    /// Answers that came whole, with their terminator.
    pub complete: u64,
    /// Answers that began as a stream and ended without their terminator, in whatever way.
    pub truncated: u64,
    /// Requests that were answered with a status other than 200, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Requests that failed on the network, by reason; truncated answers are among them when their connection broke.
    pub failed: BTreeMap<String, u64>,
    /// Errors that the server sent within its streams.
    pub errors: u64,
    /// Pieces of text, each a token or a few.
    pub tokens: u64,
    /// Stamped tokens that were not the next one of their answer: what is lost, doubled or exchanged shows here.
    pub misplaced: u64,
    /// From when a request was due to the head of its answer.
    pub headers: Latency,
    /// ... to its first token.
    pub first_token: Latency,
    /// ... to the end of a whole answer.
    pub whole: Latency,
    /// Between two tokens of an answer.
    pub gap: Latency,
    /// From the moment that a [`model`](crate::model) has stamped on a token; of tokens with its stamp only.
    pub token: Latency,
    /// From the first to the last token, summed over all answers.
    pub speaking: Duration,
}

impl Findings {
    pub(super) fn refuse(&mut self, status: StatusCode) {
        *self.refused.entry(status.as_u16()).or_default() += 1;
    }

    pub(super) fn fail(&mut self, reason: String) {
        let reason = if self.failed.len() < REASONS {
            reason
        } else {
            "other reasons".to_owned()
        };
        *self.failed.entry(reason).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.complete += other.complete;
        self.truncated += other.truncated;
        self.errors += other.errors;
        self.tokens += other.tokens;
        self.misplaced += other.misplaced;
        self.speaking += other.speaking;
        for (status, count) in &other.refused {
            *self.refused.entry(*status).or_default() += count;
        }
        for (reason, count) in &other.failed {
            let known = self.failed.len() < REASONS || self.failed.contains_key(reason);
            let reason = if known {
                reason.as_str()
            } else {
                "other reasons"
            };
            *self.failed.entry(reason.to_owned()).or_default() += count;
        }
        self.headers.merge(&other.headers);
        self.first_token.merge(&other.first_token);
        self.whole.merge(&other.whole);
        self.gap.merge(&other.gap);
        self.token.merge(&other.token);
    }

    /// Tokens per second within an answer, from its first to its last: the average over all answers.
    #[must_use]
    pub fn speed(&self) -> Option<f64> {
        let seconds = self.speaking.as_secs_f64();
        // Between n tokens there are n - 1 gaps.
        (seconds > 0.0).then(|| self.gap.count() as f64 / seconds)
    }
}

impl ChatReport {
    /// Whether every request was answered, whole, without an error, and with every token in its place.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let findings = &self.findings;
        findings.complete == findings.requests && findings.errors == 0 && findings.misplaced == 0
    }

    /// Tokens per second over the whole run.
    #[must_use]
    pub fn tokens_per_second(&self) -> f64 {
        let seconds = self.took.as_secs_f64();
        if seconds > 0.0 {
            self.findings.tokens as f64 / seconds
        } else {
            0.0
        }
    }

    /// One JSON object, pretty-printed, without a line break at its end. Times are in seconds.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.to_value()).expect("a JSON value is always JSON")
    }

    /// A header line and a line of values. The keys are those of the JSON, joined by dots.
    #[must_use]
    pub fn to_csv(&self) -> String {
        csv(&[self.to_value()])
    }

    pub(super) fn to_value(&self) -> Value {
        let findings = &self.findings;
        json!({
            "schema": 1,
            "target": self.target,
            "protocol": self.protocol,
            "tls": self.secure,
            "complete": self.is_complete(),
            "connections": self.connections,
            "workers": self.workers,
            "took": self.took.as_secs_f64(),
            "requests": findings.requests,
            "whole": findings.complete,
            "truncated": findings.truncated,
            "refused": findings.refused,
            "failed": findings.failed,
            "errors": findings.errors,
            "tokens": findings.tokens,
            "misplaced": findings.misplaced,
            "tokens_per_second": self.tokens_per_second(),
            "tokens_per_second_of_an_answer": findings.speed(),
            "headers": percentiles(&findings.headers),
            "first_token": percentiles(&findings.first_token),
            "token_gap": percentiles(&findings.gap),
            "token_latency": percentiles(&findings.token),
            "answer": percentiles(&findings.whole),
        })
    }

    /// What the text prints, row by row. Rows of several reports have the same names in the same order.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let findings = &self.findings;
        let some = |text: String| (!text.is_empty()).then_some(Figure::Text(text));
        let count = |count: u64| (count > 0).then(|| Figure::Text(count.to_string()));
        let times = |latency| Some(Figure::Times(latency));
        let requests = format!(
            "{}, {} at a time over {} connections",
            findings.requests, self.workers, self.connections
        );
        let speed = findings
            .speed()
            .map_or_else(|| "not measured".to_owned(), |speed| format!("{speed:.1}"));
        let tokens = format!(
            "{}, {:.1} per second in all, {speed} per second and answer",
            findings.tokens,
            self.tokens_per_second()
        );
        let took = format!("{:.2} s", self.took.as_secs_f64());
        let latency = &findings.token;
        vec![
            Row("requests", some(requests)),
            Row("whole answers", some(findings.complete.to_string())),
            Row("truncated", some(findings.truncated.to_string())),
            Row("refused", some(listed(&findings.refused, " with "))),
            Row("failed", some(listed(&findings.failed, ": "))),
            Row("errors in streams", count(findings.errors)),
            Row("tokens out of place", count(findings.misplaced)),
            Row("to headers", times(&findings.headers)),
            Row("to first token", times(&findings.first_token)),
            Row("between tokens", times(&findings.gap)),
            Row(
                "token latency",
                times(latency).filter(|_| latency.count() > 0),
            ),
            Row("whole answer", times(&findings.whole)),
            Row("tokens", some(tokens)),
            Row("took", some(took)),
        ]
    }
}

/// A figure with its name; none when there is nothing to say.
pub(super) struct Row<'a>(pub(super) &'static str, pub(super) Option<Figure<'a>>);

/// What a row says.
pub(super) enum Figure<'a> {
    Text(String),
    Times(&'a Latency),
}

impl fmt::Display for Figure<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Times(latency) if latency.count() == 0 => out.write_str("not measured"),
            Self::Times(latency) => {
                let [middle, most, longest] =
                    [0.5, 0.99, 1.0].map(|quantile| latency.quantile(quantile, 0));
                write!(out, "p50 {middle}, p99 {most}, max {longest}")
            }
        }
    }
}

impl fmt::Display for ChatReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let security = if self.secure { " over TLS" } else { "" };
        writeln!(out, "{} by {}{security}", self.target, self.protocol)?;
        for Row(name, value) in self.rows() {
            if let Some(value) = value {
                writeln!(out, "  {name:<19} {value}")?;
            }
        }
        Ok(())
    }
}

/// `3 with 503, 1 with 429`.
fn listed(counts: &BTreeMap<impl fmt::Display, u64>, between: &str) -> String {
    let counts = counts
        .iter()
        .map(|(key, count)| format!("{count}{between}{key}"));
    counts.collect::<Vec<_>>().join(", ")
}

fn percentiles(latency: &Latency) -> Value {
    let seconds = |quantile| match latency.quantile(quantile, 0) {
        Quantile::At(latency) => Some(latency.as_secs_f64()),
        Quantile::Lost | Quantile::Unmeasured => None,
    };
    json!({
        "count": latency.count(),
        "p50": seconds(0.5),
        "p90": seconds(0.9),
        "p99": seconds(0.99),
        "max": seconds(1.0),
    })
}
