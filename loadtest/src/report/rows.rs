//! A report as rows of a name and a figure: what the text, the comparison and the page print.

use std::fmt;
use std::time::Duration;

use super::Report;
use crate::latency::{Latency, Quantile};

/// A figure with its name. Rows of several reports have the same names in the same order.
pub(super) struct Row {
    pub(super) section: Section,
    pub(super) name: &'static str,
    /// None: there is nothing to say.
    pub(super) value: Option<String>,
}

/// Rows that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Load,
    Delivery,
    Breaks,
    Times,
    Costs,
}

/// A duration in the unit in which it is read best.
pub(super) struct Span(pub(super) Duration);

/// Bytes in the unit in which they are read best.
struct Bytes(f64);

impl Report {
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows = Rows(Vec::new());
        self.load(&mut rows);
        self.delivery(&mut rows);
        self.breaks(&mut rows);
        self.times(&mut rows);
        self.cost(&mut rows);
        rows.0
    }

    fn load(&self, rows: &mut Rows) {
        use Section::Load;
        let (subscribers, connections) = (self.subscribers.len(), self.connections);
        let totals = self.totals();
        rows.add(
            Load,
            "subscribers",
            format!("{subscribers} over {connections} connections"),
        );
        rows.add(Load, "all open after", Span(self.opening));
        rows.count(Load, "refused", totals.refused);
        rows.count(Load, "never answered", totals.starved);
        let took = Span(self.published.took);
        if self.listening {
            rows.add(
                Load,
                "published",
                format!("{} events by others in {took}", self.events),
            );
            rows.skip(Load, "publish lag");
        } else {
            rows.add(
                Load,
                "published",
                format!("{} events in {took}", self.events),
            );
            rows.add(
                Load,
                "publish lag",
                format!("p99 {}", self.published.lag.quantile(0.99, 0)),
            );
        }
        rows.add(
            Load,
            "deliveries",
            format!("{:.0} per second", self.deliveries_per_second()),
        );
    }

    fn delivery(&self, rows: &mut Rows) {
        use Section::Delivery;
        let (tally, journey) = (self.totals().tally, self.totals().journey);
        rows.add(Delivery, "expected", tally.expected);
        rows.add(Delivery, "received", tally.received);
        rows.add(Delivery, "lost", tally.lost);
        rows.add(Delivery, "duplicated", tally.duplicated);
        rows.add(Delivery, "out of order", tally.out_of_order);
        rows.add(Delivery, "gaps announced", tally.gaps);
        rows.add(Delivery, "ids repeated", tally.ids_repeated);
        rows.count(Delivery, "ids missing", tally.ids_missing);
        rows.count(Delivery, "undecodable", journey.undecodable);
        let foreign = if self.listening {
            "without an id"
        } else {
            "not of this run"
        };
        rows.count(Delivery, foreign, tally.foreign);
    }

    fn breaks(&self, rows: &mut Rows) {
        use Section::Breaks;
        let totals = self.totals();
        let journey = &totals.journey;
        rows.add(
            Breaks,
            "cuts",
            format!("{} (seed {})", self.cuts, self.seed),
        );
        rows.add(
            Breaks,
            "cut",
            format!(
                "{} by choice, {} along with a connection",
                journey.cuts, journey.cut_along
            ),
        );
        rows.add(
            Breaks,
            "broken by server",
            format!("{} cleanly, {} not", journey.ended, journey.broken),
        );
        rows.count(Breaks, "shed", journey.shed);
        rows.add(
            Breaks,
            "resumes",
            format!(
                "{} of {} tried, {} with a gap",
                journey.resumes, journey.resumes_tried, journey.resumes_with_gap
            ),
        );
        rows.count(Breaks, "unanswered", journey.unanswered);
        rows.count(Breaks, "stopped early", totals.stopped_early);
        self.storm(rows);
        rows.maybe(Breaks, "beside them", self.misconduct());
    }

    /// What the hostile clients did, and what was done about them.
    fn misconduct(&self) -> Option<String> {
        let each = self.misconduct.iter().map(|group| {
            format!(
                "{} {}: {} opened, {} ended by the server, {:.1} KiB taken",
                group.clients,
                group.conduct,
                group.opened,
                group.ended_by_server,
                group.taken as f64 / 1024.0
            )
        });
        let each: Vec<_> = each.collect();
        (!each.is_empty()).then(|| each.join("; "))
    }

    fn storm(&self, rows: &mut Rows) {
        use Section::Breaks;
        let Some(recovery) = &self.recovery else {
            rows.skip(Breaks, "storm");
            rows.skip(Breaks, "back after");
            return rows.skip(Breaks, "peak");
        };
        rows.add(
            Breaks,
            "storm",
            format!("{} cut, {} back", recovery.cut, recovery.back),
        );
        let after = |back: Option<f64>| {
            back.map_or_else(|| "never".to_owned(), |after| format!("{after:.2} s"))
        };
        let shares = [
            recovery.back_50,
            recovery.back_90,
            recovery.back_99,
            recovery.back_100,
        ]
        .map(after);
        let [half, ninety, ninety_nine, all] = shares;
        rows.add(
            Breaks,
            "back after",
            format!("50% {half}, 90% {ninety}, 99% {ninety_nine}, all {all}"),
        );
        rows.add(
            Breaks,
            "peak",
            format!("{:.0} reconnects per second", recovery.peak_per_second),
        );
    }

    fn times(&self, rows: &mut Rows) {
        use Section::Times;
        let lost = self.totals().tally.lost;
        for (name, quantile) in [
            ("latency p50", 0.5),
            ("p90", 0.9),
            ("p99", 0.99),
            ("p99.9", 0.999),
            ("max", 1.0),
        ] {
            rows.add(Times, name, self.latency.quantile(quantile, lost));
        }
        rows.count(Times, "later than 60 s", self.latency.beyond());
        let measured = &self.distributions;
        for (name, latency) in [
            ("to headers", &measured.headers),
            ("to first event", &measured.first_event),
            ("fan-out spread", &measured.spread),
            ("between events", &measured.gap),
            ("jitter", &measured.jitter),
        ] {
            rows.distribution(Times, name, latency);
        }
    }

    fn cost(&self, rows: &mut Rows) {
        use Section::Costs;
        let on_wire = self.bytes_per_event().zip(self.overhead());
        rows.maybe(
            Costs,
            "bytes per event",
            on_wire.map(|(bytes, overhead)| {
                format!(
                    "{bytes:.1} on the wire, {:.0}% over the data",
                    overhead * 100.0
                )
            }),
        );
        let costs = &self.costs;
        let cpu = |total: Duration, each: Option<Duration>| match each {
            Some(each) => format!(
                "{} ({:.2} us per delivery)",
                Span(total),
                each.as_secs_f64() * 1e6
            ),
            None => Span(total).to_string(),
        };
        rows.add(
            Costs,
            "own CPU",
            cpu(costs.own_cpu, self.own_cpu_per_delivery()),
        );
        rows.maybe(
            Costs,
            "server CPU",
            costs
                .server_cpu
                .map(|total| cpu(total, self.server_cpu_per_delivery())),
        );
        rows.maybe(
            Costs,
            "server memory",
            costs
                .server_memory_open
                .zip(costs.server_memory_peak)
                .map(|(open, peak)| {
                    format!(
                        "{} with all open, {} at most",
                        Bytes(open as f64),
                        Bytes(peak as f64)
                    )
                }),
        );
        let each = self.server_memory_per_stream();
        rows.maybe(
            Costs,
            "memory per stream",
            each.map(|each| Bytes(each).to_string()),
        );
        rows.add(Costs, "took", Span(self.took));
    }
}

struct Rows(Vec<Row>);

impl Rows {
    fn add(&mut self, section: Section, name: &'static str, value: impl fmt::Display) {
        self.maybe(section, name, Some(value.to_string()));
    }

    fn maybe(&mut self, section: Section, name: &'static str, value: Option<String>) {
        self.0.push(Row {
            section,
            name,
            value,
        });
    }

    fn skip(&mut self, section: Section, name: &'static str) {
        self.maybe(section, name, None);
    }

    /// A row that is only worth its line when there is something to say.
    fn count(&mut self, section: Section, name: &'static str, count: u64) {
        self.maybe(section, name, (count > 0).then(|| count.to_string()));
    }

    fn distribution(&mut self, section: Section, name: &'static str, latency: &Latency) {
        let [middle, most, longest] =
            [0.5, 0.99, 1.0].map(|quantile| latency.quantile(quantile, 0));
        let value = format!("p50 {middle}, p99 {most}, max {longest}");
        self.maybe(section, name, (latency.count() > 0).then_some(value));
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        if seconds >= 1.0 {
            write!(out, "{seconds:.2} s")
        } else {
            write!(out, "{:.3} ms", seconds * 1e3)
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1024.0 * 1024.0 {
            write!(out, "{:.1} MiB", self.0 / 1024.0 / 1024.0)
        } else {
            write!(out, "{:.1} KiB", self.0 / 1024.0)
        }
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::At(latency) => Span(latency).fmt(out),
            Self::Lost => out.write_str("lost"),
            Self::Unmeasured => out.write_str("not measured"),
        }
    }
}
