//! The subscribers of a run, alive.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::{Plan, RunError};
use crate::client::{Connector, Line, Seat};
use crate::cut::Schedule;
use crate::stamp::Stamp;
use crate::subscriber::{
    Books, End, Identity, Progress, Shared, Stage, Subscriber, SubscriberReport,
};

/// How often the run looks at its subscribers.
pub(super) const GLANCE: Duration = Duration::from_millis(10);

/// All subscribers, and the ends by which the run holds them.
pub(super) struct Crowd {
    tasks: JoinSet<Books>,
    progress: Vec<Arc<Progress>>,
    stops: Vec<oneshot::Sender<()>>,
    opened: Vec<oneshot::Receiver<Result<(), End>>>,
    /// Who was there before the first event, and so is owed all of them.
    punctual: Vec<bool>,
}

impl Crowd {
    /// Starts all subscribers at once; only the number of simultaneous handshakes is bounded.
    pub(super) fn gather(plan: &Plan, connector: &Connector, shared: &Arc<Shared>) -> Self {
        let mut crowd = Self {
            tasks: JoinSet::new(),
            progress: Vec::new(),
            stops: Vec::new(),
            opened: Vec::new(),
            punctual: Vec::new(),
        };
        let seats = Seat::arrange(connector, plan.subscribers, plan.streams_per_connection);
        let size =
            Stamp::LEAST.max(NonZeroUsize::new(plan.publication.size).unwrap_or(Stamp::LEAST));
        for (index, seat) in seats.into_iter().enumerate() {
            let (opened_tell, opened) = oneshot::channel();
            let (stop, stopped) = oneshot::channel();
            let cuts = Schedule::draw(plan.cuts, plan.events, size, plan.seed, index);
            let shared = Arc::clone(shared);
            let subscriber = Subscriber::new(index, shared, seat, plan.events, cuts, opened_tell);
            crowd.progress.push(subscriber.progress());
            crowd.stops.push(stop);
            crowd.opened.push(opened);
            crowd.tasks.spawn(subscriber.run(stopped));
        }
        crowd
    }

    /// Waits until every first stream is open, refused, or late. One open stream is enough for a run.
    pub(super) async fn all_open(&mut self, plan: &Plan) -> Result<(), RunError> {
        let deadline = Instant::now() + plan.open_within;
        let (mut open, mut refused, mut first) = (0, 0, None);
        for opened in self.opened.drain(..) {
            let outcome = timeout_at(deadline, opened).await;
            self.punctual.push(matches!(outcome, Ok(Ok(Ok(())))));
            match outcome {
                Ok(Ok(Ok(()))) => open += 1,
                Ok(Ok(Err(end))) => {
                    refused += 1;
                    first.get_or_insert(end);
                }
                // Its task is gone without a word: `disperse` passes its panic on. Or it is late.
                Ok(Err(_)) | Err(_) => {}
            }
        }
        let subscribers = plan.subscribers;
        match first {
            _ if open > 0 => Ok(()),
            Some(first) => Err(RunError::Refused {
                refused,
                subscribers,
                first,
            }),
            None => Err(RunError::Starved {
                open,
                subscribers,
                within: plan.open_within,
                protocol: plan.target.protocol(),
            }),
        }
    }

    /// Streams that are open now.
    pub(super) fn open(&self) -> usize {
        self.progress
            .iter()
            .filter(|progress| progress.stage() == Stage::Open)
            .count()
    }

    /// The sockets of all open streams, each once for each stream on it.
    pub(super) fn lines(&self) -> impl Iterator<Item = Arc<Line>> {
        self.progress.iter().filter_map(|progress| progress.line())
    }

    /// Returns when nothing more is to be expected: see [`Plan::settle`], [`Plan::patience`] and [`Plan::deadline`].
    pub(super) async fn fall_quiet(&self, plan: &Plan, events: u64) {
        let deadline = Instant::now() + plan.deadline;
        let (mut arrivals, mut since) = (0, Instant::now());
        let owed = |(progress, &punctual): (&Arc<Progress>, &bool)| {
            let first = if punctual && plan.is_stamped() {
                Some(0)
            } else {
                progress.first()
            };
            progress.stage() != Stage::Ended
                && first.is_some_and(|first| progress.received() < events.saturating_sub(first))
        };
        loop {
            let now = Instant::now();
            let counted = self
                .progress
                .iter()
                .map(|progress| progress.arrivals())
                .sum::<u64>();
            // Who never was on a stream does not come back to one either.
            let anybody_away = self
                .everybody()
                .any(|(progress, &punctual)| punctual && progress.stage() == Stage::Away);
            if (counted != arrivals && plan.is_stamped()) || anybody_away {
                (arrivals, since) = (counted, now);
            }
            let quiet = if self.everybody().any(owed) {
                plan.patience
            } else {
                plan.settle
            };
            if now - since >= quiet || now >= deadline {
                return;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Sends everybody home and closes the books, in the order of the subscribers.
    pub(super) async fn disperse(self, shared: &Shared, events: u64) -> Vec<SubscriberReport> {
        drop(self.stops);
        let stamped = matches!(shared.identity, Identity::Stamped(_));
        let mut reports: Vec<_> = self
            .tasks
            .join_all()
            .await
            .into_iter()
            .map(|books| {
                let whole = stamped && self.punctual.get(books.index) == Some(&true);
                books.close(events, whole)
            })
            .collect();
        reports.sort_unstable_by_key(|report| report.index);
        reports
    }

    fn everybody(&self) -> impl Iterator<Item = (&Arc<Progress>, &bool)> {
        self.progress.iter().zip(&self.punctual)
    }
}
