//! Many runs, as one table: medians, ratios, verdicts.

mod json;
mod plot;
mod text;

use std::collections::BTreeMap;

use crate::case::{Case, Limit, Measure, Target};
use crate::machine::Machine;
use crate::measure::Figures;
use crate::server::Peer;

/// All that was measured, and what was not.
#[derive(Debug)]
pub struct Report {
    machine: Machine,
    command: String,
    rows: Vec<Row>,
    skipped: Vec<String>,
}

/// One case, on all servers.
#[derive(Debug)]
struct Row {
    case: &'static Case,
    runs: BTreeMap<Peer, Vec<Figures>>,
}

/// Whether a target was reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// It was.
    Met,
    /// It was not.
    Missed,
    /// One of its figures was not measured.
    Unknown,
}

impl Report {
    /// An empty report of what `command` measures on `machine`.
    #[must_use]
    pub fn new(machine: Machine, command: String) -> Self {
        Self {
            machine,
            command,
            rows: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Enters what one run came to.
    pub fn add(&mut self, case: &'static Case, peer: Peer, figures: Figures) {
        let index = self.rows.iter().position(|row| row.case.name == case.name);
        let index = index.unwrap_or_else(|| {
            self.rows.push(Row {
                case,
                runs: BTreeMap::new(),
            });
            self.rows.len() - 1
        });
        self.rows[index].runs.entry(peer).or_default().push(figures);
    }

    /// Says what was not measured, and why.
    pub fn skip(&mut self, what: String) {
        self.skipped.push(what);
    }

    /// Whether no target was missed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.rows.iter().all(|row| {
            let mut targets = row.case.targets.iter();
            targets.all(|target| row.verdict(target) != Verdict::Missed)
        })
    }

    /// Servers that were measured, in order.
    fn peers(&self) -> Vec<Peer> {
        let measured = |peer: &Peer| self.rows.iter().any(|row| row.runs.contains_key(peer));
        Peer::ALL.into_iter().filter(measured).collect()
    }
}

impl Row {
    /// The median of all runs.
    fn median(&self, peer: Peer, measure: Measure) -> Option<f64> {
        let figures = self.runs.get(&peer)?.iter();
        let mut values: Vec<f64> = figures
            .filter_map(|figures| figures.get(&measure).copied())
            .collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            length if length % 2 == 0 => Some(f64::midpoint(values[middle - 1], values[middle])),
            _ => Some(values[middle]),
        }
    }

    /// Ours as a multiple of another's.
    fn ratio(&self, measure: Measure, peer: Peer) -> Option<f64> {
        Some(self.median(Peer::Wellspring, measure)? / self.median(peer, measure)?)
    }

    fn verdict(&self, target: &Target) -> Verdict {
        let ours = self.median(Peer::Wellspring, target.measure);
        let limit = match target.limit {
            Limit::Absolute(most) => Some(most),
            Limit::Times(factor, peer) => self
                .median(peer, target.measure)
                .map(|theirs| factor * theirs),
        };
        match (ours, limit) {
            (Some(ours), Some(limit)) if ours <= limit => Verdict::Met,
            (Some(_), Some(_)) => Verdict::Missed,
            _ => Verdict::Unknown,
        }
    }
}

/// With three digits that mean something.
fn digits(value: f64) -> String {
    let decimals = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

fn spell(limit: Limit) -> String {
    match limit {
        Limit::Absolute(most) => format!("<= {}", digits(most)),
        Limit::Times(1.0, peer) => format!("<= {}", peer.name()),
        Limit::Times(factor, peer) if factor < 0.1 => {
            format!("<= 1/{:.0} x {}", 1.0 / factor, peer.name())
        }
        Limit::Times(factor, peer) => format!("<= {factor:.2} x {}", peer.name()),
    }
}

#[cfg(test)]
mod tests;
