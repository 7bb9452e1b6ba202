//! A run: open everybody, publish, wait until all is quiet, close the books.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::client::{ConnectError, Connector, Seat};
use crate::cut::{Cuts, Schedule};
use crate::latency::Shards;
use crate::publisher::{Publication, PublishError};
use crate::report::Report;
use crate::stamp::{Clock, RunId, Stamp};
use crate::subscriber::{End, Progress, Reconnect, Shared, Stage, Subscriber, SubscriberReport};
use crate::target::{Protocol, Target};

/// How often the run looks at its subscribers.
const GLANCE: Duration = Duration::from_millis(10);

/// What is to be done. Public fields and [`Plan::new`]: name what differs, take the rest as it is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the subscribers fetch.
    pub target: Target,
    /// How many of them. Default: 50.
    pub subscribers: usize,
    /// How many share an HTTP/2 connection; 1 on HTTP/1.1. Default: 1.
    pub streams_per_connection: usize,
    /// Events that are published, and that each subscriber is owed. Default: 1,000.
    pub events: u64,
    /// Where and how they are published. Default: to the target, in one request, as fast as possible.
    pub publication: Publication,
    /// How often subscribers cut themselves off. Default: never.
    pub cuts: Cuts,
    /// How long they stay away then. Default: as the standard and Chromium have it.
    pub reconnect: Reconnect,
    /// What all chance is drawn from: the same seed cuts the same subscribers after the same events. Default: random.
    pub seed: u64,
    /// Connections in the making at any time. Default: 512, because a crowd that overflows a listener's backlog (1,024
    /// is tokio's default) measures SYN retransmission, a second and more, and not the server.
    pub connecting_at_once: usize,
    /// How long it may take until every subscriber's first stream is open. Default: 30 s.
    pub open_within: Duration,
    /// Every subscriber has everything: how long nothing further must arrive (duplicates would). Default: 200 ms.
    pub settle: Duration,
    /// Somebody lacks something: how long nothing must arrive, with everybody back on a stream, until it is called
    /// lost. Default: 5 s.
    pub patience: Duration,
    /// How long after the last event was published the run ends in any case. Default: 60 s.
    pub deadline: Duration,
}

/// Why a run could not be made. What went wrong *within* a run is in its report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The plan contradicts itself.
    #[error("{0}")]
    Plan(&'static str),
    /// The server cannot be found.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Some first streams were not opened.
    #[error("{refused} of {subscribers} streams were not opened; the first: {first}")]
    Refused {
        /// How many.
        refused: usize,
        /// Of how many.
        subscribers: usize,
        /// What happened to the first of them.
        first: End,
    },
    /// Some first streams were not answered in time.
    #[error("only {open} of {subscribers} streams were open after {} s{}", within.as_secs_f64(), starved(*protocol))]
    Starved {
        /// How many were open.
        open: usize,
        /// Of how many.
        subscribers: usize,
        /// The time that they had.
        within: Duration,
        /// The protocol.
        protocol: Protocol,
    },
    /// The events could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// The subscribers of a run, alive.
struct Crowd {
    tasks: JoinSet<SubscriberReport>,
    progress: Vec<Arc<Progress>>,
    stops: Vec<oneshot::Sender<()>>,
    opened: Vec<oneshot::Receiver<Result<(), End>>>,
}

/// Makes a plan happen.
///
/// # Errors
/// [`RunError`] when the run cannot be made at all: nobody answers, streams or events are refused. Losses are no error
/// of this function; they are what it reports.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
///
/// # Cancel safety
/// Dropping the future ends every subscriber and the publisher.
pub async fn run(plan: &Plan) -> Result<Report, RunError> {
    plan.check()?;
    let started = Instant::now();
    let shared = Arc::new(Shared {
        target: plan.target.clone(),
        run: RunId::random(),
        clock: Clock::start(),
        reconnect: plan.reconnect,
        latency: Shards::new(),
    });
    let connector = Connector::resolve(plan.target.clone(), plan.connecting_at_once).await?;
    let mut crowd = Crowd::gather(plan, &connector, &shared);
    crowd.all_open(plan).await?;
    let opening = started.elapsed();
    let published = plan
        .publication
        .publish(shared.run, shared.clock, plan.events)
        .await?;
    crowd.fall_quiet(plan).await;
    let subscribers = crowd.disperse().await;
    Ok(Report {
        target: plan.target.to_string(),
        protocol: plan.target.protocol(),
        secure: plan.target.is_secure(),
        connections: plan.connections(),
        cuts: plan.cuts,
        seed: plan.seed,
        events: plan.events,
        subscribers,
        published,
        latency: shared.latency.merged(),
        opening,
        took: started.elapsed(),
    })
}

impl Plan {
    /// The defaults that the fields name.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            publication: Publication::to(target.clone()),
            target,
            subscribers: 50,
            streams_per_connection: 1,
            events: 1_000,
            cuts: Cuts::None,
            reconnect: Reconnect::default(),
            seed: rand::random(),
            connecting_at_once: 512,
            open_within: Duration::from_secs(30),
            settle: Duration::from_millis(200),
            patience: Duration::from_secs(5),
            deadline: Duration::from_secs(60),
        }
    }

    /// How many connections the subscribers need.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.subscribers
            .div_ceil(self.streams_per_connection.max(1))
    }

    fn check(&self) -> Result<(), RunError> {
        if self.subscribers == 0 || self.streams_per_connection == 0 || self.events == 0 {
            return Err(RunError::Plan(
                "a run needs at least one subscriber, one stream per connection and one event",
            ));
        }
        if self.target.protocol() == Protocol::Http1 && self.streams_per_connection > 1 {
            return Err(RunError::Plan(
                "an HTTP/1.1 connection carries one stream; several need HTTP/2",
            ));
        }
        Ok(())
    }
}

impl Crowd {
    /// Starts all subscribers at once; only the number of simultaneous handshakes is bounded.
    fn gather(plan: &Plan, connector: &Connector, shared: &Arc<Shared>) -> Self {
        let mut crowd = Self {
            tasks: JoinSet::new(),
            progress: Vec::new(),
            stops: Vec::new(),
            opened: Vec::new(),
        };
        let seats = Seat::arrange(connector, plan.subscribers, plan.streams_per_connection);
        let size =
            Stamp::LEAST.max(NonZeroUsize::new(plan.publication.size).unwrap_or(Stamp::LEAST));
        for (index, seat) in seats.into_iter().enumerate() {
            let (opened_tell, opened) = oneshot::channel();
            let (stop, stopped) = oneshot::channel();
            let cuts = Schedule::draw(plan.cuts, plan.events, size, plan.seed, index);
            let subscriber = Subscriber::new(
                index,
                Arc::clone(shared),
                seat,
                plan.events,
                cuts,
                opened_tell,
            );
            crowd.progress.push(subscriber.progress());
            crowd.stops.push(stop);
            crowd.opened.push(opened);
            crowd.tasks.spawn(subscriber.run(stopped));
        }
        crowd
    }

    async fn all_open(&mut self, plan: &Plan) -> Result<(), RunError> {
        let deadline = Instant::now() + plan.open_within;
        let (mut open, mut refused, mut first, mut starved) = (0, 0, None, false);
        for opened in self.opened.drain(..) {
            match timeout_at(deadline, opened).await {
                Ok(Ok(Ok(()))) => open += 1,
                Ok(Ok(Err(end))) => {
                    refused += 1;
                    first.get_or_insert(end);
                }
                // Its task is gone without a word: `disperse` passes its panic on.
                Ok(Err(_)) => {}
                Err(_) => starved = true,
            }
        }
        let subscribers = plan.subscribers;
        match first {
            Some(first) => Err(RunError::Refused {
                refused,
                subscribers,
                first,
            }),
            None if starved => Err(RunError::Starved {
                open,
                subscribers,
                within: plan.open_within,
                protocol: plan.target.protocol(),
            }),
            None => Ok(()),
        }
    }

    /// Returns when nothing more is to be expected: see [`Plan::settle`], [`Plan::patience`] and [`Plan::deadline`].
    async fn fall_quiet(&self, plan: &Plan) {
        let deadline = Instant::now() + plan.deadline;
        let (mut arrivals, mut since) = (0, Instant::now());
        loop {
            let now = Instant::now();
            let counted = self
                .progress
                .iter()
                .map(|progress| progress.arrivals())
                .sum::<u64>();
            let anybody_away = self
                .progress
                .iter()
                .any(|progress| progress.stage() == Stage::Away);
            if counted != arrivals || anybody_away {
                (arrivals, since) = (counted, now);
            }
            let owed = |progress: &Arc<Progress>| {
                progress.received() < plan.events && progress.stage() != Stage::Ended
            };
            let quiet = if self.progress.iter().any(owed) {
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

    /// Sends everybody home and collects the books, in the order of the subscribers.
    async fn disperse(self) -> Vec<SubscriberReport> {
        drop(self.stops);
        let mut reports = self.tasks.join_all().await;
        reports.sort_unstable_by_key(|report| report.index);
        reports
    }
}

fn starved(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "; the others were connected but not answered",
        Protocol::Http2 => {
            "; the others were not answered, or wait for a stream: -s may be above the server's SETTINGS_MAX_CONCURRENT_STREAMS"
        }
    }
}
