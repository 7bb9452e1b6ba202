//! The report's tables: the same figures for the terminal and for the page.

use std::fmt;
use std::time::Duration;

use super::Report;
use crate::lab::site::Transport;
use crate::lab::trial::{AfterClose, Cost, Trial, Wait};
use crate::latency::Quantile;

/// A table whose first column names its rows.
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) header: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

/// One column: its name, and what it says of a trial.
type Column = (&'static str, fn(&Trial) -> String);

const TRANSPORT: Column = ("", |trial| trial.transport.to_string());
const TABS: Column = ("tabs", |trial| trial.tabs.to_string());
const LIVE: Column = ("live", |trial| trial.live.to_string());
const WAITING: Column = ("waiting", |trial| trial.waiting.to_string());
const SOCKETS: Column = ("sockets", |trial| trial.sockets.to_string());
const HANDSHAKES: Column = ("TLS handshakes", |trial| trial.handshakes.to_string());
const FIRST_EVENT: Column = ("first event", |trial| {
    measured(trial.first_event.iter().max().copied())
});
const FETCH: Column = ("a fetch takes", |trial| trial.fetch.to_string());

impl Report {
    pub(super) fn tables(&self) -> Vec<Table> {
        let after_close: Column = ("one tab closes", |trial| {
            trial
                .after_close
                .map_or_else(String::new, |after| after.to_string())
        });
        let sweep = Table::of(
            "One user, more and more tabs, each with an EventSource",
            &[
                TRANSPORT,
                TABS,
                LIVE,
                WAITING,
                SOCKETS,
                HANDSHAKES,
                FIRST_EVENT,
                FETCH,
                after_close,
            ],
            &self.sweep,
        );
        let names: Column = ("further names", |trial| trial.shards.to_string());
        let sharding = Table::of(
            "The same streams on further host names (a.localhost, b.localhost)",
            &[
                TRANSPORT,
                TABS,
                names,
                LIVE,
                WAITING,
                SOCKETS,
                HANDSHAKES,
                FIRST_EVENT,
                FETCH,
            ],
            &self.sharding,
        );
        let crowds = Table::of(
            "What the server pays: users with six tabs each",
            &[
                TRANSPORT,
                ("users", |trial| trial.users.to_string()),
                LIVE,
                SOCKETS,
                HANDSHAKES,
                ("memory/tab", |trial| {
                    paid(trial, |cost| {
                        format!("{:.1} KiB", cost.memory_per_tab / 1024.0)
                    })
                }),
                ("CPU to open/tab", |trial| {
                    paid(trial, |cost| micros(cost.opening_per_tab))
                }),
                ("CPU/event", |trial| {
                    paid(trial, |cost| micros(cost.per_event))
                }),
                ("late p50", |trial| late(trial, 0.5)),
                ("late p99", |trial| late(trial, 0.99)),
            ],
            &self.crowds,
        );
        [sweep, sharding, crowds]
            .into_iter()
            .filter(|table| !table.rows.is_empty())
            .collect()
    }

    /// The largest crowd over each transport.
    pub(super) fn largest_crowds(&self) -> impl Iterator<Item = &Trial> {
        Transport::ALL.into_iter().filter_map(|transport| {
            let crowds = self
                .crowds
                .iter()
                .filter(|trial| trial.transport == transport);
            crowds.max_by_key(|trial| trial.users)
        })
    }
}

impl Table {
    fn of(title: &'static str, columns: &[Column], trials: &[Trial]) -> Self {
        let row = |trial| columns.iter().map(|(_, cell)| cell(trial)).collect();
        Self {
            title,
            header: columns.iter().map(|(name, _)| *name).collect(),
            rows: trials.iter().map(row).collect(),
        }
    }
}

fn paid(trial: &Trial, figure: impl FnOnce(Cost) -> String) -> String {
    trial.cost.map_or_else(|| "-".to_owned(), figure)
}

fn late(trial: &Trial, quantile: f64) -> String {
    measured(match trial.latency.quantile(quantile, 0) {
        Quantile::At(latency) => Some(latency),
        Quantile::Lost | Quantile::Unmeasured => None,
    })
}

fn measured(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "-".to_owned(), millis)
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn micros(seconds: f64) -> String {
    format!("{:.1} us", seconds * 1e6)
}

impl fmt::Display for Wait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(after) => out.write_str(&millis(*after)),
            Self::ForEver => out.write_str("for ever"),
        }
    }
}

impl fmt::Display for AfterClose {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(next_tab) = self.next_tab {
            write!(out, "next tab {next_tab}, ")?;
        }
        write!(out, "fetch {}", self.fetch)
    }
}
