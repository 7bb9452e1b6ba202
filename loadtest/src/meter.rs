//! What is measured while events arrive, by all subscribers at once, without any of them waiting for another.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::latency::Latency;

/// How many events' spreads are kept, 16 bytes each: of more events every second one counts, or every third, ...
const SPREADS: u64 = 65_536;

/// The distributions of a run besides the delivery latency.
#[derive(Clone, Debug, Default)]
pub struct Distributions {
    /// From a request to the head of its answer.
    pub headers: Latency,
    /// From a request to the first event of its stream; only of streams that had one.
    pub first_event: Latency,
    /// Between two events of a stream, as they arrived.
    pub gap: Latency,
    /// How much longer or shorter than intended that was: `|(arrived2 - arrived1) - (due2 - due1)|` (RFC 3550, section
    /// 6.4.1, without its smoothing).
    pub jitter: Latency,
    /// From the first subscriber that had an event to the last one; of at most 65,536 events, evenly chosen.
    pub spread: Latency,
}

/// The measurements in the making.
#[derive(Debug)]
pub(crate) struct Meter {
    /// More than cores: subscribers of one core seldom meet another's.
    shards: Vec<Mutex<Shard>>,
    fan_out: FanOut,
    open: AtomicUsize,
}

/// One arrival of an event.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    /// How late it is, if it is owed and has not arrived before.
    pub(crate) late: Option<Duration>,
    /// Since the event before it.
    pub(crate) gap: Option<Duration>,
    /// What differs from the intended gap.
    pub(crate) jitter: Option<Duration>,
    /// Bytes of data.
    pub(crate) payload: usize,
}

/// What has arrived since it was last asked for.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    pub(crate) latency: Latency,
    pub(crate) arrivals: u64,
    pub(crate) payload: u64,
}

#[derive(Debug, Default)]
struct Shard {
    recent: Recent,
    headers: Latency,
    first_event: Latency,
    gap: Latency,
    jitter: Latency,
}

/// When each event arrived first and last, in nanoseconds on the run's clock.
#[derive(Debug)]
struct FanOut {
    every: u64,
    arrivals: Vec<(AtomicU64, AtomicU64)>,
}

impl Meter {
    /// For a run of at most `events` events.
    pub(crate) fn new(events: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            shards: (0..cores * 4).map(|_| Mutex::default()).collect(),
            fan_out: FanOut::new(events),
            open: AtomicUsize::new(0),
        }
    }

    pub(crate) fn arrived(&self, subscriber: usize, arrival: &Arrival) {
        let shard = &mut *self.shard(subscriber);
        shard.recent.arrivals += 1;
        shard.recent.payload += arrival.payload as u64;
        for (latency, measured) in [
            (&mut shard.recent.latency, arrival.late),
            (&mut shard.gap, arrival.gap),
            (&mut shard.jitter, arrival.jitter),
        ] {
            if let Some(measured) = measured {
                latency.record(measured);
            }
        }
    }

    /// Event `sequence` has arrived at one more subscriber.
    pub(crate) fn fanned_out(&self, sequence: u64, arrived: Duration) {
        self.fan_out.arrived(sequence, arrived);
    }

    pub(crate) fn answered(&self, subscriber: usize, after: Duration) {
        self.shard(subscriber).headers.record(after);
    }

    pub(crate) fn began(&self, subscriber: usize, after: Duration) {
        self.shard(subscriber).first_event.record(after);
    }

    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn left(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Streams that are open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes out what has come since the last call.
    pub(crate) fn take_recent(&self) -> Recent {
        let mut all = Recent::default();
        for index in 0..self.shards.len() {
            let recent = &mut self.shard(index).recent;
            all.add(recent);
            recent.clear();
        }
        all
    }

    /// All that is not taken out from time to time.
    pub(crate) fn distributions(&self) -> Distributions {
        let mut all = Distributions {
            spread: self.fan_out.spread(),
            ..Distributions::default()
        };
        for index in 0..self.shards.len() {
            let shard = self.shard(index);
            all.headers.merge(&shard.headers);
            all.first_event.merge(&shard.first_event);
            all.gap.merge(&shard.gap);
            all.jitter.merge(&shard.jitter);
        }
        all
    }

    fn shard(&self, subscriber: usize) -> MutexGuard<'_, Shard> {
        self.shards[subscriber % self.shards.len()]
            .lock()
            .expect("recording does not panic")
    }
}

impl Recent {
    pub(crate) fn add(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.arrivals += other.arrivals;
        self.payload += other.payload;
    }

    /// Empties it and keeps its room: nothing is allocated while events arrive.
    fn clear(&mut self) {
        self.latency.clear();
        (self.arrivals, self.payload) = (0, 0);
    }
}

impl FanOut {
    fn new(events: u64) -> Self {
        let every = events.div_ceil(SPREADS).max(1);
        let cell = || (AtomicU64::new(u64::MAX), AtomicU64::new(0));
        Self {
            every,
            arrivals: (0..events.div_ceil(every)).map(|_| cell()).collect(),
        }
    }

    fn arrived(&self, sequence: u64, arrived: Duration) {
        if !sequence.is_multiple_of(self.every) {
            return;
        }
        let index = usize::try_from(sequence / self.every).unwrap_or(usize::MAX);
        if let Some((first, last)) = self.arrivals.get(index) {
            let nanoseconds = u64::try_from(arrived.as_nanos()).unwrap_or(u64::MAX);
            first.fetch_min(nanoseconds, Ordering::Relaxed);
            last.fetch_max(nanoseconds, Ordering::Relaxed);
        }
    }

    fn spread(&self) -> Latency {
        let mut spread = Latency::new();
        for (first, last) in &self.arrivals {
            let (first, last) = (first.load(Ordering::Relaxed), last.load(Ordering::Relaxed));
            if first <= last {
                spread.record(Duration::from_nanos(last - first));
            }
        }
        spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Quantile;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_taken_out_is_counted_once() {
        let meter = Meter::new(10);
        for subscriber in 0..100 {
            meter.arrived(
                subscriber,
                &Arrival {
                    late: Some(MILLISECOND),
                    payload: 5,
                    ..Arrival::default()
                },
            );
        }
        let recent = meter.take_recent();
        assert_eq!(
            (recent.arrivals, recent.payload, recent.latency.count()),
            (100, 500, 100)
        );
        assert_eq!(meter.take_recent().arrivals, 0);
    }

    #[test]
    fn the_spread_is_from_the_first_to_the_last() {
        let meter = Meter::new(3);
        for milliseconds in [30, 10, 20] {
            meter.fanned_out(1, MILLISECOND * milliseconds);
        }
        let spread = meter.distributions().spread;
        assert_eq!(spread.count(), 1);
        assert_eq!(
            spread.quantile(1.0, 0),
            Quantile::At(Duration::from_micros(20_015))
        );
    }

    #[test]
    fn of_many_events_every_nth_counts() {
        let meter = Meter::new(SPREADS * 3);
        for sequence in 0..9 {
            meter.fanned_out(sequence, MILLISECOND);
        }
        assert_eq!(meter.distributions().spread.count(), 3);
    }
}
