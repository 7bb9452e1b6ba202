//! A cursor into a log, or into several topics of a hub: some tens of bytes, and no queue.

mod merged;
mod replay;

use std::future::poll_fn;
use std::num::NonZeroU64;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::gap::{Gap, GapReason};
use crate::log::window::Found;
use crate::log::{End, Log, Overflow, State};
use crate::position::{Cursor, Position, Start};
use crate::sync::Arc;
use crate::wake::{Lane, Parking, Shared};

pub(crate) use merged::MergedReader;
pub use replay::Replay;
use replay::Replayed;

/// A cursor into one log, or into several topics of one hub.
///
/// Dropping it frees its place at once.
#[derive(Debug)]
pub struct Reader(Kind);

#[derive(Debug)]
enum Kind {
    Log(LogReader),
    Merged(Box<MergedReader>),
    Replayed(Box<Replayed>),
}

/// What a reader gets next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Whole events, in order, as they cross the wire: everything there is, up to 16 KiB (one event
    /// that is longer comes alone).
    Events {
        /// The bytes, shared by all readers at this place.
        bytes: Bytes,
        /// How many events they are.
        events: u32,
    },
    /// Something was lost; the events that exist come next.
    Gap(Gap),
    /// Nothing will ever come after this.
    End(End),
}

impl Reader {
    /// What comes next, as a poll.
    ///
    /// When it is pending and nothing has happened since the last poll, this costs one atomic load.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        // One call for both: with two the compiler makes a function of it, 75 instructions per delivery.
        let reader = match &mut self.0 {
            Kind::Log(reader) => reader,
            Kind::Merged(reader) => return reader.poll_next(cx),
            Kind::Replayed(replayed) => match replayed.take_piece() {
                Some(next) => return Poll::Ready(next),
                None => replayed.reader(),
            },
        };
        reader.poll_next(cx)
    }

    /// What comes next.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the cursor moves only when events are handed out.
    pub async fn next(&mut self) -> Next {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The place after everything that was handed out.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        match &self.0 {
            Kind::Log(reader) => reader.cursor(),
            Kind::Merged(reader) => reader.cursor(),
            Kind::Replayed(reader) => reader.cursor(),
        }
    }

    /// Whether the log is complete and this reader has seen all of it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Kind::Log(reader) => reader.is_finished(),
            Kind::Merged(_) => false,
            Kind::Replayed(reader) => reader.is_finished(),
        }
    }

    /// Whether the first thing to come is a gap, because what was asked for is of no log of ours.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match &self.0 {
            Kind::Log(reader) => reader.is_lost(),
            Kind::Merged(reader) => reader.is_lost(),
            Kind::Replayed(_) => false,
        }
    }
}

impl From<LogReader> for Reader {
    fn from(reader: LogReader) -> Self {
        Self(Kind::Log(reader))
    }
}

impl From<MergedReader> for Reader {
    fn from(reader: MergedReader) -> Self {
        Self(Kind::Merged(Box::new(reader)))
    }
}

impl From<Replay> for Reader {
    fn from(replay: Replay) -> Self {
        Self(Kind::Replayed(Box::new(Replayed::new(replay))))
    }
}

/// A cursor into one log.
#[derive(Debug)]
pub struct LogReader {
    log: Log,
    lane: Arc<Lane>,
    next: u64,
    /// How many events the log had been given at this place, and one; where that is known.
    ordinal: Option<NonZeroU64>,
    /// Whether it has been told where it stands: from then on, losing something means being too slow.
    placed: bool,
    /// The log's version up to which everything has been read.
    seen: u64,
    parking: Parking,
    /// What this reader asked for when its continuity could not be proven, until it has been told.
    lost: Option<Requested>,
}

/// What a reader asked for when its continuity could not be proven.
///
/// In a box of its own, behind one pointer: few readers have it.
type Requested = Box<Box<str>>;

impl LogReader {
    pub(crate) fn new(log: Log, start: Start) -> Self {
        let tail = log.state().tail();
        let mut reader = Self::at(log, start, tail);
        if !reader.is_lost() {
            // A log of its own numbers its events without holes.
            reader.ordinal = ordinal(reader.next);
        }
        reader
    }

    /// A reader of a log whose numbering has come to `tail`.
    pub(crate) fn at(log: Log, start: Start, tail: u64) -> Self {
        let lane = log.join();
        let mut state = log.state();
        state.window.retain(tokio::time::Instant::now());
        let (next, lost) = place(
            start,
            Cursor {
                epoch: log.epoch(),
                next: tail,
            },
            state.window.floor(),
        );
        let given = state.window.given_before(next).filter(|_| lost.is_none());
        drop(state);
        Self {
            lane,
            next,
            ordinal: given.and_then(ordinal),
            placed: false,
            seen: 0,
            parking: Parking::default(),
            lost: lost.map(Box::new),
            log,
        }
    }

    /// What comes next, as a poll: see [`Reader::poll_next`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.parking.waits(&self.lane, cx.waker()) {
            return Poll::Pending;
        }
        loop {
            let version = self.log.version();
            if version != self.seen {
                if let Some(next) = self.read(version, cx.waker()) {
                    return Poll::Ready(next);
                }
                self.seen = version;
            }
            if self.park(cx.waker()) {
                return Poll::Pending;
            }
        }
    }

    /// What comes next: see [`Reader::next`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Next {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The place after everything that was handed out.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.log.epoch(),
            next: self.next,
        }
    }

    /// Whether the log is complete and this reader has seen all of it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let state = self.log.state();
        !self.is_lost() && state.end == Some(End::Complete) && self.next >= state.limit()
    }

    /// Whether it must be told first that its continuity cannot be proven.
    fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    fn read(&mut self, version: u64, waker: &Waker) -> Option<Next> {
        let lane = &self.lane;
        if !self.is_lost() {
            let (log, place) = (&self.log, (self.next, version));
            let unchanged = || log.version() == version;
            if let Some(shared) = self.parking.share(lane, waker, place, unchanged) {
                return Some(self.advance(shared));
            }
        }
        let state = self.log.state();
        if let Some(requested) = self.lost.take() {
            let (gap, gone) = gap(
                &self.log,
                &state,
                GapReason::Epoch,
                (*requested).into(),
                self.next,
            );
            drop(state);
            return Some(self.tell(gap, gone));
        }
        let next = match (self.log.overflow(), state.window.last()) {
            (Overflow::Latest, Some(last)) => self.next.max(last),
            _ => self.next,
        };
        match state.window.after(next, state.limit()) {
            Found::Events {
                bytes,
                events,
                first,
                then,
                ordinal,
            } => {
                let shared = Shared {
                    next: self.next,
                    // Under the lock, and so true of what was just read.
                    version: self.log.version(),
                    bytes,
                    events,
                    first,
                    then,
                    ordinal,
                    last: then == state.tail() && state.end.is_none(),
                };
                drop(state);
                lane.share(&shared);
                Some(self.advance(shared))
            }
            Found::Tail => state.end.map(Next::End),
            Found::Evicted if !self.log.has_ids() => Some(Next::End(End::Failed)),
            Found::Evicted => {
                let (reason, on) = match self.log.overflow() {
                    _ if !self.placed => (GapReason::Evicted, state.window.floor()),
                    Overflow::Disconnect => return Some(Next::End(End::Overflow)),
                    Overflow::Skip => (GapReason::Overflow, state.tail()),
                    // Not reached while there is a newest event to jump to.
                    Overflow::Latest => (GapReason::Evicted, state.window.floor()),
                };
                let (gap, gone) = gap(&self.log, &state, reason, self.cursor().to_string(), on);
                drop(state);
                Some(self.tell(gap, gone))
            }
        }
    }

    fn advance(&mut self, shared: Shared) -> Next {
        if shared.last {
            self.seen = shared.version;
        }
        self.next = shared.then;
        self.ordinal = ordinal(shared.ordinal);
        self.placed = true;
        Next::Events {
            bytes: shared.bytes,
            events: shared.events,
        }
    }

    /// Goes on after a gap, before which the log had been given `gone` events.
    fn tell(&mut self, mut gap: Gap, gone: u64) -> Next {
        gap.missed = self.ordinal.map(|ordinal| gone - (ordinal.get() - 1));
        self.next = gap.on.next;
        self.ordinal = ordinal(gone);
        self.placed = true;
        Next::Gap(gap)
    }

    fn park(&mut self, waker: &Waker) -> bool {
        let (log, seen) = (&self.log, self.seen);
        self.parking
            .park(&self.lane, waker, || log.version() == seen)
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.parking.leave(&self.lane);
        self.log.leave();
    }
}

fn ordinal(given: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(given.wrapping_add(1))
}

/// What to say of the loss of everything before number `on`, and how many events the log had been
/// given before the first one that comes after it.
fn gap(log: &Log, state: &State, reason: GapReason, requested: String, on: u64) -> (Gap, u64) {
    let epoch = log.epoch();
    let position = |seq| Position { epoch, seq };
    let window = &state.window;
    let first = window.first_from(on);
    let kept = first.map_or(0, |_| window.events() as u64);
    let gap = Gap {
        reason,
        requested,
        on: Cursor {
            epoch,
            next: first.unwrap_or(on),
        },
        first: first.map(position),
        last: window.last().map(position),
        missed: None,
    };
    (gap, window.appended() - kept)
}

/// Where `start` is in a log that has come to `tail` and has lost all below `floor`; and what was
/// asked for, if its continuity cannot be proven.
pub(crate) fn place(start: Start, tail: Cursor, floor: u64) -> (u64, Option<Box<str>>) {
    match start {
        Start::Earliest => (floor, None),
        Start::Tail => (tail.next, None),
        Start::After(cursor) if cursor.epoch == tail.epoch && cursor.next <= tail.next => {
            (cursor.next, None)
        }
        Start::After(cursor) => (floor, Some(cursor.to_string().into())),
        Start::Foreign(id) => (floor, Some(id.into())),
    }
}
