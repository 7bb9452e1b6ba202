//! Everything, for programs.

use serde_json::{Map, Value, json};

use super::{Report, Row, Verdict, spell};
use crate::measure::Figures;
use crate::server::Peer;

impl Report {
    /// Machine, command, and of each case: every run, the medians, the verdicts. Units as in [`Measure`](crate::case::Measure).
    #[must_use]
    pub fn to_json(&self) -> String {
        let cases: Vec<Value> = self.rows.iter().map(Row::to_json).collect();
        let report = json!({
            "machine": self.machine,
            "command": self.command,
            "cases": cases,
            "skipped": self.skipped,
        });
        format!("{report:#}\n")
    }
}

impl Row {
    fn to_json(&self) -> Value {
        let servers = self.runs.iter();
        let servers: Map<String, Value> = servers
            .map(|(&peer, runs)| (peer.name().to_owned(), self.server(peer, runs)))
            .collect();
        let targets = self.case.targets.iter().map(|target| {
            json!({
                "measure": target.measure,
                "limit": spell(target.limit),
                "verdict": match self.verdict(target) {
                    Verdict::Met => "met",
                    Verdict::Missed => "missed",
                    Verdict::Unknown => "unknown",
                },
            })
        });
        json!({
            "name": self.case.name,
            "title": self.case.title,
            "connections": self.case.connections,
            "streams": self.case.streams,
            "servers": servers,
            "targets": targets.collect::<Vec<_>>(),
        })
    }

    fn server(&self, peer: Peer, runs: &[Figures]) -> Value {
        let measures = self.case.work.measures().iter();
        let median: Figures = measures
            .filter_map(|&measure| Some((measure, self.median(peer, measure)?)))
            .collect();
        json!({ "median": median, "runs": runs })
    }
}
