//! A reader's place among the parked of its core.

use std::task::Waker;

use super::lane::{Lane, Shared, Ticket};
use crate::sync::Identity;

/// A reader's place among the parked of its core.
#[derive(Debug, Default)]
pub(crate) struct Parking(Option<Parked>);

#[derive(Debug)]
struct Parked {
    ticket: Ticket,
    /// What was parked: another task's waker must take its place.
    waker: Identity,
}

impl Parking {
    /// Whether `waker` is parked and not yet taken: whatever has happened since, it will be woken.
    ///
    /// # Cost
    ///
    /// One atomic load. (hyper polls a body three times per event, and finds nothing twice.)
    pub(crate) fn waits(&self, lane: &Lane, waker: &Waker) -> bool {
        self.0
            .as_ref()
            .is_some_and(|parked| lane.holds(parked.ticket) && parked.waker.is(waker))
    }

    /// Parks, unless `unchanged` says that there is something to read.
    pub(crate) fn park(
        &mut self,
        lane: &Lane,
        waker: &Waker,
        unchanged: impl Fn() -> bool,
    ) -> bool {
        let held = self.0.as_ref().map(|parked| parked.ticket);
        let Some(ticket) = lane.park(waker.clone(), held, unchanged) else {
            return false;
        };
        let waker = Identity::of(waker);
        self.0 = Some(Parked { ticket, waker });
        true
    }

    /// What a neighbour at the same place, at the same version, was given. Who gets everything there is is parked at
    /// once, where that is possible: it comes back to find nothing, and for that one lock less is taken.
    pub(crate) fn share(
        &mut self,
        lane: &Lane,
        waker: &Waker,
        (next, version): (u64, u64),
        unchanged: impl Fn() -> bool,
    ) -> Option<Shared> {
        let parked = self.0.as_ref();
        let is_parked = parked.is_some_and(|parked| lane.holds(parked.ticket));
        // Who is parked already, for another task, takes its own place when it comes back.
        let unchanged = || !is_parked && unchanged();
        let (shared, ticket) = lane.share_and_park(next, version, waker, unchanged)?;
        if let Some(ticket) = ticket {
            let waker = Identity::of(waker);
            self.0 = Some(Parked { ticket, waker });
        }
        Some(shared)
    }

    /// Leaves the lane for good.
    pub(crate) fn leave(&mut self, lane: &Lane) {
        lane.leave(self.0.take().map(|parked| parked.ticket));
    }
}
