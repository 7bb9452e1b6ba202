//! One reader over several topics of a hub: their events in publish order, under one resumable id.
//!
//! The hub numbers all its topics in one sequence and says up to which number everything is in place
//! ([`Hub::published`]). Up to there the topics' logs are merged by number; so no event is handed out
//! before one of a lower number that was still on its way in.

use std::task::{Context, Poll};

use super::{Next, Parking, place};
use crate::gap::{Gap, GapReason};
use crate::hub::Hub;
use crate::log::window::Found;
use crate::log::{End, Log, Overflow};
use crate::position::{Cursor, Position, Start};
use crate::wake;

/// A cursor into several topics.
#[derive(Debug)]
pub(crate) struct MergedReader {
    hub: Hub,
    topics: Vec<Subscribed>,
    lane: usize,
    next: u64,
    placed: bool,
    /// The hub's version up to which everything has been read.
    seen: u64,
    lost: Option<Box<str>>,
}

#[derive(Debug)]
struct Subscribed {
    log: Log,
    /// The loss below this number is known to the reader: told in a gap, or never asked for.
    told: u64,
    parking: Parking,
}

/// The topics of one reader as they stand at one moment.
struct Standing {
    /// The topic whose next event has the lowest number.
    nearest: Option<usize>,
    /// Up to where that topic may be read before another one has its turn.
    limit: u64,
    first: Option<u64>,
    last: Option<u64>,
    evicted: bool,
    overflow: Overflow,
    end: Option<End>,
}

impl MergedReader {
    pub(crate) fn new(hub: Hub, logs: Vec<Log>, start: Start) -> Self {
        let earliest = start == Start::Earliest;
        // Each topic gives what it still has, so the merged log begins at 0.
        let (next, lost) = place(start, hub.tail(), 0);
        let topics = logs.into_iter().map(|log| {
            log.join();
            let told = if earliest {
                log.state().window.floor()
            } else {
                0
            };
            Subscribed {
                log,
                told,
                parking: Parking::default(),
            }
        });
        Self {
            topics: topics.collect(),
            lane: wake::current_lane(),
            next,
            placed: false,
            seen: 0,
            lost,
            hub,
        }
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            let version = self.hub.version();
            if version != self.seen {
                if let Some(next) = self.read() {
                    return Poll::Ready(next);
                }
                self.seen = version;
            }
            let (hub, lane, seen) = (&self.hub, self.lane, self.seen);
            let parked = self.topics.iter_mut().all(|topic| {
                topic
                    .parking
                    .park(topic.log.lane(lane), cx.waker(), seen, || hub.version())
            });
            if parked {
                return Poll::Pending;
            }
        }
    }

    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.hub.epoch(),
            next: self.next,
        }
    }

    fn read(&mut self) -> Option<Next> {
        loop {
            let published = self.hub.tail().next;
            let standing = self.standing(published);
            if let Some(requested) = self.lost.take() {
                return Some(self.tell(GapReason::Epoch, requested.into(), &standing, published));
            }
            if standing.evicted && standing.overflow != Overflow::Latest {
                let requested = self.cursor().to_string();
                if !self.placed {
                    return Some(self.tell(GapReason::Evicted, requested, &standing, published));
                }
                if standing.overflow == Overflow::Disconnect {
                    return Some(Next::End(End::Overflow));
                }
                let jump = Standing {
                    first: None,
                    ..standing
                };
                return Some(self.tell(GapReason::Overflow, requested, &jump, published));
            }
            if standing.overflow == Overflow::Latest
                && let Some(last) = standing.last.filter(|last| *last > self.next)
            {
                self.skip_to(last);
                continue;
            }
            let (Some(nearest), Some(first)) = (standing.nearest, standing.first) else {
                return standing.end.map(Next::End);
            };
            let state = self.topics[nearest].log.state();
            // Anything else: evicted between the two looks, so look again.
            if let Found::Events {
                bytes,
                events,
                then,
                ..
            } = state.window.after(first, standing.limit)
            {
                drop(state);
                self.next = then;
                self.placed = true;
                return Some(Next::Events { bytes, events });
            }
        }
    }

    fn standing(&self, published: u64) -> Standing {
        let mut standing = Standing {
            nearest: None,
            limit: published,
            first: None,
            last: None,
            evicted: false,
            overflow: Overflow::default(),
            end: None,
        };
        for (index, topic) in self.topics.iter().enumerate() {
            let state = topic.log.state();
            standing.overflow = topic.log.overflow();
            standing.end = standing.end.or(state.end);
            standing.evicted |= self.next.max(topic.told) < state.window.floor();
            let visible = |seq: &u64| *seq < published;
            standing.last = standing.last.max(state.window.last().filter(visible));
            let Some(first) = state.window.first_from(self.next).filter(visible) else {
                continue;
            };
            match standing.first {
                Some(nearer) if nearer < first => standing.limit = standing.limit.min(first),
                nearer => {
                    if let Some(second) = nearer {
                        standing.limit = standing.limit.min(second);
                    }
                    standing.nearest = Some(index);
                    standing.first = Some(first);
                }
            }
        }
        standing
    }

    fn tell(
        &mut self,
        reason: GapReason,
        requested: String,
        standing: &Standing,
        tail: u64,
    ) -> Next {
        let epoch = self.hub.epoch();
        let position = |seq| Position { epoch, seq };
        let gap = Gap {
            reason,
            requested,
            on: Cursor {
                epoch,
                next: standing.first.unwrap_or(tail),
            },
            first: standing.first.map(position),
            last: standing.last.map(position),
            missed: None,
        };
        self.skip_to(gap.on.next);
        self.placed = true;
        Next::Gap(gap)
    }

    fn skip_to(&mut self, next: u64) {
        self.next = next;
        for topic in &mut self.topics {
            topic.told = topic.log.state().window.floor();
        }
    }
}

impl Drop for MergedReader {
    fn drop(&mut self) {
        for topic in &mut self.topics {
            topic.parking.leave(topic.log.lane(self.lane));
            topic.log.leave();
        }
    }
}
