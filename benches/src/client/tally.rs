//! What a client has received, over all of its streams.

use hdrhistogram::Histogram;

use super::Receipt;
use crate::event::{Stamp, now};

/// The longest latency that is told apart, in microseconds: one minute.
const LONGEST: u64 = 60_000_000;

#[derive(Debug)]
pub(super) struct Tally {
    latency: Histogram<u64>,
    delivered: u64,
    heads: usize,
    /// The time of the read that is being taken apart: one look at the clock for all of its events.
    now: u64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            latency: Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are valid"),
            delivered: 0,
            heads: 0,
            now: now(),
        }
    }

    /// Bytes have been read.
    pub(super) fn look_at_the_clock(&mut self) {
        self.now = now();
    }

    /// A stream has got its head.
    pub(super) fn head(&mut self) {
        self.heads += 1;
    }

    /// A stream has got an event.
    pub(super) fn deliver(&mut self, stamp: Stamp) {
        self.delivered += 1;
        let microseconds = self.now.saturating_sub(stamp.time) / 1_000;
        self.latency.saturating_record(microseconds.max(1));
    }

    /// Streams that have their heads.
    pub(super) fn heads(&self) -> usize {
        self.heads
    }

    /// Events over all streams, since the beginning.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// What came since the last receipt.
    pub(super) fn receipt(&mut self) -> Receipt {
        let milliseconds = |microseconds: u64| microseconds as f64 / 1_000.0;
        let receipt = Receipt {
            deliveries: self.latency.len(),
            p50: milliseconds(self.latency.value_at_quantile(0.5)),
            p99: milliseconds(self.latency.value_at_quantile(0.99)),
            max: milliseconds(self.latency.max()),
        };
        self.latency.reset();
        receipt
    }
}
