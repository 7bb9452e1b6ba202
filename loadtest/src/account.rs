//! The books of one subscriber: what it was owed, what it got, how often and in which order.
//!
//! Pure bookkeeping: no I/O, no clock. Two witnesses are heard independently of each other: the sequence number that
//! the publisher wrote into the data, and the `id:` that the server minted. A server that numbers its events wrongly
//! cannot hide it, and neither can one that sends the right events under a wrong id.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::ops::Range;

use serde::Serialize;

/// How many ranges of missing events a [`Tally`] names; the rest is only counted.
const NAMED_RANGES: usize = 8;

/// The running account of one subscriber that is owed the events `0..expected`, or as many of them as are published.
///
/// # Cost
/// One bit for each event up to the highest that arrived, and about 18 bytes per event received for the ids.
#[derive(Debug)]
pub struct Account {
    expected: u64,
    /// A bit per event; grows with what arrives.
    seen: Vec<u64>,
    distinct: u64,
    /// The lowest sequence number seen.
    first: Option<u64>,
    /// One past the highest sequence number seen: `NextExp` of RFC 4737, section 3.3.
    next: u64,
    duplicated: u64,
    out_of_order: u64,
    gaps: u64,
    foreign: u64,
    ids: HashSet<u64, BuildHasherDefault<AsItIs>>,
    hasher: RandomState,
    ids_repeated: u64,
    ids_missing: u64,
}

/// The hasher of what is a hash already.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

/// The account at one moment, in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Events that the publisher sent and this subscriber was owed.
    pub expected: u64,
    /// Different events that arrived, each counted once.
    pub received: u64,
    /// `expected - received`.
    pub lost: u64,
    /// Arrivals of an event that had arrived before.
    pub duplicated: u64,
    /// First arrivals with a sequence number below one that had already arrived: "reordered" in the sense of RFC 4737,
    /// section 3.3. Two neighbours that changed places count as one.
    pub out_of_order: u64,
    /// Losses that the server announced with an event of type `gap`.
    pub gaps: u64,
    /// Arrivals under an id that another arrival had before. A resume from such an id is ambiguous.
    pub ids_repeated: u64,
    /// Arrivals without any id. A reader that is cut there cannot say where it was.
    pub ids_missing: u64,
    /// Events that are not of this run: other publishers on the topic, or leftovers of earlier runs.
    pub foreign: u64,
    /// The first eight runs of lost events, for the one who has to look for them.
    pub missing: Vec<Range<u64>>,
}

impl Account {
    /// Opens an account for a subscriber that is owed the events `0..expected`.
    #[must_use]
    pub fn new(expected: u64) -> Self {
        Self {
            expected,
            seen: Vec::new(),
            distinct: 0,
            first: None,
            next: 0,
            duplicated: 0,
            out_of_order: 0,
            gaps: 0,
            foreign: 0,
            ids: HashSet::default(),
            hasher: RandomState::new(),
            ids_repeated: 0,
            ids_missing: 0,
        }
    }

    /// Enters the arrival of event `sequence` under the SSE id `id` (empty: the stream has not set one).
    ///
    /// A `sequence` that is not owed counts as foreign. Says whether the event is owed and arrives for the first time.
    pub fn arrival(&mut self, sequence: u64, id: &str) -> bool {
        if sequence >= self.expected {
            self.foreign += 1;
            return false;
        }
        self.enter_id(id);
        if self.has(sequence) {
            self.duplicated += 1;
            return false;
        }
        self.mark(sequence);
        self.distinct += 1;
        self.first = Some(self.first.map_or(sequence, |first| first.min(sequence)));
        if sequence < self.next {
            self.out_of_order += 1;
        } else {
            self.next = sequence + 1;
        }
        true
    }

    /// Enters a loss that the server announced.
    pub fn gap(&mut self) {
        self.gaps += 1;
    }

    /// Enters an event that is not of this run.
    pub fn foreign(&mut self) {
        self.foreign += 1;
    }

    /// How many different events have arrived.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.distinct
    }

    /// The lowest sequence number that has arrived.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// Closes the books: what is missing now is lost.
    ///
    /// # Cost
    /// One pass over the expected events.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally_of(0..self.expected)
    }

    /// Closes the books of a subscriber that is owed the events `owed` only: fewer were published, or it came later.
    ///
    /// # Cost
    /// One pass over the events owed.
    #[must_use]
    pub fn tally_of(&self, owed: Range<u64>) -> Tally {
        let expected = owed.end.saturating_sub(owed.start);
        Tally {
            expected,
            received: self.distinct,
            lost: expected.saturating_sub(self.distinct),
            duplicated: self.duplicated,
            out_of_order: self.out_of_order,
            gaps: self.gaps,
            ids_repeated: self.ids_repeated,
            ids_missing: self.ids_missing,
            foreign: self.foreign,
            missing: self.missing(owed),
        }
    }

    /// Remembers a 64-bit hash instead of the id: among a million ids a false alarm has a chance of 3 in 10^8.
    fn enter_id(&mut self, id: &str) {
        if id.is_empty() {
            self.ids_missing += 1;
        } else if !self.ids.insert(self.hasher.hash_one(id)) {
            self.ids_repeated += 1;
        }
    }

    fn has(&self, sequence: u64) -> bool {
        let (word, bit) = place(sequence);
        self.seen.get(word).is_some_and(|word| word & bit != 0)
    }

    fn mark(&mut self, sequence: u64) {
        let (word, bit) = place(sequence);
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        self.seen[word] |= bit;
    }

    fn missing(&self, owed: Range<u64>) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        if self.distinct >= owed.end.saturating_sub(owed.start) {
            return ranges;
        }
        for sequence in owed.filter(|&sequence| !self.has(sequence)) {
            if let Some(last) = ranges.last_mut().filter(|last| last.end == sequence) {
                last.end += 1;
            } else if ranges.len() < NAMED_RANGES {
                ranges.push(sequence..sequence + 1);
            } else {
                break;
            }
        }
        ranges
    }
}

impl Tally {
    /// Whether everything arrived, once, in order, under ids of its own, and nobody spoke of a gap.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.lost == 0
            && self.duplicated == 0
            && self.out_of_order == 0
            && self.gaps == 0
            && self.ids_repeated == 0
            && self.ids_missing == 0
    }

    /// Adds another subscriber's figures; the ranges of missing events stay with their subscribers.
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.received += other.received;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.gaps += other.gaps;
        self.ids_repeated += other.ids_repeated;
        self.ids_missing += other.ids_missing;
        self.foreign += other.foreign;
    }
}

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are hashed, and they are numbers");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn place(sequence: u64) -> (usize, u64) {
    let word = usize::try_from(sequence / 64)
        .expect("an expected sequence number indexes a bit set in memory");
    (word, 1 << (sequence % 64))
}

#[cfg(test)]
mod tests;
