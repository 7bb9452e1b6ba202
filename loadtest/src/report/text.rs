//! The report for people.

use std::fmt;
use std::time::Duration;

use super::Report;
use crate::latency::Quantile;

/// How many faulty subscribers are named.
const NAMED: usize = 5;

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = self.totals();
        let (tally, journey) = (&totals.tally, &totals.journey);
        let security = if self.secure { " over TLS" } else { "" };
        writeln!(out, "{} by {}{security}", self.target, self.protocol)?;
        row(
            out,
            "subscribers",
            format_args!(
                "{} over {} connections",
                self.subscribers.len(),
                self.connections
            ),
        )?;
        row(out, "all open after", Span(self.opening))?;
        row(
            out,
            "published",
            format_args!(
                "{} events in {}",
                self.published.events,
                Span(self.published.took)
            ),
        )?;
        row(
            out,
            "publish lag",
            format_args!("p99 {}", self.published.lag.quantile(0.99, 0)),
        )?;
        writeln!(out)?;
        row(out, "expected", tally.expected)?;
        row(out, "received", tally.received)?;
        row(out, "lost", tally.lost)?;
        row(out, "duplicated", tally.duplicated)?;
        row(out, "out of order", tally.out_of_order)?;
        row(out, "gaps announced", tally.gaps)?;
        row(out, "ids repeated", tally.ids_repeated)?;
        optional(out, "ids missing", tally.ids_missing)?;
        optional(out, "undecodable", journey.undecodable)?;
        optional(out, "not of this run", tally.foreign)?;
        writeln!(out)?;
        row(
            out,
            "cuts",
            format_args!("{} (seed {})", self.cuts, self.seed),
        )?;
        row(
            out,
            "cut",
            format_args!(
                "{} by choice, {} along with a connection",
                journey.cuts, journey.cut_along
            ),
        )?;
        row(
            out,
            "broken by server",
            format_args!("{} cleanly, {} not", journey.ended, journey.broken),
        )?;
        row(
            out,
            "resumes",
            format_args!(
                "{} (attempts unanswered: {})",
                journey.resumes, journey.unanswered
            ),
        )?;
        row(out, "positions in heads", journey.positions)?;
        optional(out, "stopped early", totals.stopped_early)?;
        writeln!(out)?;
        for (name, quantile) in [
            ("latency p50", 0.5),
            ("p90", 0.9),
            ("p99", 0.99),
            ("max", 1.0),
        ] {
            row(out, name, self.latency.quantile(quantile, tally.lost))?;
        }
        optional(out, "later than 60 s", self.latency.beyond())?;
        row(out, "took", Span(self.took))?;
        self.faults(out)
    }
}

impl Report {
    fn faults(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faulty().count();
        if count > 0 {
            writeln!(
                out,
                "\n{count} of {} subscribers were not served faultlessly:",
                self.subscribers.len()
            )?;
        }
        for subscriber in self.faulty().take(NAMED) {
            let tally = &subscriber.tally;
            write!(out, "  #{}: lost {}", subscriber.index, tally.lost)?;
            for range in &tally.missing {
                write!(out, " [{}..{})", range.start, range.end)?;
            }
            write!(
                out,
                ", duplicated {}, out of order {}",
                tally.duplicated, tally.out_of_order
            )?;
            write!(
                out,
                ", gaps {}, ids repeated {}",
                tally.gaps, tally.ids_repeated
            )?;
            writeln!(
                out,
                "; {} resumes; {}",
                subscriber.journey.resumes, subscriber.end
            )?;
        }
        if count > NAMED {
            writeln!(out, "  and {} more", count - NAMED)?;
        }
        Ok(())
    }
}

fn row(out: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(out, "  {name:<19} {value}")
}

/// A row that is only worth its line when there is something to say.
fn optional(out: &mut fmt::Formatter<'_>, name: &str, value: u64) -> fmt::Result {
    if value == 0 {
        Ok(())
    } else {
        row(out, name, value)
    }
}

/// A duration in the unit in which it is read best.
struct Span(Duration);

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

impl fmt::Display for Quantile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::At(latency) => Span(latency).fmt(out),
            Self::Lost => out.write_str("lost"),
            Self::Unmeasured => out.write_str("not measured"),
        }
    }
}
