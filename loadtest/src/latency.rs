//! How late events arrive, counted from the moment at which they should have been sent.
//!
//! Intended-time stamps make the usual repair of coordinated omission (back-filling the histogram) unnecessary, and it
//! would be wrong here. An event that never arrived is infinitely late: it counts in every percentile.

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

    /// Forgets everything and keeps its room.
    pub fn clear(&mut self) {
        self.histogram.reset();
        self.beyond = 0;
    }

    /// The curve of the distribution: shares from 0 to 1 and the latency that each kept, ever finer towards the longest.
    pub fn curve(&self) -> impl Iterator<Item = (f64, Duration)> {
        self.histogram.iter_quantiles(5).map(|step| {
            (
                step.quantile_iterated_to(),
                Duration::from_micros(step.value_iterated_to()),
            )
        })
    }

    /// The distribution as the text format of HdrHistogram's plotters (`.hgrm`), in milliseconds.
    #[must_use]
    pub fn to_hgrm(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!(
            "{:>12} {:>14} {:>10} {:>14}\n\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        let milliseconds = |microseconds: f64| microseconds / 1e3;
        let mut count = 0;
        for step in self.histogram.iter_quantiles(5) {
            count += step.count_since_last_iteration();
            let (value, share) = (
                milliseconds(step.value_iterated_to() as f64),
                step.quantile_iterated_to(),
            );
            let _ = if share < 1.0 {
                writeln!(
                    text,
                    "{value:12.3} {share:14.12} {count:10} {:14.2}",
                    1.0 / (1.0 - share)
                )
            } else {
                writeln!(text, "{value:12.3} {share:14.12} {count:10} {:>14}", "inf")
            };
        }
        let histogram = &self.histogram;
        let _ = writeln!(
            text,
            "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]",
            milliseconds(histogram.mean()),
            milliseconds(histogram.stdev())
        );
        let _ = writeln!(
            text,
            "#[Max     = {:12.3}, Total count    = {:12}]",
            milliseconds(histogram.max() as f64),
            histogram.len()
        );
        let _ = writeln!(
            text,
            "#[Buckets = {:12}, SubBuckets     = {:12}]",
            histogram.buckets(),
            2_048
        );
        text
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
}
