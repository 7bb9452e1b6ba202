//! What one connection did, told in one log line when it is over.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use wellspring::{Delivered, Outcome};
use wellspring_front::{Connection, Ended};

/// The account of one connection. Its service and each of its streams hold it; when the last of them
/// is gone (on HTTP/2 a body may outlive its connection by a moment), the line is written.
#[derive(Debug)]
pub(crate) struct Ledger {
    connection: Arc<Connection>,
    topics: Mutex<Names>,
    events: AtomicU64,
    bytes: AtomicU64,
    streams: AtomicU64,
    /// Streams that the client left before their end.
    left: AtomicU64,
    end: OnceLock<Box<(String, Duration)>>,
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
            topics: Mutex::default(),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            streams: AtomicU64::new(0),
            left: AtomicU64::new(0),
            end: OnceLock::new(),
        })
    }

    /// A stream of these topics (or of a run) begins.
    pub(crate) fn begin(&self, names: impl IntoIterator<Item = Arc<str>>) {
        self.streams.fetch_add(1, Relaxed);
        let mut topics = self.topics();
        for name in names {
            topics.add(name);
        }
    }

    /// A stream is over.
    pub(crate) fn settle(&self, delivered: Delivered) {
        self.events.fetch_add(delivered.events, Relaxed);
        self.bytes.fetch_add(delivered.bytes, Relaxed);
        if delivered.outcome == Outcome::Left {
            self.left.fetch_add(1, Relaxed);
        }
    }

    /// The connection is over.
    pub(crate) fn close(&self, end: &Ended) {
        let _ = self.end.set(Box::new((end.reason.to_string(), end.lasted)));
    }

    fn topics(&self) -> MutexGuard<'_, Names> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let connection = &self.connection;
        let (reason, lasted) = match self.end.get().map(|end| &**end) {
            Some((reason, lasted)) => (reason.as_str(), *lasted),
            None => ("cut", connection.accepted.elapsed()),
        };
        tracing::info!(
            id = connection.id,
            peer = %connection.peer,
            scheme = %connection.scheme,
            protocol = connection.protocol().map_or("none", |protocol| protocol.as_str()),
            requests = connection.requests(),
            streams = self.streams.load(Relaxed),
            left = self.left.load(Relaxed),
            topics = self.topics().listed(),
            events = self.events.load(Relaxed),
            event_bytes = self.bytes.load(Relaxed),
            bytes_in = connection.bytes_read(),
            bytes_out = connection.bytes_written(),
            seconds = lasted.as_secs_f64(),
            reason,
            "connection ended",
        );
    }
}
