//! Token runs beside each other: a gateway beside what is behind it.

use std::fmt;

use serde_json::{Value, json};

use super::ChatReport;
use super::report::{Figure, Row};
use crate::latency::{Latency, Quantile};
use crate::report::{columns, csv};

/// Reports of token runs that differ in the server. `Display` prints them side by side, and what multiple of the first
/// one's times each other one took. A single report prints as itself.
#[derive(Clone, Debug)]
pub struct ChatComparison(pub Vec<ChatReport>);

/// How many times as long something took, at the median and at the 99th percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ratio {
    p50: f64,
    p99: f64,
}

impl ChatComparison {
    /// Whether every run was complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.iter().all(ChatReport::is_complete)
    }

    /// Whether the tokens of every other run were under way at most `factor` times as long as those of the first, at the
    /// median and at the 99th percentile.
    ///
    /// # Errors
    /// What was found instead, in a line for each run of which it is not so; also when tokens had no stamp.
    pub fn check(&self, factor: f64) -> Result<(), Vec<String>> {
        let wrong = self.others().filter_map(|(first, other)| {
            let (target, base) = (&other.target, &first.target);
            match Ratio::of(&first.findings.token, &other.findings.token) {
                None => Some(format!(
                    "{target}: no token latency to compare: only tokens of a wellspring-load model carry their time"
                )),
                Some(ratio) if ratio.p50 <= factor && ratio.p99 <= factor => None,
                Some(ratio) => Some(format!(
                    "{target}: expected at most {factor} x the token latency of {base}, found {ratio}"
                )),
            }
        });
        let wrong: Vec<_> = wrong.collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// One JSON object, pretty-printed, without a line break at its end: the reports as a list `runs`, and for each but
    /// the first its token latency as a multiple of the first one's, in a list `token_latency_ratios`.
    #[must_use]
    pub fn to_json(&self) -> String {
        if let [report] = &self.0[..] {
            return report.to_json();
        }
        let runs: Vec<_> = self.0.iter().map(ChatReport::to_value).collect();
        let ratio = |(first, other): (&ChatReport, &ChatReport)| {
            Ratio::of(&first.findings.token, &other.findings.token).map_or(
                Value::Null,
                |ratio| json!({ "p50": ratio.p50, "p99": ratio.p99 }),
            )
        };
        let ratios: Vec<_> = self.others().map(ratio).collect();
        let document = json!({ "schema": 1, "runs": runs, "token_latency_ratios": ratios });
        serde_json::to_string_pretty(&document).expect("a JSON value is always JSON")
    }

    /// A header line, and a line of values for each report.
    #[must_use]
    pub fn to_csv(&self) -> String {
        csv(&self.0.iter().map(ChatReport::to_value).collect::<Vec<_>>())
    }

    /// Every run but the first, beside the first.
    fn others(&self) -> impl Iterator<Item = (&ChatReport, &ChatReport)> {
        let pairs = self
            .0
            .split_first()
            .map(|(first, others)| others.iter().map(move |other| (first, other)));
        pairs.into_iter().flatten()
    }

    /// A header and rows, each with its name in front. What no report has anything to say of is left out.
    fn table(&self) -> Vec<Vec<String>> {
        let letters = || (0..self.0.len()).map(letter);
        let mut header = vec![String::new()];
        header.extend(letters().map(String::from));
        header.extend(letters().skip(1).map(|letter| format!("{letter} : A")));
        let mut table = vec![header];
        let mut columns: Vec<_> = self
            .0
            .iter()
            .map(|report| report.rows().into_iter())
            .collect();
        loop {
            let cells: Vec<_> = columns.iter_mut().filter_map(Iterator::next).collect();
            let Some(Row(name, first)) = cells.first() else {
                return table;
            };
            if cells.iter().any(|Row(_, value)| value.is_some()) {
                let mut row = vec![(*name).to_owned()];
                row.extend(cells.iter().map(|Row(_, value)| match value {
                    Some(figure) => figure.to_string(),
                    None => "-".to_owned(),
                }));
                row.extend(cells[1..].iter().map(|Row(_, value)| match (first, value) {
                    (Some(Figure::Times(first)), Some(Figure::Times(other))) => {
                        Ratio::of(first, other).map_or_else(String::new, |ratio| ratio.to_string())
                    }
                    _ => String::new(),
                }));
                table.push(row);
            }
        }
    }
}

impl fmt::Display for ChatComparison {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [report] = &self.0[..] {
            return report.fmt(out);
        }
        for (index, report) in self.0.iter().enumerate() {
            let security = if report.secure { " over TLS" } else { "" };
            let (target, protocol) = (&report.target, report.protocol);
            writeln!(out, "{}: {target} by {protocol}{security}", letter(index))?;
        }
        writeln!(out)?;
        columns(out, &self.table())
    }
}

/// What a run is called in the table: its URL is too long for that.
fn letter(index: usize) -> char {
    char::from(b'A' + u8::try_from(index % 26).unwrap_or(0))
}

impl Ratio {
    fn of(first: &Latency, other: &Latency) -> Option<Self> {
        let at = |quantile| match (first.quantile(quantile, 0), other.quantile(quantile, 0)) {
            (Quantile::At(first), Quantile::At(other)) => {
                Some(other.as_secs_f64() / first.as_secs_f64())
            }
            _ => None,
        };
        Some(Self {
            p50: at(0.5)?,
            p99: at(0.99)?,
        })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "p50 {:.2} x, p99 {:.2} x", self.p50, self.p99)
    }
}
