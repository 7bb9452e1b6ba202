//! What one connection did, told in one log line when it is over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wellspring::{Delivered, Outcome};
use wellspring_front::{Connection, Ended};

/// The account of one connection. Its service and each of its streams hold it; when the last of them
/// is gone (on HTTP/2 a body may outlive its connection by a moment), the line is written.
#[derive(Debug)]
pub(crate) struct Ledger {
    connection: Arc<Connection>,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    topics: Names,
    events: u64,
    bytes: u64,
    streams: u32,
    /// Streams that the client left before their end.
    left: u32,
    end: Option<Box<(String, Duration)>>,
}

/// What a connection read, each name once. The first is held without a list: most connections have one, for hours.
#[derive(Debug, Default)]
struct Names {
    first: Option<Arc<str>>,
    further: Vec<Arc<str>>,
}

impl Names {
    /// How many names a line lists.
    const LISTED: usize = 8;

    fn add(&mut self, name: Arc<str>) {
        match &self.first {
            None => self.first = Some(name),
            Some(first) if *first == name || self.further.contains(&name) => {}
            // As many as are listed, and so one more in all, to know that there were more.
            Some(_) if self.further.len() == Self::LISTED => {}
            Some(_) => self.further.push(name),
        }
    }

    fn listed(&self) -> String {
        let mut names: Vec<&str> = self
            .first
            .iter()
            .chain(&self.further)
            .map(|name| &**name)
            .collect();
        names.sort_unstable();
        if names.len() > Self::LISTED {
            names.truncate(Self::LISTED);
            names.push("...");
        }
        names.join(" ")
    }
}

impl Ledger {
    pub(crate) fn open(connection: Arc<Connection>) -> Arc<Self> {
        Arc::new(Self {
            connection,
            account: Mutex::default(),
        })
    }

    /// A stream of these topics (or of a run) begins.
    pub(crate) fn begin(&self, names: impl IntoIterator<Item = Arc<str>>) {
        let mut account = self.account();
        account.streams = account.streams.saturating_add(1);
        for name in names {
            account.topics.add(name);
        }
    }

    /// A stream is over.
    pub(crate) fn settle(&self, delivered: Delivered) {
        let mut account = self.account();
        account.events += delivered.events;
        account.bytes += delivered.bytes;
        if delivered.outcome == Outcome::Left {
            account.left = account.left.saturating_add(1);
        }
    }

    /// The connection is over.
    pub(crate) fn close(&self, end: &Ended) {
        self.account().end = Some(Box::new((end.reason.to_string(), end.lasted)));
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let connection = &self.connection;
        let account = self.account();
        let (reason, lasted) = match account.end.as_deref() {
            Some((reason, lasted)) => (reason.as_str(), *lasted),
            None => ("cut", connection.accepted.elapsed()),
        };
        tracing::info!(
            id = connection.id,
            peer = %connection.peer,
            scheme = %connection.scheme,
            protocol = connection.protocol().map_or("none", |protocol| protocol.as_str()),
            requests = connection.requests(),
            streams = account.streams,
            left = account.left,
            topics = account.topics.listed(),
            events = account.events,
            event_bytes = account.bytes,
            bytes_in = connection.bytes_read(),
            bytes_out = connection.bytes_written(),
            seconds = lasted.as_secs_f64(),
            reason,
            "connection ended",
        );
    }
}
