//! First come, first served: a number of places, and a queue behind them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

/// The queue before a browser's sockets or streams. Clones share it.
///
/// Not a semaphore: whoever calls [`join`](Self::join) first is first, whenever the ticket is polled.
#[derive(Clone, Debug)]
pub(crate) struct Queue(Arc<Mutex<State>>);

/// A position in the queue; dropping it leaves the queue.
#[derive(Debug)]
pub(crate) struct Ticket(oneshot::Receiver<Place>);

/// A place; dropping it lets the next in.
#[derive(Debug)]
pub(crate) struct Place(Queue);

#[derive(Debug)]
struct State {
    places: usize,
    taken: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

impl Queue {
    pub(crate) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            places,
            taken: 0,
            waiting: VecDeque::new(),
        })))
    }

    pub(crate) fn join(&self) -> Ticket {
        let (give, ticket) = oneshot::channel();
        self.state().waiting.push_back(give);
        self.admit();
        Ticket(ticket)
    }

    /// From now on there are so many places. With fewer than are taken, nobody is sent away, but nobody let in.
    pub(crate) fn resize(&self, places: usize) {
        self.state().places = places;
        self.admit();
    }

    fn admit(&self) {
        loop {
            let mut state = self.state();
            if state.taken >= state.places {
                return;
            }
            let Some(next) = state.waiting.pop_front() else {
                return;
            };
            state.taken += 1;
            drop(state);
            // Who has left the queue gives the place back by dropping it here.
            drop(next.send(Place(self.clone())));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("nothing panics while places are counted")
    }
}

impl Ticket {
    /// Whether the place is there already.
    pub(crate) fn is_served(&self) -> bool {
        !self.0.is_empty()
    }

    /// Waits for the place.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the queue.
    pub(crate) async fn place(self) -> Place {
        self.0.await.expect("a queue with a ticket out is alive")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state().taken -= 1;
        self.0.admit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_served(ticket: &mut Ticket) -> Option<Place> {
        ticket.0.try_recv().ok()
    }

    #[test]
    fn who_comes_first_is_served_first() {
        let queue = Queue::new(2);
        let mut tickets: Vec<_> = (0..4).map(|_| queue.join()).collect();
        let first = is_served(&mut tickets[0]).unwrap();
        let _second = is_served(&mut tickets[1]).unwrap();
        assert!(is_served(&mut tickets[2]).is_none());
        drop(first);
        assert!(
            is_served(&mut tickets[3]).is_none(),
            "the third is before it"
        );
        assert!(is_served(&mut tickets[2]).is_some());
    }

    #[test]
    fn who_leaves_the_queue_is_passed_over() {
        let queue = Queue::new(1);
        let first = queue.join().0.try_recv().unwrap();
        let tickets: Vec<_> = (0..300).map(|_| queue.join()).collect();
        let mut last = queue.join();
        drop(tickets);
        drop(first);
        assert!(is_served(&mut last).is_some());
        assert!(queue.join().0.try_recv().is_ok(), "no place was lost");
    }

    #[test]
    fn more_places_let_more_in_and_fewer_send_nobody_away() {
        let queue = Queue::new(1);
        let mut tickets: Vec<_> = (0..3).map(|_| queue.join()).collect();
        queue.resize(2);
        let places: Vec<_> = tickets.iter_mut().filter_map(is_served).collect();
        assert_eq!(places.len(), 2);
        queue.resize(1);
        let mut places = places.into_iter();
        drop(places.next());
        assert!(is_served(&mut tickets[2]).is_none(), "one is taken, of one");
        drop(places.next());
        assert!(is_served(&mut tickets[2]).is_some());
    }
}
