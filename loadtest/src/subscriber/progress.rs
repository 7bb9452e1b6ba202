//! What the run sees of a subscriber while it lives. Each has its own cells: no two share a counter.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::client::Line;

/// How far a subscriber has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    received: AtomicU64,
    arrivals: AtomicU64,
    stage: AtomicU8,
    /// One past the first event of the run that arrived; 0 before.
    first: AtomicU64,
    /// The socket of the present stream.
    line: Mutex<Option<Arc<Line>>>,
}

/// Where a subscriber is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Between streams, or before its first one.
    Away = 0,
    /// On a stream.
    Open = 1,
    /// Gone for good.
    Ended = 2,
}

impl Progress {
    /// Different events of the run that have arrived.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Events of any kind that have arrived.
    pub(crate) fn arrivals(&self) -> u64 {
        self.arrivals.load(Ordering::Relaxed)
    }

    /// Where the subscriber is.
    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            0 => Stage::Away,
            1 => Stage::Open,
            _ => Stage::Ended,
        }
    }

    /// The first event of the run that arrived.
    pub(crate) fn first(&self) -> Option<u64> {
        self.first.load(Ordering::Relaxed).checked_sub(1)
    }

    /// The handle for cutting the present stream.
    pub(crate) fn line(&self) -> Option<Arc<Line>> {
        self.line
            .lock()
            .expect("nothing panics while a line is exchanged")
            .clone()
    }

    pub(super) fn open(&self, line: &Arc<Line>) {
        *self
            .line
            .lock()
            .expect("nothing panics while a line is exchanged") = Some(Arc::clone(line));
        self.stage.store(Stage::Open as u8, Ordering::Relaxed);
    }

    pub(super) fn leave(&self, stage: Stage) {
        self.line
            .lock()
            .expect("nothing panics while a line is exchanged")
            .take();
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    pub(super) fn began(&self, first: u64) {
        self.first.store(first + 1, Ordering::Relaxed);
    }

    /// Enters one more event, after which `received` different ones have arrived.
    pub(super) fn arrived(&self, received: u64) {
        self.received.store(received, Ordering::Relaxed);
        self.arrivals.fetch_add(1, Ordering::Relaxed);
    }
}
