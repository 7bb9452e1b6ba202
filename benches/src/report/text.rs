//! The table, for a terminal.

use std::fmt::{Display, Formatter, Result};

use super::{Report, Row, Verdict, digits, spell};
use crate::case::{Limit, Measure, Target};
use crate::server::Peer;

const CASE: usize = 22;
const MEASURE: usize = 16;
const FIGURE: usize = 11;

impl Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        let peers = self.peers();
        writeln!(out, "{}\n{}\n", self.machine, self.command)?;
        write!(out, "{:CASE$}{:MEASURE$}", "case", "")?;
        for peer in &peers {
            write!(out, "{:>FIGURE$}", peer.name())?;
        }
        writeln!(out, "  target")?;
        for row in &self.rows {
            row.write(&peers, out)?;
        }
        for skipped in &self.skipped {
            writeln!(out, "skipped: {skipped}")?;
        }
        writeln!(
            out,
            "encode, decode, resume: cargo bench -p wellspring-benches"
        )
    }
}

impl Row {
    fn write(&self, peers: &[Peer], out: &mut Formatter<'_>) -> Result {
        let runs = self.runs.values().map(Vec::len).max().unwrap_or(0);
        let plural = if runs == 1 { "run" } else { "runs" };
        writeln!(out, "\n{}, {runs} {plural}", self.case.title)?;
        for (index, &measure) in self.case.work.measures().iter().enumerate() {
            let name = if index == 0 { self.case.name } else { "" };
            write!(out, "{name:CASE$}{:MEASURE$}", measure.title())?;
            for &peer in peers {
                let figure = self.median(peer, measure).map_or("-".to_owned(), digits);
                write!(out, "{figure:>FIGURE$}")?;
            }
            let targets = self.case.targets.iter();
            for target in targets.filter(|target| target.measure == measure) {
                write!(out, "  {}", self.judge(target))?;
            }
            writeln!(out)?;
            self.write_ratios(peers, measure, out)?;
        }
        Ok(())
    }

    /// Ours as a multiple of each other's.
    fn write_ratios(&self, peers: &[Peer], measure: Measure, out: &mut Formatter<'_>) -> Result {
        if matches!(measure, Measure::P50 | Measure::Busy)
            || self.median(Peer::Wellspring, measure).is_none()
        {
            return Ok(());
        }
        write!(out, "{:CASE$}{:MEASURE$}", "", "  ours / theirs")?;
        for &peer in peers {
            let ratio = match peer {
                Peer::Wellspring => None,
                _ => self.ratio(measure, peer),
            };
            write!(out, "{:>FIGURE$}", ratio.map_or(String::new(), digits))?;
        }
        writeln!(out)
    }

    fn judge(&self, target: &Target) -> String {
        let limit = spell(target.limit);
        let verdict = match self.verdict(target) {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::Unknown => "not measured",
        };
        match target.limit {
            Limit::Times(_, peer) => match self.ratio(target.measure, peer) {
                Some(ratio) => format!("{limit} ({}): {verdict}", digits(ratio)),
                None => format!("{limit}: {verdict}"),
            },
            Limit::Absolute(_) => format!("{limit}: {verdict}"),
        }
    }
}
