//! What the run sees of a subscriber while it lives. Each has its own cells: no two share a counter.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// How far a subscriber has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    received: AtomicU64,
    arrivals: AtomicU64,
    stage: AtomicU8,
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

    pub(super) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    /// Enters one more event, after which `received` different ones have arrived.
    pub(super) fn arrived(&self, received: u64) {
        self.received.store(received, Ordering::Relaxed);
        self.arrivals.fetch_add(1, Ordering::Relaxed);
    }
}
