//! How late events arrive, counted from the moment at which they should have been sent.
//!
//! Intended-time stamps make the usual repair of coordinated omission (back-filling the histogram) unnecessary, and it
//! would be wrong here. An event that never arrived is infinitely late: it counts in every percentile.

use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency told apart, in microseconds: one minute. What is later counts as one minute and is counted apart.
const LONGEST: u64 = 60_000_000;

/// A distribution of latencies from 1 us to 60 s with three significant digits.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
    beyond: u64,
}

/// A point of the distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantile {
    /// This share of the deliveries took at most so long.
    At(Duration),
    /// This share of the deliveries was not reached: too many were lost.
    Lost,
    /// There was nothing to measure.
    Unmeasured,
}

/// One histogram per lock, and more locks than cores: subscribers of one core seldom meet another's.
#[derive(Debug)]
pub(crate) struct Shards(Vec<Mutex<Latency>>);

impl Latency {
    /// An empty distribution.
    #[must_use]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST, 3)
            .expect("1 us to 60 s at 3 digits are valid bounds");
        Self {
            histogram,
            beyond: 0,
        }
    }

    /// Enters one delivery.
    pub fn record(&mut self, latency: Duration) {
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.beyond += u64::from(microseconds > LONGEST);
        self.histogram
            .saturating_record(microseconds.clamp(1, LONGEST));
    }

    /// Adds another distribution to this one.
    pub fn merge(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("all latencies have the same bounds");
        self.beyond += other.beyond;
    }

    /// Deliveries measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Deliveries later than the 60 s that are told apart.
    #[must_use]
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// The latency that the share `quantile` (0 to 1) of all deliveries kept, when `lost` more never arrived.
    #[must_use]
    pub fn quantile(&self, quantile: f64, lost: u64) -> Quantile {
        let (measured, all) = (self.count(), self.count() + lost);
        if all == 0 {
            return Quantile::Unmeasured;
        }
        // The nearest-rank method: the smallest rank that covers the share.
        let rank = ((quantile.clamp(0.0, 1.0) * all as f64).ceil() as u64).clamp(1, all);
        if rank > measured {
            return Quantile::Lost;
        }
        let microseconds = self
            .histogram
            .value_at_quantile(rank as f64 / measured as f64);
        Quantile::At(Duration::from_micros(microseconds))
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Shards {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self((0..cores * 4).map(|_| Mutex::new(Latency::new())).collect())
    }

    pub(crate) fn of(&self, subscriber: usize) -> &Mutex<Latency> {
        &self.0[subscriber % self.0.len()]
    }

    pub(crate) fn merged(&self) -> Latency {
        let mut all = Latency::new();
        for shard in &self.0 {
            all.merge(&shard.lock().expect("recording does not panic"));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::new();
        for each in milliseconds {
            latency.record(Duration::from_millis(each));
        }
        latency
    }

    fn close(quantile: Quantile, milliseconds: u64) -> bool {
        let Quantile::At(latency) = quantile else {
            return false;
        };
        let expected = Duration::from_millis(milliseconds);
        latency.abs_diff(expected) <= expected / 1_000 + Duration::from_micros(1)
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let latency = of(1..=100);
        assert!(
            close(latency.quantile(0.5, 0), 50),
            "{:?}",
            latency.quantile(0.5, 0)
        );
        assert!(close(latency.quantile(0.99, 0), 99));
        assert!(close(latency.quantile(1.0, 0), 100));
    }

    #[test]
    fn a_lost_delivery_is_infinitely_late() {
        let latency = of(1..=98);
        assert!(close(latency.quantile(0.5, 2), 50));
        assert!(close(latency.quantile(0.98, 2), 98));
        assert_eq!(latency.quantile(0.99, 2), Quantile::Lost);
        assert_eq!(latency.quantile(1.0, 2), Quantile::Lost);
    }

    #[test]
    fn nothing_measured_is_said_so() {
        assert_eq!(Latency::new().quantile(0.5, 0), Quantile::Unmeasured);
        assert_eq!(Latency::new().quantile(0.5, 1), Quantile::Lost);
    }

    #[test]
    fn more_than_a_minute_is_counted_apart() {
        let latency = of([10, 61_000]);
        assert_eq!((latency.count(), latency.beyond()), (2, 1));
    }

    #[test]
    fn shards_merge_to_the_whole() {
        let shards = Shards::new();
        for subscriber in 0..100 {
            shards
                .of(subscriber)
                .lock()
                .unwrap()
                .record(Duration::from_millis(subscriber as u64 + 1));
        }
        let merged = shards.merged();
        assert_eq!(merged.count(), 100);
        assert!(close(merged.quantile(1.0, 0), 100));
    }
}
