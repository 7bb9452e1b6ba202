//! A core's bell: the lanes on it whose readers are to be woken, by a task of that core.

use std::mem;
use std::task::{Context, Waker};

use super::Lane;
use crate::shard::cores;
use crate::sync::{Arc, Mutex};

/// The bell of the readers in lane number `lane`, if they have one.
pub(super) fn of(lane: usize) -> Option<&'static Bell> {
    (lane < cores()).then(|| &BELLS[lane])
}

crate::sync::lazy_static! {
    static BELLS: Vec<Bell> = (0..cores()).map(|_| Bell::default()).collect();
}

#[derive(Debug, Default)]
pub(super) struct Bell(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    /// Whether a task will look here when it is woken, or runs for the first time.
    answered: bool,
    /// Of that task, until it is woken.
    waker: Option<Waker>,
    lanes: Vec<Rung>,
}

/// A lane, and the version to which its log had risen when it was rung.
type Rung = (Arc<Lane>, u64);

impl Bell {
    /// Has the readers of `lane` woken by their own core; where nobody answers, wakes them here.
    pub(super) fn ring(&self, lane: &Arc<Lane>, version: u64) {
        let mut queue = self.0.lock();
        if !queue.answered {
            drop(queue);
            lane.wake(version);
            return;
        }
        queue.lanes.push((Arc::clone(lane), version));
        // Taken: however many lanes ring until it comes, the task is woken once.
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The part of a core's task that answers its bell.
#[derive(Debug)]
pub(crate) struct Answering {
    bell: &'static Bell,
    /// Empty between polls; it keeps its room, so that waking allocates nothing in steady state.
    lanes: Vec<Rung>,
}

impl Answering {
    /// Answers for core number `shard`, unless somebody does already.
    pub(crate) fn begin(shard: usize) -> Option<Self> {
        let bell = &BELLS[shard];
        let taken = mem::replace(&mut bell.0.lock().answered, true);
        (!taken).then(|| Self {
            bell,
            lanes: Vec::new(),
        })
    }

    /// Wakes the readers of all lanes that were rung, and has the task woken by the next ring.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) {
        let mut queue = self.bell.0.lock();
        mem::swap(&mut queue.lanes, &mut self.lanes);
        let known = |waker: &Waker| waker.will_wake(cx.waker());
        let old = match queue.waker.as_ref().is_some_and(known) {
            true => None,
            false => queue.waker.replace(cx.waker().clone()),
        };
        drop(queue);
        drop(old);
        for (lane, version) in self.lanes.drain(..) {
            lane.wake(version);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut queue = self.bell.0.lock();
        let left = mem::take(&mut *queue);
        drop(queue);
        for (lane, version) in left.lanes {
            lane.wake(version);
        }
    }
}
