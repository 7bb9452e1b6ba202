//! A bounded, append-only sequence of events, held as the bytes that will cross the wire.
//!
//! An event is encoded once, when it is appended. Readers are cursors ([`LogReader`]): live delivery,
//! catch-up after a reconnect and a late joiner's replay are one code path, and a slow reader costs
//! nothing, because no queue of its own exists.
//!
//! # Cost
//!
//! Appending copies the event once and touches each core that reads once; it does not depend on the
//! number of readers until they are woken, each core's by itself and outside every lock. Finding a place by id is
//! O(log n). Polling a reader that has read everything is one atomic load.

pub(crate) mod window;

use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;
use wellspring_event::Event;

use crate::position::{Cursor, Epoch, Position, Start};
use crate::reader::LogReader;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::wake::{Lane, Lanes};
use window::Window;

/// A bounded, append-only sequence of events. Clones are handles to the same log.
#[derive(Debug, Clone)]
pub struct Log(Arc<Shared>);

/// How a log is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogOptions {
    /// How much a log keeps for readers who come late or come back.
    pub retention: Retention,
    /// What happens to a connected reader that falls behind what the log keeps.
    pub overflow: Overflow,
    /// Whether events carry their position as `id:` on the wire. Default true. Off for dialects whose
    /// clients choke on ids (`openai-python` parses every block once it has seen one); what is read
    /// without ids cannot be resumed by id, and so a reader that misses something is cut
    /// ([`End::Failed`]), whatever `overflow` says: a clean end would look like the whole.
    pub ids: bool,
}

/// How much a log keeps: whatever is exceeded first drops the oldest event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Bytes on the wire. Default 1 MiB. An event longer than this is refused.
    pub bytes: usize,
    /// Number of events, at least one. Default 65,536.
    pub events: usize,
    /// Age, to a tenth of a second. Default none.
    pub age: Option<Duration>,
}

/// What happens to a connected reader that falls behind what its log keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// End the stream. The client comes back with its id and is told of the gap. The default.
    #[default]
    Disconnect,
    /// Conflate: whenever a reader is behind, it gets the newest event only.
    Latest,
    /// Jump to the tail and send a `gap` event.
    Skip,
}

/// How a log, or a stream, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Everything was said. The stream ends cleanly, and a client that comes back is told to stay
    /// away (204).
    Complete,
    /// The server goes away. The stream ends cleanly, with a `retry:` that spreads the return.
    Drained,
    /// The producer failed. The stream is cut, never ended cleanly, so that nobody mistakes the
    /// part for the whole.
    Failed,
    /// This reader fell too far behind ([`Overflow::Disconnect`]).
    Overflow,
}

/// Why an event was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// The event alone is more than the log keeps.
    #[error("the event takes {bytes} bytes on the wire, and the log keeps {limit}")]
    TooLarge {
        /// What the event takes on the wire.
        bytes: usize,
        /// What the log keeps.
        limit: usize,
    },
}

/// Where an event went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its place.
    pub position: Position,
    /// Whether an event with the same key was there already; then this is that event's place.
    pub repeated: bool,
}

#[derive(Debug)]
pub(crate) struct Shared {
    epoch: Epoch,
    overflow: Overflow,
    ids: bool,
    /// Raised after every change that readers must see, and before they are woken.
    version: AtomicU64,
    state: Mutex<State>,
    lanes: Lanes,
    readers: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) window: Window,
    pub(crate) end: Option<End>,
    /// The place at which it did.
    end_at: u64,
    /// When the last event came or the last reader left.
    pub(crate) touched: Instant,
}

impl Log {
    /// An empty log of a new epoch, numbered from 0.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are made for the log"
    )]
    pub fn new(options: LogOptions) -> Self {
        Self::at(Epoch::random(), &options, 0)
    }

    /// An empty log in which everything below `floor` counts as lost.
    pub(crate) fn at(epoch: Epoch, options: &LogOptions, floor: u64) -> Self {
        Self(Arc::new(Shared {
            epoch,
            overflow: options.overflow,
            ids: options.ids,
            version: AtomicU64::new(1),
            state: Mutex::new(State {
                window: Window::new(epoch, options, floor),
                end: None,
                end_at: 0,
                touched: Instant::now(),
            }),
            lanes: Lanes::default(),
            readers: AtomicUsize::new(0),
        }))
    }

    /// Appends one event; its `id` becomes its position, whatever it was before.
    ///
    /// # Errors
    ///
    /// [`AppendError::Closed`] after [`close`](Self::close), [`AppendError::TooLarge`] for an event
    /// that the log could not keep.
    pub fn append(&self, event: &Event<'_>) -> Result<Position, AppendError> {
        self.append_keyed(event, None)
            .map(|appended| appended.position)
    }

    /// Appends one event, unless an event with the same `key` is still there.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub fn append_keyed(
        &self,
        event: &Event<'_>,
        key: Option<&str>,
    ) -> Result<Appended, AppendError> {
        let mut state = self.0.state.lock();
        let seq = state.window.appended();
        let appended = self.insert(&mut state, seq, event, key)?;
        if !appended.repeated {
            self.raise();
            drop(state);
            self.wake();
        }
        Ok(appended)
    }

    /// Appends the event as number `seq`. Unless it was repeated, the caller raises the version and
    /// then, when it has let go of its locks, wakes the readers.
    pub(crate) fn append_at(
        &self,
        seq: u64,
        event: &Event<'_>,
        key: Option<&str>,
    ) -> Result<Appended, AppendError> {
        self.insert(&mut self.0.state.lock(), seq, event, key)
    }

    /// Ends the log: readers get what is left, then the end. The first end counts.
    pub fn close(&self, end: End) {
        let state = self.0.state.lock();
        let tail = state.tail();
        self.end_at(state, end, tail);
    }

    /// Ends the log at `tail`, up to which its hub's numbering has come.
    pub(crate) fn close_at(&self, end: End, tail: u64) {
        self.end_at(self.0.state.lock(), end, tail);
    }

    /// How the log ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.state().end
    }

    /// A reader from `start` on.
    #[must_use]
    pub fn read(&self, start: Start) -> LogReader {
        LogReader::new(self.clone(), start)
    }

    /// The life of this log.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    /// The place after the newest event.
    #[must_use]
    pub fn tail(&self) -> Cursor {
        Cursor {
            epoch: self.0.epoch,
            next: self.state().tail(),
        }
    }

    /// How many events the log keeps now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().window.events()
    }

    /// Whether the log keeps nothing now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes of events the log keeps now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state().window.bytes()
    }

    /// How many readers there are now.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.0.readers.load(Ordering::Acquire)
    }

    /// How many readers have read everything and wait, over all cores.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.0.lanes.parked()
    }

    /// Drops what is older than the retention's age. Appending and making a reader do it too.
    pub fn retain(&self) {
        let mut state = self.0.state.lock();
        let floor = state.window.floor();
        state.window.retain(Instant::now());
        let dropped = state.window.floor() > floor;
        drop(state);
        if dropped {
            self.0.lanes.forget();
        }
    }

    /// Says that there is something new, before those who wait for it are woken. Called under the lock
    /// under which new readers first look: the log's, or its hub's.
    pub(crate) fn raise(&self) {
        self.0.version.fetch_add(1, Ordering::Release);
    }

    /// Wakes every parked reader.
    pub(crate) fn wake(&self) {
        self.0.lanes.ring(self.version());
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    pub(crate) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    pub(crate) fn overflow(&self) -> Overflow {
        self.0.overflow
    }

    /// Whether readers have ids, by which they can resume and be told of a gap.
    pub(crate) fn has_ids(&self) -> bool {
        self.0.ids
    }

    /// Counts one more reader, and says which lane is its. Comes before the reader's first look.
    pub(crate) fn join(&self) -> Arc<Lane> {
        self.0.readers.fetch_add(1, Ordering::AcqRel);
        self.0.lanes.join()
    }

    pub(crate) fn leave(&self) {
        // The last to leave says when, so that a hub knows how long a topic has been idle.
        if self.0.readers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.state.lock().touched = Instant::now();
        }
    }

    fn end_at(&self, mut state: MutexGuard<'_, State>, end: End, tail: u64) {
        if state.close(end, tail) {
            self.raise();
            drop(state);
            self.wake();
        }
    }

    fn insert(
        &self,
        state: &mut State,
        seq: u64,
        event: &Event<'_>,
        key: Option<&str>,
    ) -> Result<Appended, AppendError> {
        let epoch = self.0.epoch;
        // Once: reading the clock costs as much as encoding the event.
        let now = Instant::now();
        if let Some(key) = key {
            // What is too old to be read is too old to count as there.
            state.window.retain(now);
            if let Some(seq) = state.window.keyed(key) {
                return Ok(Appended {
                    position: Position { epoch, seq },
                    repeated: true,
                });
            }
        }
        // A drained log takes events still: they were sent to us, and late readers may be told.
        if state.end.is_some_and(|end| end != End::Drained) {
            return Err(AppendError::Closed);
        }
        state.window.append(seq, event, key, now)?;
        state.touched = now;
        Ok(Appended {
            position: Position { epoch, seq },
            repeated: false,
        })
    }
}

impl State {
    /// Readers get what is below this number, and then the end. (A drained log goes on taking events:
    /// a reader that waited for the last of them might wait for ever.)
    pub(crate) fn limit(&self) -> u64 {
        self.end.map_or(u64::MAX, |_| self.end_at)
    }

    /// Whether this was the first end.
    fn close(&mut self, end: End, at: u64) -> bool {
        if self.end.is_some() {
            return false;
        }
        self.end = Some(end);
        self.end_at = at;
        true
    }

    /// The place after the newest event that ever was.
    pub(crate) fn tail(&self) -> u64 {
        let floor = self.window.floor();
        self.window.last().map_or(floor, |last| last + 1)
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            bytes: 1024 * 1024,
            events: 65_536,
            age: None,
        }
    }
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            overflow: Overflow::default(),
            ids: true,
        }
    }
}

impl LogOptions {
    /// Keeps this much.
    #[must_use]
    pub fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Treats readers that fall behind like this.
    #[must_use]
    pub fn with_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Writes ids on the wire, or does not.
    #[must_use]
    pub fn with_ids(mut self, ids: bool) -> Self {
        self.ids = ids;
        self
    }
}

impl Retention {
    /// At most so many bytes on the wire.
    #[must_use]
    pub fn with_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// At most so many events.
    #[must_use]
    pub fn with_events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    /// Nothing older than this.
    #[must_use]
    pub fn with_age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }
}
