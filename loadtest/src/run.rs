//! A run: open everybody, publish, wait until all is quiet, close the books.

mod crowd;
mod moment;
mod storm;

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::client::{ConnectError, Connector, Dialling};
use crate::cut::Cuts;
use crate::hostile::{Gang, Hostiles, Misconduct};
use crate::meter::Meter;
use crate::process::Process;
use crate::publisher::{Course, Mode, Publication, PublishError, Published};
use crate::report::Report;
use crate::sightings::Sightings;
use crate::stamp::{Clock, RunId};
use crate::subscriber::{End, Identity, Reconnect, Shared};
use crate::target::{Protocol, Target};
use crowd::Crowd;
pub use moment::Moment;
use moment::Watch;
pub use storm::{Recovery, Storm};

/// How long a run lasts in which nothing is published here, unless it is told.
const LISTENING: Duration = Duration::from_secs(10);

/// What is to be done. Public fields and [`Plan::new`]: name what differs, take the rest as it is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the subscribers fetch.
    pub target: Target,
    /// How many of them. Default: 50.
    pub subscribers: usize,
    /// How many share an HTTP/2 connection; 1 on HTTP/1.1. Default: 1.
    pub streams_per_connection: usize,
    /// Events that are published at most, and that each subscriber is owed. Default: 1,000.
    pub events: u64,
    /// Further header fields of every subscription. Default: none.
    pub headers: HeaderMap,
    /// Where and how they are published. Default: to the target, in one request, as fast as possible.
    pub publication: Publication,
    /// How often subscribers cut themselves off. Default: never.
    pub cuts: Cuts,
    /// How long they stay away then. Default: as the standard and Chromium have it.
    pub reconnect: Reconnect,
    /// What all chance is drawn from: the same seed cuts the same subscribers after the same events. Default: random.
    pub seed: u64,
    /// How connections are made: from where, how many at once, how fast.
    pub dialling: Dialling,
    /// Everybody is cut at once. Default: never.
    pub storm: Option<Storm>,
    /// Clients that misbehave beside the subscribers. Default: none.
    pub hostiles: Hostiles,
    /// The server's process, if it is on this machine. Default: unknown.
    pub server: Option<Process>,
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
    /// It was stopped before anything was measured.
    #[error("stopped before any stream was open")]
    Stopped,
    /// The server's process is not there.
    #[error(
        "cannot read the server's process: {0}; --pid takes the number of a process on this machine"
    )]
    Process(std::io::Error),
    /// The server cannot be found.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No first stream was opened.
    #[error("{refused} of {subscribers} streams were not opened; the first: {first}")]
    Refused {
        /// How many.
        refused: usize,
        /// Of how many.
        subscribers: usize,
        /// What happened to the first of them.
        first: End,
    },
    /// No first stream was answered in time.
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

/// Makes a plan happen.
///
/// # Errors
/// [`RunError`] when the run cannot be made at all: nobody answers, streams or events are refused. Losses are no error
/// of this function; they are what it reports. So are streams that are not opened while others are.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
///
/// # Cancel safety
/// Dropping the future ends every subscriber and the publisher.
pub async fn run(plan: &Plan) -> Result<Report, RunError> {
    run_watched(plan, pending(), |_| {}).await
}

/// Makes a plan happen, tells of every second of it, and ends it in good order when `stop` completes: what was published
/// until then is still waited for.
///
/// # Errors
/// As [`run`]; [`RunError::Stopped`] when there was nothing to report yet.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
///
/// # Cancel safety
/// Dropping the future ends every subscriber and the publisher.
pub async fn run_watched(
    plan: &Plan,
    stop: impl Future<Output = ()>,
    every_second: impl FnMut(&Moment),
) -> Result<Report, RunError> {
    run_on(Clock::start(), plan, stop, every_second).await
}

/// As [`run_watched`], with a clock that others know.
pub(crate) async fn run_on(
    clock: Clock,
    plan: &Plan,
    stop: impl Future<Output = ()>,
    mut every_second: impl FnMut(&Moment),
) -> Result<Report, RunError> {
    plan.check()?;
    let (run, started) = (RunId::random(), clock.now());
    let shared = Arc::new(Shared {
        target: plan.target.clone(),
        headers: plan.headers.clone(),
        identity: match plan.publication.mode {
            Mode::Nothing => Identity::Sighted(Sightings::new(plan.events)),
            _ => Identity::Stamped(run.into()),
        },
        clock,
        reconnect: plan.reconnect,
        meter: Meter::new(plan.events),
    });
    let connector = Connector::resolve(plan.target.clone(), plan.dialling.clone()).await?;
    let mut watch =
        Watch::start(&shared, connector.wire(), plan.server.as_ref()).map_err(RunError::Process)?;
    let (halt, halted) = watch::channel(false);
    let work = work(plan, (run, clock), &connector, &shared, halted);
    let (mut work, mut stop) = (pin!(work), pin!(stop));
    const SECOND: Duration = Duration::from_secs(1);
    let mut seconds = interval_at(Instant::now() + SECOND, SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopped = false;
    let Work {
        crowd,
        published,
        opening,
        opened_wire,
        opened_memory,
        recovery,
        misconduct,
    } = loop {
        tokio::select! {
            done = &mut work => break done?,
            () = &mut stop, if !stopped => {
                stopped = true;
                halt.send_replace(true);
            }
            _ = seconds.tick() => every_second(watch.look()),
        }
    };
    let measured = watch.finish(opened_wire, opened_memory);
    every_second(&measured.last);
    let subscribers = crowd.disperse(&shared, published.events).await;
    Ok(Report {
        target: plan.target.to_string(),
        protocol: plan.target.protocol(),
        secure: plan.target.is_secure(),
        connections: plan.connections(),
        cuts: plan.cuts,
        seed: plan.seed,
        listening: plan.publication.mode == Mode::Nothing,
        events: published.events,
        subscribers,
        published,
        latency: measured.latency,
        distributions: shared.meter.distributions(),
        traffic: measured.traffic,
        costs: measured.costs,
        seconds: measured.seconds,
        recovery,
        misconduct,
        opening: opening.saturating_sub(started),
        took: clock.now().saturating_sub(started),
    })
}

/// What the phases of a run leave.
struct Work {
    crowd: Crowd,
    published: Published,
    opening: Duration,
    /// Bytes that had been read when everybody was open: heads, handshakes.
    opened_wire: u64,
    /// The server's memory then.
    opened_memory: Option<u64>,
    recovery: Option<Recovery>,
    misconduct: Vec<Misconduct>,
}

/// The phases of a run, one after another.
async fn work(
    plan: &Plan,
    (run, clock): (RunId, Clock),
    connector: &Connector,
    shared: &Arc<Shared>,
    mut halted: watch::Receiver<bool>,
) -> Result<Work, RunError> {
    let mut crowd = Crowd::gather(plan, connector, shared);
    tokio::select! {
        opened = crowd.all_open(plan) => opened?,
        _ = halted.wait_for(|&halted| halted) => return Err(RunError::Stopped),
    }
    let opening = clock.now();
    let opened_wire = connector.wire().read();
    let opened_memory = plan
        .server
        .as_ref()
        .and_then(|server| Some(server.usage().ok()?.resident));
    let gang = Gang::assemble(&plan.hostiles, &plan.target, &plan.headers, &plan.dialling).await?;
    let course = Arc::<Course>::default();
    let mut told = halted.clone();
    let publishing = async {
        let (publication, seed) = (&plan.publication, plan.seed);
        let published = publication
            .publish_along(run, clock, plan.events, (seed, &course))
            .await?;
        Ok::<_, RunError>(match &shared.identity {
            Identity::Stamped(_) => published,
            Identity::Sighted(sightings) => {
                let told = told.wait_for(|&halted| halted);
                let took = listen(plan, sightings, told).await;
                sightings.close();
                Published {
                    events: sightings.len(),
                    took,
                    ..published
                }
            }
        })
    };
    let halting = async {
        // Nothing to stop when the run outlives its watcher.
        if halted.wait_for(|&halted| halted).await.is_ok() {
            course.stop();
        }
        pending::<()>().await;
    };
    let mut recovered = None;
    let published = {
        let recovery = async {
            match &plan.storm {
                Some(storm) => storm.break_over(&crowd, clock).await,
                None => pending().await,
            }
        };
        let (mut publishing, mut recovery, mut halting) =
            (pin!(publishing), pin!(recovery), pin!(halting));
        loop {
            tokio::select! {
                published = &mut publishing => break published?,
                recovery = &mut recovery, if recovered.is_none() => recovered = Some(recovery),
                () = &mut halting => {}
            }
        }
    };
    crowd.fall_quiet(plan, published.events).await;
    Ok(Work {
        crowd,
        published,
        opening,
        opened_wire,
        opened_memory,
        recovery: recovered,
        misconduct: gang.dissolve().await,
    })
}

/// Waits while somebody else publishes.
async fn listen(plan: &Plan, sightings: &Sightings, halted: impl Future) -> Duration {
    let started = Instant::now();
    let enough = async {
        while sightings.len() < plan.events {
            tokio::time::sleep(crowd::GLANCE).await;
        }
    };
    let duration = plan.publication.duration.unwrap_or(LISTENING);
    tokio::select! {
        () = tokio::time::sleep(duration) => {}
        () = enough => {}
        _ = halted => {}
    }
    started.elapsed()
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
            headers: HeaderMap::new(),
            seed: rand::random(),
            dialling: Dialling::default(),
            storm: None,
            hostiles: Hostiles::default(),
            server: None,
            open_within: Duration::from_secs(30),
            settle: Duration::from_millis(200),
            patience: Duration::from_secs(5),
            deadline: Duration::from_secs(60),
        }
    }

    /// How many sockets the run needs.
    #[must_use]
    pub fn sockets(&self) -> usize {
        const PUBLISHER: usize = 1;
        self.connections() + self.hostiles.count() + PUBLISHER
    }

    /// How many connections the subscribers need.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.subscribers
            .div_ceil(self.streams_per_connection.max(1))
    }

    /// Whether events carry our publisher's stamp.
    fn is_stamped(&self) -> bool {
        self.publication.mode != Mode::Nothing
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

fn starved(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "; the others were connected but not answered",
        Protocol::Http2 => {
            "; the others were not answered, or wait for a stream: -s may be above the server's SETTINGS_MAX_CONCURRENT_STREAMS"
        }
    }
}
