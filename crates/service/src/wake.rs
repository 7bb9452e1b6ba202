//! Parking readers and waking exactly those, one pass per core.
//!
//! A log keeps one [`Lane`] per core that reads it. A reader belongs to the lane of the core that made
//! it, parks there when it has read everything, and is woken there. A publisher touches each lane
//! once, with one atomic exchange, and only where somebody is parked does it more: it puts the lane on
//! that core's [`Bell`], and the core's own task wakes the readers. So no two cores share a lock on
//! the way of an event to its readers, but for the log's own (once per core) and, for an instant, a
//! bell's. On its own core, and for readers whose core has no bell, the publisher wakes them itself.
//!
//! # Why no wake-up is lost
//!
//! The publisher makes its change, *then* raises the log's version, *then* exchanges the lane's
//! `occupied` for `false`; if it was `true`, the publisher owes a pass over the lane. A reader locks
//! its lane, *then* exchanges `occupied` for `true`, *then* compares the version with the one up to
//! which it has read, and parks only if they are the same. Both exchanges read and write one variable,
//! so one comes after the other and sees it: either the publisher sees that the lane is occupied, or
//! the reader sees the new version.
//!
//! A reader that finds others parked in its lane leaves `occupied` as it is. The first of them set it,
//! and no pass came between, as it would have taken them. So it is still set, for the next publisher
//! to see; or a publisher has reset it, and the pass that this one owes takes the reader too.
//!
//! A lane is made before its first reader looks at the log, under the log's lock or its hub's. The
//! version rises under that lock, and lanes are looked for after it: the change of who misses a lane
//! is there for that first look.
//!
//! A bell's queue is served by its core's task, or, when that task is gone (its runtime ended), by the
//! publisher; both is decided under the queue's lock, and what was queued when the task went is woken.
//!
//! A reader that read the news between a publisher's raise and the pass parks, and is then woken for
//! nothing. So an unchanged version does not mean that a reader is still parked: only the lane's
//! generation, which every pass raises, says that. `tests/loom.rs` goes through the interleavings.
//!
//! # What a lane pins
//!
//! The slice that a lane's readers share is void as soon as the version has risen: readers compare it.
//! Its memory (16 KiB, or of a sealed segment 64 KiB) is freed by the next pass; by the next slice; or
//! when the last reader of the lane goes. So it outlives the event by what those readers take who are
//! connected but not parked, and they hold that very slice themselves.

mod bell;
mod lane;
mod parking;

use std::sync::OnceLock;

use crate::shard::{self, cores};
use crate::sync::Arc;

pub(crate) use bell::Answering;
pub(crate) use lane::{Lane, Shared};
pub(crate) use parking::Parking;

/// The lanes of one log. Each is made when the first reader of its core comes.
#[derive(Debug, Default)]
pub(crate) struct Lanes(OnceLock<Box<[OnceLock<Arc<Lane>>]>>);

impl Lanes {
    /// The lane of the readers that are made on this thread, with one more of them.
    pub(crate) fn join(&self) -> Arc<Lane> {
        let lanes = (self.0).get_or_init(|| (0..2 * cores()).map(|_| OnceLock::new()).collect());
        let lane = lanes[shard::lane()].get_or_init(|| Arc::new(Lane::new()));
        lane.join();
        Arc::clone(lane)
    }

    /// Has everyone woken who is parked, after the log's version rose to `version`.
    pub(crate) fn ring(&self, version: u64) {
        let Some(lanes) = self.0.get() else {
            return;
        };
        let mut own = None;
        for (index, lane) in lanes.iter().enumerate() {
            let Some(lane) = lane.get().filter(|lane| lane.ring()) else {
                continue;
            };
            match bell::of(index) {
                Some(_) if index == shard::lane() => own = Some(lane),
                Some(bell) => bell.ring(lane, version),
                None => lane.wake(version),
            }
        }
        // The other cores have begun by now.
        if let Some(lane) = own {
            lane.wake(version);
        }
    }

    /// Lets go of what is shared: it may pin a segment that the log has dropped.
    pub(crate) fn forget(&self) {
        self.made().for_each(|lane| lane.forget());
    }

    pub(crate) fn parked(&self) -> usize {
        self.made().map(|lane| lane.parked()).sum()
    }

    fn made(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.0.get().into_iter().flatten().filter_map(OnceLock::get)
    }
}
