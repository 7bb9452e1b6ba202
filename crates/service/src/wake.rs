//! Parking readers and waking exactly those, one pass per core.
//!
//! A log keeps one [`Lane`] per core. A reader belongs to the lane of the core that made it, parks
//! there when it has read everything, and is woken there. Two cores that read the same log therefore
//! share no lock with each other, only (each for an instant) with the publisher.
//!
//! # Why no wake-up is lost
//!
//! The publisher makes its change, *then* raises the log's version, *then* locks each lane in turn
//! and takes its wakers. A reader locks its lane and compares the version with the one up to which
//! it has read. Either its critical section comes first, and the publisher finds its waker; or the
//! publisher's comes first, and the reader, locking after it, sees the new version and does not park.
//!
//! A reader that read the news between a publisher's raise and its wake parks, and is then woken for
//! nothing. So an unchanged version does not mean that a reader is still parked: only the lane's
//! generation, which every wake raises, says that. `tests/loom.rs` goes through the interleavings.

use std::cell::Cell;
use std::sync::OnceLock;
use std::task::Waker;

use bytes::Bytes;
use slab::Slab;

use crate::sync::{AtomicU64, Mutex, Ordering};

/// How many lanes a log has: one per core.
pub(crate) fn lanes() -> usize {
    if cfg!(wellspring_loom) {
        return 2;
    }
    static LANES: OnceLock<usize> = OnceLock::new();
    *LANES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Says that this thread is core number `shard`, so that readers made here are woken together.
///
/// Threads that never say so are spread over the lanes in the order in which they first ask.
pub fn enter_shard(shard: usize) {
    LANE.set(Some(shard % lanes()));
}

/// The lane of readers that are made on this thread.
pub(crate) fn current_lane() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    LANE.get().unwrap_or_else(|| {
        let lane = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % lanes();
        LANE.set(Some(lane));
        lane
    })
}

thread_local! {
    static LANE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The parked readers of one core, and what the last of them to read was given.
#[derive(Debug)]
pub(crate) struct Lane {
    state: Mutex<State>,
    /// Raised, under the lock, whenever all the parked are taken: every earlier [`Ticket`] is void.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Wakers of readers that have read everything.
    parked: Slab<Waker>,
    /// An empty list that keeps its capacity, so that waking allocates nothing in steady state.
    spare: Vec<Waker>,
    shared: Option<Shared>,
}

/// What readers at one place get: assembled for the first of them, cloned for the rest.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    /// The place, as [`Cursor::next`](crate::Cursor::next).
    pub(crate) next: u64,
    /// The log's version at which this was everything there was (up to the size of a slice).
    pub(crate) version: u64,
    pub(crate) bytes: Bytes,
    pub(crate) events: u32,
    /// The number of the first event.
    pub(crate) first: u64,
    /// The place after these bytes.
    pub(crate) then: u64,
    /// How many events the log was ever given, up to and with these.
    pub(crate) ordinal: u64,
    /// Whether nothing came after them at that version: who has them need not look again.
    pub(crate) last: bool,
}

/// A parked reader's place in its lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    generation: u64,
    key: usize,
}

impl Lane {
    /// Up to here, a lane without parked readers keeps the room it has for them.
    const ROOM: usize = 64;

    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            generation: AtomicU64::new(0),
        }
    }

    /// Whether the waker that was parked for `ticket` is still in: then a wake-up is yet to come.
    ///
    /// # Cost
    ///
    /// One atomic load.
    pub(crate) fn holds(&self, ticket: Ticket) -> bool {
        self.generation.load(Ordering::Acquire) == ticket.generation
    }

    /// Parks `waker`, in the place of what is parked for `held`, unless `unchanged` (called under the
    /// lane's lock) says that there is news.
    pub(crate) fn park(
        &self,
        waker: Waker,
        held: Option<Ticket>,
        unchanged: impl FnOnce() -> bool,
    ) -> Option<Ticket> {
        let mut state = self.state.lock();
        if !unchanged() {
            return None;
        }
        if let Some(ticket) = held.filter(|ticket| self.holds(*ticket)) {
            let old = std::mem::replace(&mut state.parked[ticket.key], waker);
            drop(state);
            // Outside the lock: dropping the last reference to a task runs that task's destructors.
            drop(old);
            return held;
        }
        Some(Ticket {
            generation: self.generation.load(Ordering::Relaxed),
            key: state.parked.insert(waker),
        })
    }

    /// Takes a reader out again, if it is still in.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut state = self.state.lock();
        if !self.holds(ticket) {
            return;
        }
        let waker = state.parked.remove(ticket.key);
        if state.parked.is_empty() && state.parked.capacity() > Self::ROOM {
            // A crowd has left: the room it took goes with it.
            state.parked = Slab::new();
            state.spare = Vec::new();
        }
        drop(state);
        drop(waker);
    }

    /// Wakes everyone who is parked, after the log's version rose to `version`.
    pub(crate) fn wake(&self, version: u64) {
        let mut state = self.state.lock();
        // Void, and it may pin a whole segment.
        let void = state.shared.take_if(|shared| shared.version < version);
        if state.parked.is_empty() {
            drop(state);
            drop(void);
            return;
        }
        self.generation.fetch_add(1, Ordering::Release);
        let mut woken = std::mem::take(&mut state.spare);
        woken.extend(state.parked.drain());
        drop(state);
        drop(void);
        // Outside the lock: a waker may run its task right here.
        for waker in woken.drain(..) {
            waker.wake();
        }
        let old = std::mem::replace(&mut self.state.lock().spare, woken);
        drop(old);
    }

    /// What a neighbour at the same place, at the same version, was given.
    pub(crate) fn shared(&self, next: u64, version: u64) -> Option<Shared> {
        let state = self.state.lock();
        let shared = state.shared.as_ref()?;
        (shared.next == next && shared.version == version).then(|| shared.clone())
    }

    /// The same for a neighbour who knows what its next event is, and from where on others have their
    /// turn.
    pub(crate) fn shared_from(&self, first: u64, limit: u64, version: u64) -> Option<Shared> {
        let state = self.state.lock();
        let shared = state.shared.as_ref()?;
        let fits = shared.first == first && shared.then <= limit && shared.version == version;
        fits.then(|| shared.clone())
    }

    /// Leaves a slice for neighbours at the same place.
    pub(crate) fn share(&self, shared: &Shared) {
        let old = self.state.lock().shared.replace(shared.clone());
        drop(old);
    }

    /// Lets go of what is shared: it may pin a segment that the log has dropped.
    pub(crate) fn forget(&self) {
        let old = self.state.lock().shared.take();
        drop(old);
    }

    pub(crate) fn parked(&self) -> usize {
        self.state.lock().parked.len()
    }
}
