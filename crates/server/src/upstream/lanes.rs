//! Clients enough for all answers that are under way at once.
//!
//! A client's pool has one HTTP/2 connection to a host. What is above the streams that the host allows
//! waits there, without a word, until another ends; and an answer may take minutes. So no client is
//! given more than a host is sure to allow.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::HttpClient;

/// Clients, as many as are needed. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub(super) struct Lanes(Arc<Mutex<Vec<Lane>>>);

#[derive(Debug)]
struct Lane {
    client: HttpClient,
    under_way: usize,
}

/// An answer's place in a lane; free when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    lanes: Lanes,
    lane: usize,
}

impl Lanes {
    /// The fewest streams that a server should allow (RFC 9113, section 6.5.2). Usual are 100 to 250.
    const STREAMS: usize = 100;

    pub(super) fn new(client: HttpClient) -> Self {
        let lane = Lane {
            client,
            under_way: 0,
        };
        Self(Arc::new(Mutex::new(vec![lane])))
    }

    /// The first client that has room. Those behind it fall idle, and their connections are closed.
    pub(super) fn enter(&self) -> (HttpClient, Place) {
        let mut lanes = self.lanes();
        let free = lanes.iter().position(|lane| lane.under_way < Self::STREAMS);
        let lane = free.unwrap_or_else(|| {
            let client = lanes[0].client.apart();
            lanes.push(Lane {
                client,
                under_way: 0,
            });
            lanes.len() - 1
        });
        lanes[lane].under_way += 1;
        let client = lanes[lane].client.clone();
        let place = Place {
            lanes: self.clone(),
            lane,
        };
        (client, place)
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lanes.lanes()[self.lane].under_way -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Trust;

    #[test]
    fn the_first_with_room_is_taken() {
        let lanes = Lanes::new(HttpClient::new(&Trust::default()).unwrap());
        let mut places: Vec<_> = (0..201).map(|_| lanes.enter().1).collect();
        let lane = |places: &[Place], at: usize| places[at].lane;
        assert_eq!(
            [0, 99, 100, 199, 200].map(|at| lane(&places, at)),
            [0, 0, 1, 1, 2]
        );
        places.remove(7);
        places.push(lanes.enter().1);
        places.push(lanes.enter().1);
        assert_eq!([200, 201].map(|at| lane(&places, at)), [0, 2]);
    }
}
