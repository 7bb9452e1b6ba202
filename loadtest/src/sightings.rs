//! Which event is which, on a stream whose events nobody here has numbered: told by their ids.
//!
//! Every subscriber reports the ids that it sees; the first sight of an id makes it the next event. Streams that keep
//! the order therefore agree on the numbers, and one that lacks an event, has it twice or in another order stands out.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// More locks than cores that could ask for them at once.
const SHARDS: usize = 64;

/// All ids that were ever seen in a run.
#[derive(Debug)]
pub(crate) struct Sightings {
    /// By a 64-bit hash of the id: the number, and when it was seen first.
    shards: Vec<Mutex<HashMap<u64, Sighting>>>,
    hasher: RandomState,
    next: AtomicU64,
    /// Bounds the memory.
    most: u64,
    closed: AtomicBool,
}

/// The first sight of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) sequence: u64,
    pub(crate) first: Duration,
}

impl Sightings {
    /// Takes at most `most` events.
    pub(crate) fn new(most: u64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            next: AtomicU64::new(0),
            most,
            closed: AtomicBool::new(false),
        }
    }

    /// The first sight of `id`, which is now, at `arrived`, if nobody has seen it before. `None` for new ones after
    /// the close.
    pub(crate) fn see(&self, id: &str, arrived: Duration) -> Option<Sighting> {
        let hash = self.hasher.hash_one(id);
        let shard = &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)];
        let mut shard = shard
            .lock()
            .expect("nothing panics while an id is looked up");
        if let Some(sighting) = shard.get(&hash) {
            return Some(*sighting);
        }
        if self.closed.load(Ordering::Relaxed) || self.len() >= self.most {
            return None;
        }
        let sequence = self.next.fetch_add(1, Ordering::Relaxed);
        let sighting = Sighting {
            sequence,
            first: arrived,
        };
        shard.insert(hash, sighting);
        Some(sighting)
    }

    /// From now on nothing is new.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// How many events there are.
    pub(crate) fn len(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sight_makes_the_number() {
        let sightings = Sightings::new(10);
        let at = Duration::from_millis;
        assert_eq!(
            sightings.see("a", at(1)),
            Some(Sighting {
                sequence: 0,
                first: at(1)
            })
        );
        assert_eq!(
            sightings.see("b", at(2)),
            Some(Sighting {
                sequence: 1,
                first: at(2)
            })
        );
        assert_eq!(
            sightings.see("a", at(9)),
            Some(Sighting {
                sequence: 0,
                first: at(1)
            })
        );
        sightings.close();
        assert_eq!(sightings.see("c", at(3)), None);
        assert_eq!(
            (sightings.see("b", at(3)).is_some(), sightings.len()),
            (true, 2)
        );
    }

    #[test]
    fn a_bound_is_kept() {
        let sightings = Sightings::new(2);
        let seen = ["a", "b", "c"].map(|id| sightings.see(id, Duration::ZERO).is_some());
        assert_eq!(seen, [true, true, false]);
    }
}
