//! The users of a trial: they come, wait until it is clear who has a place, and one closes a tab.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{AfterClose, Setup, Wait};
use crate::lab::LabError;
use crate::lab::browser::Browser;
use crate::lab::tab::{Measured, Stage, Tab};
use crate::target::Target;

/// How often the tabs are looked at.
const GLANCE: Duration = Duration::from_millis(2);

/// How long nobody must be opening until the queues are believed: who is let in needs a moment to say so.
const CALM: Duration = Duration::from_millis(20);

/// How long whatever has a place may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// One user's share of a trial.
pub(super) struct User {
    pub(super) browser: Arc<Browser>,
    pub(super) tabs: Vec<Tab>,
}

/// A fetch under way.
pub(super) struct Fetch {
    started: Instant,
    /// Ends when the answer's last byte is there.
    task: JoinHandle<Result<Instant, LabError>>,
}

/// Every user fetches the page and opens the tabs, one after the other; the users come at once.
pub(super) async fn arrive(
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
pub(super) async fn settle(users: &[User]) -> Result<(), LabError> {
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
pub(super) async fn all_delivered(users: &[User], events: u64) -> Result<u64, LabError> {
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
pub(super) async fn close_one(
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
    pub(super) fn stages(&self) -> impl Iterator<Item = Stage> + '_ {
        self.tabs.iter().map(Tab::stage)
    }
}

impl Fetch {
    pub(super) fn start(browser: &Arc<Browser>, target: &Target) -> Self {
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
    pub(super) async fn wait(&mut self, patience: Duration) -> Result<Wait, LabError> {
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
