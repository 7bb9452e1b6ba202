//! The report for people.

use std::fmt;
use std::time::Duration;

use super::Report;
use crate::lab::trial::{AfterClose, Trial, Wait};
use crate::latency::Quantile;

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let profile = &self.profile;
        writeln!(
            out,
            "Six connections against one: {}'s model of {} sockets to an origin, against {}",
            profile.name, profile.sockets, self.server
        )?;
        writeln!(
            out,
            "\"for ever\" is more than {} s, with nothing to end it but a tab that closes.",
            self.patience.as_secs_f64()
        )?;
        self.sweep(out)?;
        self.sharding(out)?;
        self.crowds(out)
    }
}

impl Report {
    fn sweep(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "\nOne user, more and more tabs, each with an EventSource"
        )?;
        writeln!(
            out,
            "  {:<13}{:>5}{:>6}{:>6}{:>9}{:>5}{:>13}{:>11}  after one tab closes",
            "", "tabs", "live", "wait", "sockets", "TLS", "first event", "a fetch"
        )?;
        for trial in &self.sweep {
            writeln!(
                out,
                "  {:<13}{:>5}{:>6}{:>6}{:>9}{:>5}{:>13}{:>11}  {}",
                trial.transport,
                trial.tabs,
                trial.live,
                trial.waiting,
                trial.sockets,
                trial.handshakes,
                latest(trial),
                trial.fetch.to_string(),
                trial
                    .after_close
                    .map(|after| after.to_string())
                    .unwrap_or_default(),
            )?;
        }
        Ok(())
    }

    fn sharding(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sharding.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\nThe same streams on other host names (a.localhost, b.localhost)"
        )?;
        writeln!(
            out,
            "  {:<13}{:>5}{:>6}{:>6}{:>6}{:>9}{:>5}{:>13}{:>11}",
            "", "tabs", "names", "live", "wait", "sockets", "TLS", "first event", "a fetch"
        )?;
        for trial in &self.sharding {
            writeln!(
                out,
                "  {:<13}{:>5}{:>6}{:>6}{:>6}{:>9}{:>5}{:>13}{:>11}",
                trial.transport,
                trial.tabs,
                trial.shards,
                trial.live,
                trial.waiting,
                trial.sockets,
                trial.handshakes,
                latest(trial),
                trial.fetch.to_string(),
            )?;
        }
        Ok(())
    }

    fn crowds(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "\nWhat the server pays, per live tab and per delivered event"
        )?;
        writeln!(
            out,
            "  {:<13}{:>6}{:>6}{:>9}{:>5}{:>12}{:>13}{:>12}{:>11}{:>11}",
            "",
            "users",
            "tabs",
            "sockets",
            "TLS",
            "memory/tab",
            "opening/tab",
            "CPU/event",
            "late p50",
            "p99"
        )?;
        for trial in &self.crowds {
            let cost = trial.cost;
            let micros = |seconds: f64| format!("{:.1} us", seconds * 1e6);
            let paid = |figure: Option<String>| figure.unwrap_or_else(|| "-".to_owned());
            writeln!(
                out,
                "  {:<13}{:>6}{:>6}{:>9}{:>5}{:>12}{:>13}{:>12}{:>11}{:>11}",
                trial.transport,
                trial.users,
                trial.live,
                trial.sockets,
                trial.handshakes,
                paid(cost.map(|cost| format!("{:.1} KiB", cost.memory_per_tab / 1024.0))),
                paid(cost.map(|cost| micros(cost.opening_per_tab))),
                paid(cost.map(|cost| micros(cost.per_event))),
                late(trial, 0.5),
                late(trial, 0.99),
            )?;
        }
        Ok(())
    }
}

/// Until the last of the live tabs had its first event.
fn latest(trial: &Trial) -> String {
    trial
        .first_event
        .iter()
        .max()
        .map_or_else(|| "-".to_owned(), |&after| span(after))
}

fn late(trial: &Trial, quantile: f64) -> String {
    match trial.latency.quantile(quantile, 0) {
        Quantile::At(latency) => span(latency),
        Quantile::Lost | Quantile::Unmeasured => "-".to_owned(),
    }
}

fn span(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

impl fmt::Display for Wait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(after) => out.write_str(&span(*after)),
            Self::ForEver => out.write_str("for ever"),
        }
    }
}

impl fmt::Display for AfterClose {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(next_tab) = self.next_tab {
            write!(out, "the next tab is live: {next_tab}; ")?;
        }
        write!(out, "the fetch: {}", self.fetch)
    }
}
