//! One reader over several topics of a hub: their events in publish order, under one resumable id.
//!
//! The hub numbers all its topics in one sequence and says up to which number everything is in place
//! ([`Hub::published`]). Up to there the topics' logs are merged by number; so no event is handed out
//! before one of a lower number that was still on its way in.

use std::task::{Context, Poll};

use super::{Next, place};
use crate::gap::{Gap, GapReason};
use crate::hub::Hub;
use crate::log::window::Found;
use crate::log::{End, Log, Overflow};
use crate::position::{Cursor, Position, Start};
use crate::sync::Arc;
use crate::wake::{Lane, Parking, Shared};

/// A cursor into several topics.
#[derive(Debug)]
pub(crate) struct MergedReader {
    hub: Hub,
    topics: Vec<Subscribed>,
    next: u64,
    placed: bool,
    /// Whether there was nothing to read, up to each topic's `seen`.
    caught_up: bool,
    lost: Option<Box<str>>,
}

#[derive(Debug)]
struct Subscribed {
    log: Log,
    lane: Arc<Lane>,
    /// The loss below this number is known to the reader: told in a gap, or never asked for.
    told: u64,
    /// What the topic had lost when it was last looked at.
    floor: u64,
    /// The log's version when it was last looked at.
    seen: u64,
    parking: Parking,
}

/// The topics of one reader as they stand at one moment.
struct Standing {
    /// The topic whose next event has the lowest number.
    nearest: Option<usize>,
    /// Up to where that topic may be read before another one has its turn.
    limit: u64,
    /// Where one goes on who skips everything that is there: the tail, or what was evicted beyond it
    /// while the topics were looked at one by one.
    tail: u64,
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
            let lane = log.join();
            let floor = log.state().window.floor();
            Subscribed {
                log,
                lane,
                told: if earliest { floor } else { 0 },
                floor,
                seen: 0,
                parking: Parking::default(),
            }
        });
        Self {
            topics: topics.collect(),
            next,
            placed: false,
            caught_up: false,
            lost,
            hub,
        }
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let waker = cx.waker();
        let mut topics = self.topics.iter();
        if topics.all(|topic| topic.parking.waits(&topic.lane, waker)) {
            return Poll::Pending;
        }
        loop {
            if self.has_news()
                && let Some(next) = self.read()
            {
                return Poll::Ready(next);
            }
            // Each against the version of its own log: what is published elsewhere in the hub neither
            // wakes this reader nor keeps it from parking.
            let parked = self.topics.iter_mut().all(|topic| {
                let (log, seen) = (&topic.log, topic.seen);
                topic
                    .parking
                    .park(&topic.lane, waker, || log.version() == seen)
            });
            if parked {
                return Poll::Pending;
            }
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.hub.epoch(),
            next: self.next,
        }
    }

    fn has_news(&self) -> bool {
        let changed = |topic: &Subscribed| topic.log.version() != topic.seen;
        !self.caught_up || self.topics.iter().any(changed)
    }

    fn read(&mut self) -> Option<Next> {
        self.caught_up = false;
        loop {
            let standing = self.look();
            if let Some(requested) = self.lost.take() {
                return Some(self.tell(GapReason::Epoch, requested.into(), &standing));
            }
            if standing.overflow == Overflow::Latest
                && let Some(last) = standing.last.filter(|last| *last > self.next)
            {
                self.skip_to(last);
                continue;
            }
            if standing.evicted {
                let requested = self.cursor().to_string();
                let reason = match standing.overflow {
                    _ if !self.placed => GapReason::Evicted,
                    Overflow::Disconnect => return Some(Next::End(End::Overflow)),
                    Overflow::Skip => GapReason::Overflow,
                    // Everything has gone: there is no newest event to jump to.
                    Overflow::Latest => GapReason::Evicted,
                };
                let first = standing.first.filter(|_| reason == GapReason::Evicted);
                return Some(self.tell(reason, requested, &Standing { first, ..standing }));
            }
            let (Some(nearest), Some(first)) = (standing.nearest, standing.first) else {
                self.caught_up = standing.end.is_none();
                return standing.end.map(Next::End);
            };
            // None: evicted between the two looks, so look again.
            if let Some(shared) = self.slice(nearest, first, standing.limit) {
                self.next = shared.then;
                self.placed = true;
                return Some(Next::Events {
                    bytes: shared.bytes,
                    events: shared.events,
                });
            }
        }
    }

    /// The events of one topic from number `first` to below `limit`, assembled once for all who read
    /// that topic on this core.
    fn slice(&self, topic: usize, first: u64, limit: u64) -> Option<Shared> {
        let Subscribed {
            log, lane, seen, ..
        } = &self.topics[topic];
        if let Some(shared) = lane.shared_from(first, limit, *seen) {
            return Some(shared);
        }
        let state = log.state();
        let Found::Events {
            bytes,
            events,
            first,
            then,
            ordinal,
        } = state.window.after(first, limit)
        else {
            return None;
        };
        let shared = Shared {
            next: first,
            version: *seen,
            bytes,
            events,
            first,
            then,
            ordinal,
            last: then == state.tail() && state.end.is_none(),
        };
        drop(state);
        lane.share(&shared);
        Some(shared)
    }

    /// How the topics stand. Their versions come first: what has risen to one of them is published.
    fn look(&mut self) -> Standing {
        for topic in &mut self.topics {
            topic.seen = topic.log.version();
        }
        let published = self.hub.tail().next;
        let end = self.topics.iter().find_map(|topic| {
            let state = topic.log.state();
            state.end.map(|end| (end, state.limit()))
        });
        // One hub drains all its topics at the same place.
        let tail = end.map_or(published, |(_, limit)| published.min(limit));
        let mut standing = Standing {
            nearest: None,
            limit: tail,
            tail,
            first: None,
            last: None,
            evicted: false,
            overflow: Overflow::default(),
            end: end.map(|(end, _)| end),
        };
        for (index, topic) in self.topics.iter_mut().enumerate() {
            let state = topic.log.state();
            topic.floor = state.window.floor();
            standing.tail = standing.tail.max(topic.floor);
            standing.overflow = topic.log.overflow();
            standing.evicted |= self.next.max(topic.told) < topic.floor;
            let visible = |seq: &u64| *seq < tail;
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

    fn tell(&mut self, reason: GapReason, requested: String, standing: &Standing) -> Next {
        let epoch = self.hub.epoch();
        let position = |seq| Position { epoch, seq };
        let gap = Gap {
            reason,
            requested,
            on: Cursor {
                epoch,
                next: standing.first.unwrap_or(standing.tail),
            },
            first: standing.first.map(position),
            last: standing.last.map(position),
            missed: None,
        };
        self.skip_to(gap.on.next);
        self.placed = true;
        Next::Gap(gap)
    }

    /// Goes on with number `next`, and takes what was lost when the topics were last looked at (not
    /// what they may have lost since) for told.
    fn skip_to(&mut self, next: u64) {
        self.next = next;
        for topic in &mut self.topics {
            topic.told = topic.floor;
        }
    }
}

impl Drop for MergedReader {
    fn drop(&mut self) {
        for topic in &mut self.topics {
            topic.parking.leave(&topic.lane);
            topic.log.leave();
        }
    }
}
