//! A reader's place among the parked of its core.

use std::task::Waker;

use super::lane::{Lane, Ticket};
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

    /// Leaves the lane for good.
    pub(crate) fn leave(&mut self, lane: &Lane) {
        lane.leave(self.0.take().map(|parked| parked.ticket));
    }
}
