//! What came of the experiment.

mod html;
mod json;
mod table;
mod text;

use std::time::Duration;

use super::browser::Profile;
use super::plan::{Plan, Server};
use super::trial::Trial;

/// The result of an experiment. `Display` prints it as tables for people; [`Report::to_json`] is for programs,
/// [`Report::to_html`] for browsers, [`Report::to_svg`] for a README.
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
            Server::Program(_) => "a wellspring of its own".to_owned(),
            Server::Running(site) => {
                let urls =
                    [&site.plain, &site.secure].map(|url| url.as_deref().unwrap_or_default());
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

    /// What was modelled, and what "for ever" means.
    fn premise(&self) -> String {
        let Profile {
            name,
            sockets,
            most_streams,
            ..
        } = self.profile;
        let streams = most_streams.map_or_else(String::new, |most| {
            format!(", {most} streams at most to a connection")
        });
        format!(
            "Modelled on {name}: {sockets} HTTP/1.1 sockets to an origin, one of HTTP/2{streams}. Server: {}. \
             \"For ever\" is more than {} s, with nothing to end it but a tab that closes.",
            self.server,
            self.patience.as_secs_f64(),
        )
    }
}
