//! The whole experiment: which trials, in which order, against which server.

use std::path::PathBuf;
use std::time::Duration;

use super::browser::Profile;
use super::program::Program;
use super::report::Report;
use super::trial::{Setup, Trial, trial};
use super::{LabError, Site, Transport};
use crate::target::Protocol;

/// What is to be tried. Public fields and [`Plan::new`]: name what differs, take the rest as it is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose browsers. Default: Chromium's.
    pub profile: Profile,
    /// Over what. Default: everything that the server is reached by.
    pub transports: Vec<Transport>,
    /// Tabs of one user. Default: 1 to 12.
    pub tabs: Vec<usize>,
    /// Further tabs where streams share a connection. Default: 16 to 200, then 256 and 300, where Chromium's own limit is
    /// passed.
    pub more_tabs: Vec<usize>,
    /// Users, each with as many tabs as HTTP/1.1 has sockets. Default: 1, 10 and 50.
    pub users: Vec<usize>,
    /// Host names over which streams are spread, at most. Default: 2.
    pub shards: usize,
    /// How long a wait is called one for ever. Default: 2 s.
    pub patience: Duration,
}

/// What is put to the test.
#[derive(Clone, Debug)]
pub enum Server {
    /// This program: it is started here, afresh for every crowd, so that its memory is the crowd's.
    Program(PathBuf),
    /// One that is running already.
    Running(Site),
}

/// The server of some trials.
enum Served<'a> {
    Program(Program),
    Running(&'a Site),
}

/// Makes the whole experiment; `progress` hears of every trial. Takes about a minute, which is mostly patience.
///
/// # Errors
/// As [`trial`]; and when the program cannot be started.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
///
/// # Cancel safety
/// Dropping the future closes every tab and ends the program that it started.
pub async fn run(
    plan: &Plan,
    server: &Server,
    mut progress: impl FnMut(&Trial),
) -> Result<Report, LabError> {
    let mut report = Report::new(plan, server);
    let served = server.start(plan.shards).await?;
    for setup in plan.sweep(served.site()) {
        let trial = trial(served.site(), &setup).await?;
        progress(&trial);
        report.sweep.push(trial);
    }
    for setup in plan.sharding(served.site()) {
        let trial = trial(served.site(), &setup).await?;
        progress(&trial);
        report.sharding.push(trial);
    }
    for setup in plan.crowds(served.site()) {
        let fresh = server.start(0).await?;
        let trial = trial(fresh.site(), &setup).await?;
        progress(&trial);
        report.crowds.push(trial);
    }
    Ok(report)
}

impl Plan {
    /// The defaults that the fields name.
    #[must_use]
    pub fn new() -> Self {
        Self {
            profile: Profile::CHROMIUM,
            transports: Transport::ALL.to_vec(),
            tabs: (1..=12).collect(),
            more_tabs: vec![16, 32, 50, 100, 150, 200, 256, 300],
            users: vec![1, 10, 50],
            shards: 2,
            patience: Duration::from_secs(2),
        }
    }

    /// How many sockets the largest crowd has at once, over HTTP/1.1.
    #[must_use]
    pub fn sockets(&self) -> u64 {
        let users = self.users.iter().copied().max().unwrap_or(1);
        (users as u64).saturating_mul(self.profile.sockets as u64 + 1)
    }

    /// One user, more and more tabs.
    fn sweep(&self, site: &Site) -> Vec<Setup> {
        let setups = |transport: Transport| {
            let more = match transport.protocol() {
                Protocol::Http1 => &[][..],
                Protocol::Http2 => &self.more_tabs,
            };
            let tabs = self.tabs.iter().chain(more);
            tabs.map(move |&tabs| self.setup(transport, tabs))
        };
        self.transports(site).flat_map(setups).collect()
    }

    /// One user whose streams are on other hosts than the page: 0 (its own), 1, and so on.
    fn sharding(&self, site: &Site) -> Vec<Setup> {
        let Some(&tabs) = self.tabs.iter().max() else {
            return Vec::new();
        };
        self.transports(site)
            .filter(|transport| {
                transport.protocol() == Protocol::Http1 && site.has_shards(*transport)
            })
            .flat_map(|transport| {
                (0..=self.shards).map(move |shards| Setup {
                    shards,
                    ..self.setup(transport, tabs)
                })
            })
            .collect()
    }

    /// More and more users, all with as many tabs as every transport carries.
    fn crowds(&self, site: &Site) -> Vec<Setup> {
        let tabs = self.profile.sockets;
        let setups = |transport| {
            self.users.iter().map(move |&users| Setup {
                users,
                ..self.setup(transport, tabs)
            })
        };
        self.transports(site).flat_map(setups).collect()
    }

    fn transports(&self, site: &Site) -> impl Iterator<Item = Transport> {
        self.transports
            .iter()
            .copied()
            .filter(|&transport| site.serves(transport))
    }

    fn setup(&self, transport: Transport, tabs: usize) -> Setup {
        Setup {
            profile: self.profile,
            patience: self.patience,
            ..Setup::new(transport, tabs)
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    async fn start(&self, shards: usize) -> Result<Served<'_>, LabError> {
        Ok(match self {
            Self::Program(program) => Served::Program(Program::start(program, shards).await?),
            Self::Running(site) => Served::Running(site),
        })
    }
}

impl Served<'_> {
    fn site(&self) -> &Site {
        match self {
            Self::Program(program) => program.site(),
            Self::Running(site) => site,
        }
    }
}
