//! The part of a log that is in memory: segments of wire bytes, and the index into them.
//!
//! ```text
//!   floor                                          next
//!     v                                              v
//!  ┌─────────────────┬─────────────────┬───────────┐
//!  │░░░░│ 7 │  8  │ 9│ 10 │ 11 │   12  │ 13 │ 14 │ │
//!  └─────────────────┴─────────────────┴───────────┘
//!   sealed: `Bytes`,   sealed            open: a `Vec` that grows
//!   sliced, not copied
//! ```
//!
//! Events are encoded into the open segment. When it is full it is sealed, which costs nothing: the
//! `Vec` becomes a `Bytes`. Retention drops events from the front one by one (`░`), memory goes a
//! segment at a time; so a window holds at most its limit plus one segment.
//!
//! An older part may one day live elsewhere (on disk, in Redis): [`Window::after`] answers
//! [`Found::Evicted`] for it, and that answer is where a store would be asked.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use wellspring_event::{Event, EventId};

use super::{AppendError, LogOptions, Retention};
use crate::position::{Epoch, Position};

/// What a reader finds at its place.
#[derive(Debug)]
pub(crate) enum Found {
    /// Events, as they cross the wire.
    Events {
        bytes: Bytes,
        events: u32,
        /// The number of the first of them.
        first: u64,
        /// The place after them.
        then: u64,
        /// How many events the log was ever given, up to and with these.
        ordinal: u64,
    },
    /// The reader has seen everything.
    Tail,
    /// Something that the reader has not seen is no longer here.
    Evicted,
}

/// The retained events, by bytes and by number.
#[derive(Debug)]
pub(crate) struct Window {
    epoch: Epoch,
    retention: Retention,
    ids: bool,
    sealed: VecDeque<Segment<Bytes>>,
    open: Segment<Vec<u8>>,
    /// Everything below this number is gone.
    floor: u64,
    /// How many entries at the front of the oldest segment are below `floor`.
    dropped: usize,
    events: usize,
    bytes: usize,
    /// Which number a publisher's key was given, while that event is retained.
    keys: HashMap<Box<str>, u64>,
    /// The same, oldest first.
    keyed: VecDeque<(u64, Box<str>)>,
    born: Instant,
}

#[derive(Debug)]
struct Segment<B> {
    /// How many events the log was given before this segment.
    base: u64,
    bytes: B,
    entries: Vec<Entry>,
}

/// One event of a segment: 16 bytes.
#[derive(Debug, Clone, Copy)]
struct Entry {
    seq: u64,
    /// Where its bytes end in the segment.
    end: u32,
    /// When it was appended, in tenths of a second since the log was made: 13 years.
    at: u32,
}

impl Window {
    /// Full segments are this long. A reader that stalls on a slice pins its whole segment.
    const SEGMENT: usize = 64 * 1024;
    /// The most that one slice holds, unless one event is longer: one TLS record, one DATA frame.
    const SLICE: usize = 16 * 1024;
    /// Offsets within a segment are `u32`.
    const LONGEST: usize = u32::MAX as usize - Self::SEGMENT;

    pub(crate) fn new(epoch: Epoch, options: &LogOptions, floor: u64) -> Self {
        // A log that kept nothing would have nothing to hand to anyone.
        let events = options.retention.events.max(1);
        Self {
            epoch,
            retention: options.retention.clone().with_events(events),
            ids: options.ids,
            sealed: VecDeque::new(),
            open: Segment::new(0),
            floor,
            dropped: 0,
            events: 0,
            bytes: 0,
            keys: HashMap::new(),
            keyed: VecDeque::new(),
            born: Instant::now(),
        }
    }

    /// Encodes `event` with the id of `seq`, then forgets what the retention no longer covers.
    ///
    /// `seq` must be above every number appended before.
    pub(crate) fn append(
        &mut self,
        seq: u64,
        event: &Event<'_>,
        key: Option<&str>,
        now: Instant,
    ) -> Result<(), AppendError> {
        debug_assert!(self.last().is_none_or(|last| last < seq) && seq >= self.floor);
        let id = Position {
            epoch: self.epoch,
            seq,
        }
        .id();
        let event = numbered(event, self.ids.then(|| id.as_str()));
        let measured = event.measure();
        let len = measured.encoded_len();
        let limit = self.retention.bytes.min(Self::LONGEST);
        if len > limit {
            return Err(AppendError::TooLarge { bytes: len, limit });
        }
        if !self.open.entries.is_empty() && self.open.bytes.len() + len > self.segment_size() {
            self.seal();
        }
        self.open.make_room(len, self.segment_size());
        measured.encode(&mut self.open.bytes);
        let end = self.open.bytes.len() as u32;
        let at = self.tenths(now);
        self.open.entries.push(Entry { seq, end, at });
        self.events += 1;
        self.bytes += len;
        if let Some(key) = key {
            self.keys.insert(key.into(), seq);
            self.keyed.push_back((seq, key.into()));
        }
        self.retain(now);
        Ok(())
    }

    /// The number that an event with this key was given, while it is retained.
    pub(crate) fn keyed(&self, key: &str) -> Option<u64> {
        self.keys.get(key).copied()
    }

    /// The events from number `next` on, up to and without `limit`, as one run of bytes.
    ///
    /// # Cost
    ///
    /// O(log n) to find the place. From a sealed segment nothing is copied.
    pub(crate) fn after(&self, next: u64, limit: u64) -> Found {
        if next < self.floor {
            return Found::Evicted;
        }
        let segment = self
            .sealed
            .partition_point(|segment| segment.last().is_some_and(|last| last < next));
        match self.sealed.get(segment) {
            Some(segment) => match segment.run(next, limit) {
                Some(run) => run.found(segment.bytes.slice(run.range())),
                None => Found::Tail,
            },
            None => match self.open.run(next, limit) {
                Some(run) => run.found(Bytes::copy_from_slice(&self.open.bytes[run.range()])),
                None => Found::Tail,
            },
        }
    }

    /// How many events the log was ever given.
    pub(crate) fn appended(&self) -> u64 {
        self.open.base + self.open.entries.len() as u64
    }

    /// Drops what is too old, too many or too large.
    pub(crate) fn retain(&mut self, now: Instant) {
        let oldest = self
            .retention
            .age
            .map_or(0, |age| self.tenths(now).saturating_sub(tenths(age)));
        while self.events > 0 {
            let too_much = self.events > self.retention.events || self.bytes > self.retention.bytes;
            let front = self.front().expect("there are events");
            if !too_much && front.at >= oldest {
                break;
            }
            self.drop_front(front);
        }
    }

    /// Everything below this number is gone.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// The newest number that is there.
    pub(crate) fn last(&self) -> Option<u64> {
        if self.events == 0 {
            return None;
        }
        self.open.last().or_else(|| self.sealed.back()?.last())
    }

    /// The first number at or above `next` that is there.
    pub(crate) fn first_from(&self, next: u64) -> Option<u64> {
        let (_, entries, entry) = self.find(next.max(self.floor));
        entries.get(entry).map(|entry| entry.seq)
    }

    /// How many events the log was given below number `next`, if all of them from there on are there.
    pub(crate) fn given_before(&self, next: u64) -> Option<u64> {
        let (base, _, entry) = self.find(next);
        (next >= self.floor).then_some(base + entry as u64)
    }

    pub(crate) fn events(&self) -> usize {
        self.events
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Small logs have small segments, so that a log's memory is near its limit, not 64 KiB above.
    fn segment_size(&self) -> usize {
        (self.retention.bytes / 8).clamp(4096, Self::SEGMENT)
    }

    fn seal(&mut self) {
        let next = Segment::new(self.appended());
        let mut full = std::mem::replace(&mut self.open, next);
        full.entries.shrink_to_fit();
        self.sealed.push_back(Segment {
            base: full.base,
            bytes: Bytes::from(full.bytes),
            entries: full.entries,
        });
    }

    /// The segment in which `next` is or would be: its base and its entries, and the first entry that
    /// is not below.
    fn find(&self, next: u64) -> (u64, &[Entry], usize) {
        let segment = self
            .sealed
            .partition_point(|segment| segment.last().is_some_and(|last| last < next));
        let (base, entries) = match self.sealed.get(segment) {
            Some(segment) => (segment.base, &segment.entries),
            None => (self.open.base, &self.open.entries),
        };
        (
            base,
            entries,
            entries.partition_point(|entry| entry.seq < next),
        )
    }

    fn front(&self) -> Option<Entry> {
        let entries = self
            .sealed
            .front()
            .map_or(&self.open.entries, |segment| &segment.entries);
        entries.get(self.dropped).copied()
    }

    fn drop_front(&mut self, front: Entry) {
        let (entries, start) = match self.sealed.front() {
            Some(segment) => (segment.entries.len(), segment.start(self.dropped)),
            None => (self.open.entries.len(), self.open.start(self.dropped)),
        };
        self.events -= 1;
        self.bytes -= front.end as usize - start;
        self.floor = front.seq + 1;
        self.dropped += 1;
        if self.dropped == entries {
            self.dropped = 0;
            if self.sealed.pop_front().is_none() {
                self.open = Segment::new(self.appended());
            }
        }
        while self.keyed.front().is_some_and(|(seq, _)| *seq < self.floor) {
            if let Some((_, key)) = self.keyed.pop_front() {
                self.keys.remove(&key);
            }
        }
        if self.events == 0 {
            // Room for what is gone would stay as long as the log.
            self.keys = HashMap::new();
            self.keyed = VecDeque::new();
        }
    }

    fn tenths(&self, now: Instant) -> u32 {
        tenths(now.saturating_duration_since(self.born))
    }
}

/// The same event with its place as id; an id of the publisher's own is not ours to give.
fn numbered<'a>(event: &'a Event<'_>, id: Option<&'a str>) -> Event<'a> {
    let mut numbered = Event::new(event.data());
    if let Some(id) = id {
        let id = EventId::new(id).expect("a position holds no line break and no NUL");
        numbered = numbered.with_id(id);
    }
    if let Some(event_type) = event.event_type() {
        numbered = numbered.with_type(event_type);
    }
    if let Some(retry) = event.retry() {
        numbered = numbered.with_retry(retry);
    }
    numbered
}

fn tenths(duration: Duration) -> u32 {
    // Not by way of `as_millis`: its 128 bits are divided by a call, twice per append.
    let tenths = duration
        .as_secs()
        .saturating_mul(10)
        .saturating_add(u64::from(duration.subsec_millis() / 100));
    u32::try_from(tenths).unwrap_or(u32::MAX)
}

/// A run of whole events within one segment.
struct Run {
    start: usize,
    end: usize,
    events: u32,
    first: u64,
    then: u64,
    ordinal: u64,
}

impl Run {
    fn range(&self) -> std::ops::Range<usize> {
        self.start..self.end
    }

    fn found(&self, bytes: Bytes) -> Found {
        Found::Events {
            bytes,
            events: self.events,
            first: self.first,
            then: self.then,
            ordinal: self.ordinal,
        }
    }
}

impl Segment<Vec<u8>> {
    const fn new(base: u64) -> Self {
        Self {
            base,
            bytes: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Makes room for `len` more bytes: doubling, but not beyond what a full segment holds. (A `Vec`
    /// left to itself ends up at up to twice that, and a sealed segment keeps what it has.)
    fn make_room(&mut self, len: usize, full: usize) {
        let needed = self.bytes.len() + len;
        if needed > self.bytes.capacity() {
            let room = (self.bytes.capacity() * 2).min(full).max(needed);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }
}

impl<B> Segment<B> {
    fn last(&self) -> Option<u64> {
        self.entries.last().map(|entry| entry.seq)
    }

    /// Where the bytes of entry number `entry` begin.
    fn start(&self, entry: usize) -> usize {
        entry
            .checked_sub(1)
            .map_or(0, |before| self.entries[before].end as usize)
    }

    /// As many whole events as fit into a slice, at least one, from number `next` to below `limit`.
    fn run(&self, next: u64, limit: u64) -> Option<Run> {
        let first = self.entries.partition_point(|entry| entry.seq < next);
        let start = self.start(first);
        let fit = |entry: &Entry| entry.seq < limit && entry.end as usize - start <= Window::SLICE;
        let candidates = &self.entries[first..];
        let mut events = candidates.partition_point(fit);
        if events == 0 {
            // The first is beyond the limit, or longer than a slice and goes alone.
            if candidates.first().is_none_or(|entry| entry.seq >= limit) {
                return None;
            }
            events = 1;
        }
        let last = self.entries[first + events - 1];
        Some(Run {
            start,
            end: last.end as usize,
            events: events as u32,
            first: candidates[0].seq,
            then: last.seq + 1,
            ordinal: self.base + (first + events) as u64,
        })
    }
}

#[cfg(test)]
mod tests;
