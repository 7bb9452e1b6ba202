//! What one connection did, told in one log line when it is over.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use wellspring::{Delivered, Outcome};
use wellspring_front::{Connection, Ended};

/// The account of one connection. Its service and each of its streams hold it; when the last of them
/// is gone (on HTTP/2 a body may outlive its connection by a moment), the line is written.
#[derive(Debug)]
pub(crate) struct Ledger {
    connection: Arc<Connection>,
    /// Each name once. Room for exactly these: most connections have one, and hold it for hours.
    topics: Mutex<Vec<Box<str>>>,
    events: AtomicU64,
    bytes: AtomicU64,
    streams: AtomicU64,
    /// Streams that the client left before their end.
    left: AtomicU64,
    end: OnceLock<(String, Duration)>,
}

impl Ledger {
    /// How many names a line lists.
    const NAMES: usize = 8;

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
    pub(crate) fn begin<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        self.streams.fetch_add(1, Relaxed);
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            // One more than is listed, to know that there were more.
            if topics.len() > Self::NAMES {
                break;
            }
            if !topics.iter().any(|known| **known == *name) {
                topics.reserve_exact(1);
                topics.push(name.into());
            }
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
        let _ = self.end.set((end.reason.to_string(), end.lasted));
    }

    fn names(&self) -> String {
        let topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<&str> = topics.iter().map(|name| &**name).collect();
        names.sort_unstable();
        if names.len() > Self::NAMES {
            names.truncate(Self::NAMES);
            names.push("...");
        }
        names.join(" ")
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let connection = &self.connection;
        let (reason, lasted) = match self.end.get() {
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
            topics = self.names(),
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
