//! What a run is expected to keep: `p99<50ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::Report;
use crate::latency::{Latency, Quantile};

/// A bound on one figure of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    figure: Figure,
    relation: Relation,
    bound: f64,
    text: String,
}

/// A text is no expectation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "'{0}' is no expectation: write a figure, a relation and a bound, like p99<50ms, headers.p99<=1s, lost==0 or rate>10k; figures are p50 p90 p99 p99.9 max (alone: of the delivery latency; also as headers.p99 first_event.p99 spread.p99 gap.p99 jitter.p99), lost, duplicated, out_of_order, gaps, refused, starved, shed, broken, events, rate (deliveries per second), bytes (per event), cpu (the server's per delivery), memory (the server's per stream)"
)]
pub struct NotAnExpectation(String);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    /// Seconds.
    Time(Measured, f64),
    Lost,
    Duplicated,
    OutOfOrder,
    Gaps,
    Refused,
    Starved,
    Shed,
    Broken,
    Events,
    Rate,
    Bytes,
    /// Seconds.
    ServerCpu,
    /// Bytes.
    ServerMemory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measured {
    Latency,
    Headers,
    FirstEvent,
    Spread,
    Gap,
    Jitter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

impl Expectation {
    /// Says in one line what was found when it is not as expected. A figure that was not measured is never as expected,
    /// and one of which too much was lost is infinite.
    ///
    /// # Errors
    /// The line.
    pub fn check(&self, report: &Report) -> Result<(), String> {
        let text = &self.text;
        let Some(found) = self.figure.of(report) else {
            return Err(format!("expected {text}, but it was not measured"));
        };
        if self.relation.holds(found, self.bound) {
            return Ok(());
        }
        Err(format!(
            "expected {text}, found {}",
            self.figure.spelled(found)
        ))
    }
}

impl FromStr for Expectation {
    type Err = NotAnExpectation;

    fn from_str(text: &str) -> Result<Self, NotAnExpectation> {
        let wrong = || NotAnExpectation(text.to_owned());
        let at = text.find(['<', '>', '=']).ok_or_else(wrong)?;
        let (figure, rest) = text.split_at(at);
        let (relation, bound) = Relation::cut(rest).ok_or_else(wrong)?;
        let figure = Figure::parse(figure.trim()).ok_or_else(wrong)?;
        let bound = figure.bound(bound.trim()).ok_or_else(wrong)?;
        Ok(Self {
            figure,
            relation,
            bound,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Figure {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "lost" => Self::Lost,
            "duplicated" => Self::Duplicated,
            "out_of_order" => Self::OutOfOrder,
            "gaps" => Self::Gaps,
            "refused" => Self::Refused,
            "starved" => Self::Starved,
            "shed" => Self::Shed,
            "broken" => Self::Broken,
            "events" => Self::Events,
            "rate" => Self::Rate,
            "bytes" => Self::Bytes,
            "cpu" => Self::ServerCpu,
            "memory" => Self::ServerMemory,
            _ => {
                let (measured, quantile) = match text.split_once('.') {
                    Some(("latency", quantile)) => (Measured::Latency, quantile),
                    Some(("headers", quantile)) => (Measured::Headers, quantile),
                    Some(("first_event", quantile)) => (Measured::FirstEvent, quantile),
                    Some(("spread", quantile)) => (Measured::Spread, quantile),
                    Some(("gap", quantile)) => (Measured::Gap, quantile),
                    Some(("jitter", quantile)) => (Measured::Jitter, quantile),
                    _ => (Measured::Latency, text),
                };
                Self::Time(measured, share(quantile)?)
            }
        })
    }

    /// The bound in the figure's own unit.
    fn bound(self, text: &str) -> Option<f64> {
        let unit = text
            .trim_start_matches(|character: char| character.is_ascii_digit() || character == '.');
        let number: f64 = text[..text.len() - unit.len()].parse().ok()?;
        let factor = match (self, unit.trim()) {
            (Self::Time(..) | Self::ServerCpu, "us") => 1e-6,
            (Self::Time(..) | Self::ServerCpu, "ms") => 1e-3,
            (Self::Time(..) | Self::ServerCpu, "s") => 1.0,
            // A time without a unit is a mistake waiting for its day.
            (Self::Time(..) | Self::ServerCpu, _) => return None,
            (Self::ServerMemory, "KiB") => 1024.0,
            (Self::ServerMemory, "MiB") => 1024.0 * 1024.0,
            (_, "") => 1.0,
            (_, "k") => 1e3,
            (_, "m") => 1e6,
            _ => return None,
        };
        Some(number * factor)
    }

    fn of(self, report: &Report) -> Option<f64> {
        let totals = report.totals();
        let count = |count: u64| Some(count as f64);
        match self {
            Self::Time(measured, quantile) => {
                let (latency, lost): (&Latency, u64) = match measured {
                    Measured::Latency => (&report.latency, totals.tally.lost),
                    Measured::Headers => (&report.distributions.headers, 0),
                    Measured::FirstEvent => (&report.distributions.first_event, 0),
                    Measured::Spread => (&report.distributions.spread, 0),
                    Measured::Gap => (&report.distributions.gap, 0),
                    Measured::Jitter => (&report.distributions.jitter, 0),
                };
                match latency.quantile(quantile, lost) {
                    Quantile::At(latency) => Some(latency.as_secs_f64()),
                    Quantile::Lost => Some(f64::INFINITY),
                    Quantile::Unmeasured => None,
                }
            }
            Self::Lost => count(totals.tally.lost),
            Self::Duplicated => count(totals.tally.duplicated),
            Self::OutOfOrder => count(totals.tally.out_of_order),
            Self::Gaps => count(totals.tally.gaps),
            Self::Refused => count(totals.refused),
            Self::Starved => count(totals.starved),
            Self::Shed => count(totals.journey.shed),
            Self::Broken => count(totals.journey.broken),
            Self::Events => count(report.events),
            Self::Rate => Some(report.deliveries_per_second()),
            Self::Bytes => report.bytes_per_event(),
            Self::ServerCpu => report
                .server_cpu_per_delivery()
                .map(|time| Duration::as_secs_f64(&time)),
            Self::ServerMemory => report.server_memory_per_stream(),
        }
    }

    fn spelled(self, found: f64) -> String {
        match self {
            Self::Time(..) | Self::ServerCpu if found.is_infinite() => "lost".to_owned(),
            Self::Time(..) => format!("{:.3}ms", found * 1e3),
            Self::ServerCpu => format!("{:.2}us", found * 1e6),
            Self::ServerMemory => format!("{:.2}KiB", found / 1024.0),
            _ => format!("{found:.0}"),
        }
    }
}

impl Relation {
    /// The relation at the front of a text, and what follows it.
    fn cut(text: &str) -> Option<(Self, &str)> {
        [
            ("<=", Self::AtMost),
            (">=", Self::AtLeast),
            ("==", Self::Equal),
            ("<", Self::Less),
            (">", Self::More),
            ("=", Self::Equal),
        ]
        .into_iter()
        .find_map(|(sign, relation)| Some((relation, text.strip_prefix(sign)?)))
    }

    fn holds(self, found: f64, bound: f64) -> bool {
        match self {
            Self::Less => found < bound,
            Self::AtMost => found <= bound,
            Self::More => found > bound,
            Self::AtLeast => found >= bound,
            Self::Equal => found == bound,
        }
    }
}

/// `p99.9` as 0.999.
fn share(text: &str) -> Option<f64> {
    if text == "max" {
        return Some(1.0);
    }
    let digits = text.strip_prefix('p')?;
    let percent: f64 = digits.parse().ok()?;
    (digits.starts_with(|digit: char| digit.is_ascii_digit()) && (0.0..=100.0).contains(&percent))
        .then_some(percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Figure, Relation, f64) {
        let Expectation {
            figure,
            relation,
            bound,
            ..
        } = text.parse().unwrap();
        (figure, relation, bound)
    }

    #[test]
    fn figures_relations_and_units_are_read() {
        assert_eq!(
            parsed("p99<50ms"),
            (Figure::Time(Measured::Latency, 0.99), Relation::Less, 0.05)
        );
        assert_eq!(
            parsed("headers.p50 <= 1.5s"),
            (Figure::Time(Measured::Headers, 0.5), Relation::AtMost, 1.5)
        );
        assert_eq!(parsed("max<1s").0, Figure::Time(Measured::Latency, 1.0));
        assert_eq!(parsed("lost==0"), (Figure::Lost, Relation::Equal, 0.0));
        assert_eq!(parsed("rate>10k"), (Figure::Rate, Relation::More, 10_000.0));
        assert_eq!(
            parsed("memory<2KiB"),
            (Figure::ServerMemory, Relation::Less, 2_048.0)
        );
    }

    #[test]
    fn what_is_no_expectation_is_told_with_an_example() {
        for text in [
            "",
            "p99",
            "p99<50",
            "p99<ms",
            "p101<1s",
            "p-1<1s",
            "pNaN<1s",
            "speed>3",
            "lost<5ms",
            "<5",
            "p99<50ms<60ms",
        ] {
            let error = text.parse::<Expectation>().unwrap_err().to_string();
            assert!(
                error.contains(&format!("'{text}'")) && error.contains("p99<50ms"),
                "{error}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn infinity_breaks_every_bound_from_above() {
        assert!(!Relation::Less.holds(f64::INFINITY, 1e9));
        assert!(!Relation::AtMost.holds(f64::INFINITY, 1e9));
    }
}
