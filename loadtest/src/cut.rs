//! When a subscriber cuts itself off, and how: drawn from a seed, so that a run that failed can be run again.
//!
//! A cut is tied to the number of events that the subscriber has received, not to the clock. The same seed therefore
//! cuts the same subscriber after the same events, however fast the machine is.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};

use rand::rngs::StdRng;
use rand::seq::index;
use rand::{RngExt, SeedableRng};

/// One cut in so many takes the whole HTTP/2 connection with it, the others only the stream.
const CONNECTION_SHARE: u32 = 8;

/// How often each subscriber is cut during a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Cuts {
    /// Never.
    #[default]
    None,
    /// After each event with this chance.
    Chance(Probability),
    /// Exactly so often, after events drawn evenly from the run; at most once per event.
    Times(NonZeroU32),
}

/// A chance between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Probability(f64);

/// A number is not a probability.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is not a probability: it must be between 0 and 1")]
pub struct NotAProbability(f64);

/// How a connection ends when it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The socket is closed: the peer sees FIN (or RST, when it was still sending).
    Close,
    /// The socket is reset: the peer sees RST at once (`SO_LINGER` of zero).
    Reset,
}

/// What is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// This stream: RST_STREAM on HTTP/2; the connection, which has no other, on HTTP/1.1.
    Stream,
    /// The connection, with every stream on it.
    Connection,
}

/// One cut that is going to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Due as soon as the subscriber has received so many different events.
    pub after: u64,
    /// Bytes still taken after that event, so that the cut falls into the middle of another; `None` cuts a quiet
    /// stream without waiting for anything to arrive.
    pub within: Option<usize>,
    /// What is cut.
    pub extent: Extent,
    /// How.
    pub manner: Manner,
}

/// The cuts of one subscriber, in the order in which they fall due.
#[derive(Debug)]
pub struct Schedule {
    /// Latest first: the next one is popped from the end.
    cuts: Vec<Cut>,
}

impl Probability {
    /// # Errors
    /// [`NotAProbability`] when `chance` is not a number from 0 to 1.
    pub fn new(chance: f64) -> Result<Self, NotAProbability> {
        if (0.0..=1.0).contains(&chance) {
            Ok(Self(chance))
        } else {
            Err(NotAProbability(chance))
        }
    }
}

impl fmt::Display for Cuts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("none"),
            Self::Chance(Probability(chance)) => write!(formatter, "{}% of events", chance * 100.0),
            Self::Times(times) => write!(formatter, "{times} per subscriber"),
        }
    }
}

impl Schedule {
    /// Draws the cuts of subscriber number `subscriber` in a run of `events` events, each of at least `size` bytes on
    /// the wire: a cut within an event must not wait for bytes that never come.
    #[must_use]
    pub fn draw(cuts: Cuts, events: u64, size: NonZeroUsize, seed: u64, subscriber: usize) -> Self {
        let mut random =
            StdRng::seed_from_u64(seed ^ (subscriber as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut after: Vec<u64> = match cuts {
            Cuts::None => Vec::new(),
            Cuts::Chance(Probability(chance)) => {
                (0..events).filter(|_| random.random_bool(chance)).collect()
            }
            Cuts::Times(times) => {
                let length = usize::try_from(events).unwrap_or(usize::MAX);
                let amount = usize::try_from(times.get())
                    .unwrap_or(usize::MAX)
                    .min(length);
                index::sample(&mut random, length, amount)
                    .iter()
                    .map(|event| event as u64)
                    .collect()
            }
        };
        after.sort_unstable_by(|left, right| right.cmp(left));
        Self {
            cuts: after
                .into_iter()
                .map(|after| Cut::draw(after, size, &mut random))
                .collect(),
        }
    }

    /// Takes the next cut, if it is due after `received` events.
    pub fn due(&mut self, received: u64) -> Option<Cut> {
        self.cuts.pop_if(|cut| cut.after <= received)
    }

    /// How many cuts are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.cuts.len()
    }
}

impl Cut {
    fn draw(after: u64, size: NonZeroUsize, random: &mut StdRng) -> Self {
        Self {
            after,
            within: random
                .random_ratio(3, 4)
                .then(|| random.random_range(1..=size.get())),
            extent: if random.random_ratio(1, CONNECTION_SHARE) {
                Extent::Connection
            } else {
                Extent::Stream
            },
            manner: if random.random() {
                Manner::Reset
            } else {
                Manner::Close
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: NonZeroUsize = NonZeroUsize::new(100).unwrap();

    fn all(mut schedule: Schedule) -> Vec<Cut> {
        std::iter::from_fn(|| schedule.due(u64::MAX)).collect()
    }

    fn times(times: u32) -> Cuts {
        Cuts::Times(NonZeroU32::new(times).unwrap())
    }

    #[test]
    fn the_same_seed_draws_the_same_cuts() {
        let draw = |seed| all(Schedule::draw(times(20), 1_000, SIZE, seed, 3));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn subscribers_are_cut_at_different_events() {
        let draw = |subscriber| all(Schedule::draw(times(20), 1_000, SIZE, 1, subscriber));
        assert_ne!(draw(0), draw(1));
    }

    #[test]
    fn a_count_is_kept_and_no_event_is_cut_twice() {
        for seed in 0..20 {
            let after: Vec<_> = all(Schedule::draw(times(10), 100, SIZE, seed, 0))
                .iter()
                .map(|cut| cut.after)
                .collect();
            assert_eq!(after.len(), 10);
            assert!(after.is_sorted_by(|left, right| left < right), "{after:?}");
            assert!(after.iter().all(|&event| event < 100));
        }
    }

    #[test]
    fn more_cuts_than_events_is_every_event() {
        assert_eq!(all(Schedule::draw(times(50), 10, SIZE, 1, 0)).len(), 10);
    }

    #[test]
    fn a_chance_is_met_on_average() {
        let chance = Cuts::Chance(Probability::new(0.01).unwrap());
        let cuts: usize = (0..100)
            .map(|subscriber| Schedule::draw(chance, 1_000, SIZE, 1, subscriber).remaining())
            .sum();
        // 1,000 expected with a standard deviation of 31.5: five of them either way.
        assert!((843..=1_157).contains(&cuts), "{cuts}");
    }

    #[test]
    fn cuts_come_due_in_order_and_once() {
        let mut schedule = Schedule::draw(times(3), 100, SIZE, 9, 0);
        let first = schedule.due(u64::MAX).unwrap();
        assert_eq!(schedule.due(first.after), None);
        assert_eq!(schedule.remaining(), 2);
    }

    #[test]
    fn all_kinds_are_drawn() {
        let cuts = all(Schedule::draw(times(200), 1_000, SIZE, 1, 0));
        assert!(
            cuts.iter().any(|cut| cut.within.is_none())
                && cuts.iter().any(|cut| cut.within.is_some())
        );
        assert!(
            cuts.iter()
                .filter_map(|cut| cut.within)
                .all(|within| (1..=SIZE.get()).contains(&within))
        );
        assert!(cuts.iter().any(|cut| cut.extent == Extent::Connection));
        assert!(cuts.iter().any(|cut| cut.extent == Extent::Stream));
        assert!(
            cuts.iter().any(|cut| cut.manner == Manner::Reset)
                && cuts.iter().any(|cut| cut.manner == Manner::Close)
        );
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for chance in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Probability::new(chance).is_err(), "{chance}");
        }
    }
}
