//! One trial: some users open some tabs, look what lives, fetch something, listen, and close a tab.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::browser::{Browser, Profile};
use super::process::Usage;
use super::tab::{Measured, Stage, Tab};
use super::{LabError, Site, Transport};
use crate::latency::{Latency, Quantile};
use crate::publisher::{EventsPerSecond, Publication, Rate};
use crate::stamp::{Clock, RunId};
use crate::target::Target;

/// How often the tabs are looked at.
const GLANCE: Duration = Duration::from_millis(2);

/// How long nobody must be opening until the queues are believed: who is let in needs a moment to say so.
const CALM: Duration = Duration::from_millis(20);

/// How long whatever has a place may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// What every user fetches: small, and never slow for a reason of its own.
const SMALL: &str = "/healthz";

/// What a trial opens. Public fields and [`Setup::new`]: name what differs, take the rest as it is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Over what.
    pub transport: Transport,
    /// Users, each with a browser of their own. Default: 1.
    pub users: usize,
    /// Tabs of each user, each with one `EventSource`.
    pub tabs: usize,
    /// Host names that the streams are spread over; 0: they are on the page's own. Default: 0.
    pub shards: usize,
    /// Whose browsers. Default: Chromium's.
    pub profile: Profile,
    /// How long a wait is called one for ever. Default: 2 s.
    pub patience: Duration,
    /// Events that each live tab is sent. Default: 20.
    pub events: u64,
    /// How fast. Default: 100 a second.
    pub rate: Rate,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Over what.
    pub transport: Transport,
    /// Users.
    pub users: usize,
    /// Tabs of each user.
    pub tabs: usize,
    /// Host names that the streams were spread over; 0: the page's own.
    pub shards: usize,
    /// Streams on which events came, of all users.
    pub live: usize,
    /// Streams that waited for a place to the end, CONNECTING.
    pub waiting: usize,
    /// Sockets that all users opened, the page's included.
    pub sockets: usize,
    /// TLS handshakes among them.
    pub handshakes: usize,
    /// From asking to the first event, of each live tab in order of its opening, in seconds.
    #[serde(serialize_with = "all_seconds")]
    pub first_event: Vec<Duration>,
    /// What an ordinary fetch took while nothing else was open, of the slowest user, in seconds.
    #[serde(serialize_with = "seconds")]
    pub fetch_alone: Duration,
    /// What it took beside the open tabs, of the slowest user.
    pub fetch: Wait,
    /// What closing a tab changed, if the fetch had waited for that. One user only.
    pub after_close: Option<AfterClose>,
    /// Events that arrived on live tabs: all that were published.
    pub delivered: u64,
    /// How late, counted from the moment at which each should have been sent.
    #[serde(serialize_with = "percentiles")]
    pub latency: Latency,
    /// What it cost the server, if its process could be watched.
    pub cost: Option<Cost>,
}

/// How long something waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// So long.
    Answered(Duration),
    /// Longer than the patience of the trial, with nothing that would have ended it.
    ForEver,
}

/// What happened when the first tab was closed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AfterClose {
    /// Until the next waiting tab was live, if one waited.
    pub next_tab: Option<Wait>,
    /// Until the fetch was answered.
    pub fetch: Wait,
}

/// What the tabs cost the server.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Bytes by which its memory grew, per live tab. With few tabs that is the allocator's chance, not the tabs' price.
    pub memory_per_tab: f64,
    /// Seconds of CPU for opening, per live tab: connection, handshake, request and first event.
    pub opening_per_tab: f64,
    /// Seconds of CPU per delivered event.
    pub per_event: f64,
}

/// One user's share of a trial.
struct User {
    browser: Arc<Browser>,
    tabs: Vec<Tab>,
}

/// A fetch under way.
struct Fetch {
    started: Instant,
    /// Ends when the answer's last byte is there.
    task: JoinHandle<Result<Instant, LabError>>,
}

impl Setup {
    /// One user with so many tabs, and the defaults that the fields name.
    #[must_use]
    pub fn new(transport: Transport, tabs: usize) -> Self {
        Self {
            transport,
            users: 1,
            tabs,
            shards: 0,
            profile: Profile::CHROMIUM,
            patience: Duration::from_secs(2),
            events: 20,
            rate: Rate::PerSecond(EventsPerSecond::new(100.0).expect("100 is a rate")),
        }
    }
}

/// Makes one trial.
///
/// # Errors
/// [`LabError`] when the server cannot be reached, refuses a stream, or breaks or stalls one that had a place.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
///
/// # Cancel safety
/// Dropping the future closes every tab.
pub async fn trial(site: &Site, setup: &Setup) -> Result<Trial, LabError> {
    let path = format!("/topics/lab-{}", RunId::random());
    let small = site.target(setup.transport, None, SMALL)?;
    let publication = Publication {
        rate: setup.rate,
        ..Publication::to(site.target(setup.transport, None, &path)?)
    };
    let measured = Measured {
        run: RunId::random(),
        clock: Clock::start(),
        latency: Arc::default(),
    };
    // An event that is there already: whoever gets a place gets it at once.
    publication
        .publish(RunId::random(), measured.clock, 1)
        .await?;

    let before = site.usage()?;
    let streams = streams(site, setup, &path)?;
    let (mut users, fetch_alone) = arrive(setup, &small, &streams, &measured).await?;
    settle(&users).await?;
    let open = site.usage()?;

    let mut fetches: Vec<_> = users
        .iter()
        .map(|user| Fetch::start(&user.browser, &small))
        .collect();
    let listening = site.usage()?;
    publication
        .publish(measured.run, measured.clock, setup.events)
        .await?;
    let delivered = all_delivered(&users, setup.events).await?;
    let after = site.usage()?;

    let mut fetch = Wait::Answered(Duration::ZERO);
    for under_way in &mut fetches {
        fetch = fetch.max(under_way.wait(setup.patience).await?);
    }
    let stages = users.iter().flat_map(User::stages);
    let first_event: Vec<_> = stages
        .filter_map(|stage| match stage {
            Stage::Live(after) => Some(after),
            _ => None,
        })
        .collect();
    let live = first_event.len();
    let (opened, one_user) = (
        users.iter().map(|user| user.browser.sockets()).sum(),
        setup.users == 1,
    );
    let after_close = match (fetches.pop(), fetch) {
        (Some(waiting), Wait::ForEver) if one_user => {
            Some(close_one(&mut users[0], waiting, setup.patience).await?)
        }
        _ => None,
    };
    let latency = measured
        .latency
        .lock()
        .expect("recording does not panic")
        .clone();
    Ok(Trial {
        transport: setup.transport,
        users: setup.users,
        tabs: setup.tabs,
        shards: setup.shards,
        live,
        waiting: setup.users * setup.tabs - live,
        sockets: opened,
        handshakes: if setup.transport.is_secure() {
            opened
        } else {
            0
        },
        first_event,
        fetch_alone,
        fetch,
        after_close,
        delivered,
        latency,
        cost: Cost::of([before, open, listening, after], live, delivered),
    })
}

/// Where each tab's stream is: one target for each shard.
fn streams(site: &Site, setup: &Setup, path: &str) -> Result<Vec<Target>, LabError> {
    let path = format!("{path}?last_event_id=earliest");
    let target = |shard| site.target(setup.transport, shard, &path);
    match setup.shards {
        0 => Ok(vec![target(None)?]),
        shards => (0..shards).map(|shard| target(Some(shard))).collect(),
    }
}

/// Every user fetches the page and opens the tabs, one after the other; the users come at once.
async fn arrive(
    setup: &Setup,
    page: &Target,
    streams: &[Target],
    measured: &Measured,
) -> Result<(Vec<User>, Duration), LabError> {
    let mut arriving = Vec::new();
    for _ in 0..setup.users {
        let browser = Arc::new(Browser::new(setup.profile));
        let fetch = Fetch::start(&browser, page);
        arriving.push((browser, fetch));
    }
    let (mut users, mut slowest) = (Vec::new(), Duration::ZERO);
    for (browser, mut fetch) in arriving {
        (&mut fetch.task).await.expect("a fetch does not panic")?;
        // Again, on the connection that is there now: opening it is not what the tabs are compared with.
        slowest = slowest.max(browser.fetch(page).await?);
        let tabs = (0..setup.tabs)
            .map(|tab| Tab::open(&browser, &streams[tab % streams.len()], measured.clone()))
            .collect();
        users.push(User { browser, tabs });
    }
    Ok((users, slowest))
}

/// Returns when every tab is live or in the queue.
async fn settle(users: &[User]) -> Result<(), LabError> {
    let deadline = Instant::now() + DEADLINE;
    let mut calm_since = Instant::now();
    loop {
        let (mut live, mut opening) = (0, 0);
        for stage in users.iter().flat_map(User::stages) {
            match stage {
                Stage::Queued => {}
                Stage::Opening => opening += 1,
                Stage::Live(_) => live += 1,
                Stage::Over(error) => return Err(LabError::Stream(error)),
            }
        }
        if opening > 0 {
            calm_since = Instant::now();
        } else if calm_since.elapsed() >= CALM {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(LabError::Slow {
                live,
                expected: live + opening,
                within: DEADLINE,
            });
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Returns when every live tab has so many events, with their sum.
async fn all_delivered(users: &[User], events: u64) -> Result<u64, LabError> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (mut received, mut expected) = (0, 0);
        for tab in users.iter().flat_map(|user| &user.tabs) {
            match tab.stage() {
                Stage::Live(_) => {
                    received += tab.received();
                    expected += events;
                }
                Stage::Over(error) => return Err(LabError::Stream(error)),
                Stage::Queued | Stage::Opening => {}
            }
        }
        if received >= expected {
            return Ok(received);
        }
        if Instant::now() >= deadline {
            return Err(LabError::Lost {
                received,
                expected,
                within: DEADLINE,
            });
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// Closes the first tab: its place goes to who waits longest.
async fn close_one(
    user: &mut User,
    mut fetch: Fetch,
    patience: Duration,
) -> Result<AfterClose, LabError> {
    let next = user
        .tabs
        .iter()
        .position(|tab| matches!(tab.stage(), Stage::Queued));
    fetch.started = Instant::now();
    drop(user.tabs.remove(0));
    let next_tab = match next {
        // One further to the front, now that the first is gone.
        Some(index) => Some(until_live(&user.tabs[index - 1], fetch.started, patience).await?),
        None => None,
    };
    Ok(AfterClose {
        next_tab,
        fetch: fetch.wait(patience).await?,
    })
}

async fn until_live(tab: &Tab, since: Instant, patience: Duration) -> Result<Wait, LabError> {
    loop {
        match tab.stage() {
            Stage::Live(_) => return Ok(Wait::Answered(since.elapsed())),
            Stage::Over(error) => return Err(LabError::Stream(error)),
            Stage::Queued | Stage::Opening if since.elapsed() >= patience => {
                return Ok(Wait::ForEver);
            }
            Stage::Queued | Stage::Opening => tokio::time::sleep(GLANCE).await,
        }
    }
}

impl User {
    fn stages(&self) -> impl Iterator<Item = Stage> + '_ {
        self.tabs.iter().map(Tab::stage)
    }
}

impl Fetch {
    fn start(browser: &Arc<Browser>, target: &Target) -> Self {
        let (browser, target) = (Arc::clone(browser), target.clone());
        Self {
            started: Instant::now(),
            task: tokio::spawn(async move {
                browser.fetch(&target).await?;
                Ok(Instant::now())
            }),
        }
    }

    /// Waits for the answer until so long after the start.
    async fn wait(&mut self, patience: Duration) -> Result<Wait, LabError> {
        let left = (self.started + patience).saturating_duration_since(Instant::now());
        match timeout(left, &mut self.task).await {
            Ok(fetched) => {
                let answered = fetched.expect("a fetch does not panic")?;
                Ok(Wait::Answered(answered - self.started))
            }
            Err(_) => Ok(Wait::ForEver),
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cost {
    /// From readings before the tabs, with them open, before the events and after them.
    fn of(
        [before, open, listening, after]: [Option<Usage>; 4],
        live: usize,
        delivered: u64,
    ) -> Option<Self> {
        let (before, open) = (before?, open?);
        let tabs = live.max(1) as f64;
        let spent = |from: Usage, to: Usage| to.cpu.saturating_sub(from.cpu).as_secs_f64();
        Some(Self {
            memory_per_tab: (open.memory as f64 - before.memory as f64) / tabs,
            opening_per_tab: spent(before, open) / tabs,
            per_event: spent(listening?, after?) / delivered.max(1) as f64,
        })
    }
}

impl Serialize for Wait {
    /// Seconds; null for ever.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Answered(after) => serializer.serialize_some(&after.as_secs_f64()),
            Self::ForEver => serializer.serialize_none(),
        }
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn all_seconds<S: Serializer>(durations: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(durations.iter().map(Duration::as_secs_f64))
}

fn percentiles<S: Serializer>(latency: &Latency, serializer: S) -> Result<S::Ok, S::Error> {
    let at = |quantile| match latency.quantile(quantile, 0) {
        Quantile::At(latency) => Some(latency.as_secs_f64()),
        Quantile::Lost | Quantile::Unmeasured => None,
    };
    let points = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];
    serializer.collect_map(points.map(|(name, quantile)| (name, at(quantile))))
}
