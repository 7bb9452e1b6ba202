//! One trial: some users open some tabs, look what lives, fetch something, listen, and close a tab.

mod outcome;
mod users;

use std::sync::Arc;
use std::time::Duration;

use super::browser::Profile;
use super::tab::{Measured, Stage};
use super::{LabError, Site, Transport};
use crate::publisher::{EventsPerSecond, Publication, Rate};
use crate::stamp::{Clock, RunId};
use crate::target::Target;
pub use outcome::{AfterClose, Cost, Trial, Wait};
use users::{Fetch, User, all_delivered, arrive, close_one, settle};

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
