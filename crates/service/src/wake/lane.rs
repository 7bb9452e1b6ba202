//! The readers of one log on one core.

use std::num::NonZeroU64;
use std::task::Waker;

use bytes::Bytes;
use slab::Slab;

use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering};

/// The parked readers of one core, and what the last of them to read was given.
#[derive(Debug)]
pub(crate) struct Lane {
    state: Mutex<State>,
    /// Raised, under the lock, whenever all the parked are taken: every earlier [`Ticket`] is void.
    generation: AtomicU64,
    /// Whether somebody may be parked for whom no wake-up is on its way.
    occupied: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// How many readers the lane has, parked or not.
    readers: usize,
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
    generation: NonZeroU64,
    key: u32,
}

impl Lane {
    /// Up to here, a lane without parked readers keeps the room it has for them.
    const ROOM: usize = 64;

    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State::default()),
            generation: AtomicU64::new(1),
            occupied: AtomicBool::new(false),
        }
    }

    pub(super) fn join(&self) {
        self.state.lock().readers += 1;
    }

    /// Whether the waker that was parked for `ticket` is still in: then a wake-up is yet to come.
    ///
    /// # Cost
    ///
    /// One atomic load.
    pub(super) fn holds(&self, ticket: Ticket) -> bool {
        self.generation.load(Ordering::Acquire) == ticket.generation.get()
    }

    /// Parks `waker`, in the place of what is parked for `held`, unless `unchanged` (called under the
    /// lane's lock) says that there is news.
    pub(super) fn park(
        &self,
        waker: Waker,
        held: Option<Ticket>,
        unchanged: impl Fn() -> bool,
    ) -> Option<Ticket> {
        let mut state = self.state.lock();
        if !self.occupy(&state, unchanged) {
            return None;
        }
        if let Some(ticket) = held.filter(|ticket| self.holds(*ticket)) {
            let old = std::mem::replace(&mut state.parked[ticket.key as usize], waker);
            drop(state);
            // Outside the lock: dropping the last reference to a task runs that task's destructors.
            drop(old);
            return held;
        }
        Some(self.insert(&mut state, waker))
    }

    /// Says that somebody will be parked, unless there is news.
    fn occupy(&self, state: &State, unchanged: impl Fn() -> bool) -> bool {
        if state.parked.is_empty() {
            self.occupied.swap(true, Ordering::AcqRel);
        }
        unchanged()
    }

    fn insert(&self, state: &mut State, waker: Waker) -> Ticket {
        let generation = self.generation.load(Ordering::Relaxed);
        let key = state.parked.insert(waker);
        Ticket {
            generation: NonZeroU64::new(generation).expect("it starts at 1 and rises"),
            key: u32::try_from(key).expect("fewer than 2^32 readers have a place in memory"),
        }
    }

    /// Takes a reader out for good, and its waker if that is still in.
    pub(super) fn leave(&self, ticket: Option<Ticket>) {
        let mut state = self.state.lock();
        let waker = ticket
            .filter(|ticket| self.holds(*ticket))
            .map(|ticket| state.parked.remove(ticket.key as usize));
        state.readers -= 1;
        let left = state.readers == 0;
        if left || state.parked.is_empty() && state.parked.capacity() > Self::ROOM {
            // A crowd has left: the room it took goes with it.
            state.parked = Slab::new();
            state.spare = Vec::new();
        }
        let shared = state.shared.take_if(|_| left);
        drop(state);
        drop((waker, shared));
    }

    /// Says that the log's version has risen; and whether the caller must see to it that the readers
    /// are [woken](Self::wake).
    ///
    /// # Cost
    ///
    /// One atomic exchange.
    pub(super) fn ring(&self) -> bool {
        self.occupied.swap(false, Ordering::AcqRel)
    }

    /// Wakes everyone who is parked, after the log's version rose to `version`.
    pub(super) fn wake(&self, version: u64) {
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
        let mut state = self.state.lock();
        let old = match state.readers {
            // They left while they were woken.
            0 => woken,
            _ => std::mem::replace(&mut state.spare, woken),
        };
        drop(state);
        drop(old);
    }

    /// What a neighbour at the same place, at the same version, was given; when nothing came after it, and unless
    /// there is news meanwhile, `waker` is parked for what will, in the same go.
    pub(super) fn share_and_park(
        &self,
        next: u64,
        version: u64,
        waker: &Waker,
        unchanged: impl Fn() -> bool,
    ) -> Option<(Shared, Option<Ticket>)> {
        let mut state = self.state.lock();
        let shared = state.shared.as_ref();
        let shared = shared
            .filter(|shared| shared.next == next && shared.version == version)?
            .clone();
        let parks = shared.last && self.occupy(&state, unchanged);
        let ticket = parks.then(|| self.insert(&mut state, waker.clone()));
        Some((shared, ticket))
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

    pub(super) fn forget(&self) {
        let old = self.state.lock().shared.take();
        drop(old);
    }

    pub(super) fn parked(&self) -> usize {
        self.state.lock().parked.len()
    }
}
