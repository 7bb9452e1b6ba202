//! What a subscriber does with each event: enters it in the books and in the measurements.

use std::sync::Arc;
use std::time::Duration;

use wellspring_event::Message;

use super::{End, Identity, Journey, Progress, Shared, SubscriberReport};
use crate::account::{Account, Tally};
use crate::meter::Arrival;
use crate::stamp::Stamp;

/// The part of a subscriber that takes in decoded events.
pub(super) struct Reader {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) account: Account,
    pub(super) journey: Journey,
    pub(super) progress: Arc<Progress>,
    /// When the present stream was asked for, on the run's clock, until its first event.
    pub(super) asked: Option<Duration>,
    /// Arrival and due time of the event before, on the same stream.
    pub(super) before: Option<(Duration, Option<Duration>)>,
    /// The present stream has a `Last-Event-ID` behind it, and no event yet.
    pub(super) resuming: bool,
}

/// The books of a subscriber whose run is over, still open: what it was owed shows itself in the end.
pub(crate) struct Books {
    pub(crate) index: usize,
    account: Account,
    journey: Journey,
    end: End,
}

impl Reader {
    pub(super) fn new(index: usize, shared: Arc<Shared>, events: u64) -> Self {
        Self {
            index,
            shared,
            account: Account::new(events),
            journey: Journey::default(),
            progress: Arc::default(),
            asked: None,
            before: None,
            resuming: false,
        }
    }

    pub(super) fn into_books(self, end: End) -> Books {
        Books {
            index: self.index,
            account: self.account,
            journey: self.journey,
            end,
        }
    }

    /// Enters one decoded event in the books and in the measurements.
    ///
    /// # Cost
    /// No allocation, but for the growth of the books.
    pub(super) fn enter(&mut self, arrived: Duration, message: &Message<'_>) {
        let shared = &self.shared;
        if let Some(asked) = self.asked.take() {
            shared
                .meter
                .began(self.index, arrived.saturating_sub(asked));
        }
        let resuming = std::mem::take(&mut self.resuming);
        if message.event_type() == "gap" {
            self.account.gap();
            self.journey.resumes_with_gap += u64::from(resuming);
            self.progress.arrived(self.account.received());
            return;
        }
        let mut arrival = Arrival {
            gap: self
                .before
                .map(|(before, _)| arrived.saturating_sub(before)),
            payload: message.data().len(),
            ..Arrival::default()
        };
        let mut due = None;
        let id = message.last_event_id();
        match &shared.identity {
            Identity::Stamped(mark) => match Stamp::find(message.data(), mark) {
                Some(stamp) => {
                    due = Some(stamp.due);
                    if self.account.arrival(stamp.sequence, id) {
                        arrival.late = Some(arrived.saturating_sub(stamp.due));
                        shared.meter.fanned_out(stamp.sequence, arrived);
                    }
                }
                None => self.account.foreign(),
            },
            Identity::Sighted(sightings) if !id.is_empty() => match sightings.see(id, arrived) {
                Some(sighting) => {
                    if self.account.arrival(sighting.sequence, id) {
                        arrival.late = Some(arrived.saturating_sub(sighting.first));
                        shared.meter.fanned_out(sighting.sequence, arrived);
                    }
                }
                None => self.account.foreign(),
            },
            Identity::Sighted(_) => self.account.foreign(),
        }
        arrival.jitter = match (due, self.before, arrival.gap) {
            (Some(due), Some((_, Some(due_before))), Some(gap)) => {
                Some(gap.abs_diff(due.saturating_sub(due_before)))
            }
            _ => None,
        };
        self.before = Some((arrived, due));
        shared.meter.arrived(self.index, &arrival);
        if let Some(first) = self.account.first() {
            self.progress.began(first);
        }
        self.progress.arrived(self.account.received());
    }

    /// The server has ended the stream in good order. One without a single event but with a `retry` was turned away.
    pub(super) fn ended(&mut self, told_when: bool) {
        if self.asked.is_some() && told_when {
            self.journey.shed += 1;
        } else {
            self.journey.ended += 1;
        }
    }
}

impl Books {
    /// Closes them. `events` were published; `whole` says that all of them are owed, and otherwise those from the first
    /// that arrived.
    pub(crate) fn close(self, events: u64, whole: bool) -> SubscriberReport {
        let start = match self.account.first() {
            _ if whole => 0,
            Some(first) => first,
            None => events,
        };
        let tally: Tally = self.account.tally_of(start.min(events)..events);
        SubscriberReport {
            index: self.index,
            tally,
            journey: self.journey,
            end: self.end,
        }
    }
}
