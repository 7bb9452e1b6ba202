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
//! `tests/loom.rs` goes through every interleaving.

use std::cell::Cell;
use std::sync::OnceLock;
use std::task::Waker;

use bytes::Bytes;
use slab::Slab;

use crate::sync::Mutex;

/// How many lanes a log has: one per core.
pub(crate) fn lanes() -> usize {
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
pub(crate) struct Lane(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Wakers of readers that have read everything.
    parked: Slab<Waker>,
    /// Raised whenever all the parked are taken, which makes every earlier [`Ticket`] void.
    generation: u64,
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
    /// The place after these bytes.
    pub(crate) then: u64,
    /// How many events the log was ever given, up to and with these.
    pub(crate) ordinal: u64,
}

/// A parked reader's place in its lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    generation: u64,
    key: usize,
}

impl Lane {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State::default()))
    }

    /// Parks `waker`, unless `unchanged` (called under the lane's lock) says that there is news.
    pub(crate) fn park(
        &self,
        waker: &Waker,
        ticket: &mut Option<Ticket>,
        unchanged: impl FnOnce() -> bool,
    ) -> bool {
        let mut state = self.0.lock();
        if !unchanged() {
            return false;
        }
        match *ticket {
            Some(Ticket { generation, key }) if generation == state.generation => {
                state.parked[key].clone_from(waker);
            }
            _ => {
                *ticket = Some(Ticket {
                    generation: state.generation,
                    key: state.parked.insert(waker.clone()),
                });
            }
        }
        true
    }

    /// Takes a reader out again, if it is still in.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut state = self.0.lock();
        if ticket.generation == state.generation {
            let waker = state.parked.remove(ticket.key);
            drop(state);
            // Outside the lock: dropping the last reference to a task runs that task's destructors.
            drop(waker);
        }
    }

    /// Wakes everyone who is parked.
    pub(crate) fn wake(&self) {
        let mut state = self.0.lock();
        if state.parked.is_empty() {
            return;
        }
        state.generation += 1;
        let mut woken = std::mem::take(&mut state.spare);
        woken.extend(state.parked.drain());
        drop(state);
        // Outside the lock: a waker may run its task right here.
        for waker in woken.drain(..) {
            waker.wake();
        }
        self.0.lock().spare = woken;
    }

    /// What a neighbour at the same place, at the same version, was given.
    pub(crate) fn shared(&self, next: u64, version: u64) -> Option<Shared> {
        let state = self.0.lock();
        let shared = state.shared.as_ref()?;
        (shared.next == next && shared.version == version).then(|| shared.clone())
    }

    /// Leaves a slice for neighbours at the same place.
    pub(crate) fn share(&self, shared: &Shared) {
        let old = self.0.lock().shared.replace(shared.clone());
        drop(old);
    }

    #[cfg(any(test, wellspring_loom))]
    pub(crate) fn parked(&self) -> usize {
        self.0.lock().parked.len()
    }
}
