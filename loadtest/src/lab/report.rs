//! What came of the experiment.

mod json;
mod text;

use std::time::Duration;

use super::browser::Profile;
use super::plan::{Plan, Server};
use super::trial::Trial;

/// The result of an experiment. `Display` prints it as tables for people; [`Report::to_json`] for programs.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which server.
    pub server: String,
    /// Whose browsers were modelled.
    pub profile: Profile,
    /// How long a wait had to be to be called one for ever.
    pub patience: Duration,
    /// One user, more and more tabs, over each transport.
    pub sweep: Vec<Trial>,
    /// One user with the most tabs, the streams spread over more and more host names.
    pub sharding: Vec<Trial>,
    /// More and more users with six tabs each.
    pub crowds: Vec<Trial>,
}

impl Report {
    pub(super) fn new(plan: &Plan, server: &Server) -> Self {
        let server = match server {
            Server::Program(program) => program.display().to_string(),
            Server::Running(site) => {
                let urls = [&site.plain, &site.secure].map(|url| url.clone().unwrap_or_default());
                urls.join(" ").trim().to_owned()
            }
        };
        Self {
            server,
            profile: plan.profile,
            patience: plan.patience,
            sweep: Vec::new(),
            sharding: Vec::new(),
            crowds: Vec::new(),
        }
    }
}
