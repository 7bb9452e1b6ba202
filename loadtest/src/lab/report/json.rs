//! The report for programs. `schema` grows by one whenever a key changes its meaning or goes; new keys may come.
//!
//! Times are in seconds, memory in bytes; a wait without an end is `null`. The keys of a trial are the fields of
//! [`Trial`](super::Trial).

use serde::Serialize;

use super::Report;
use crate::lab::browser::Profile;
use crate::lab::trial::Trial;

const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    server: &'a str,
    profile: Profile,
    patience: f64,
    sweep: &'a [Trial],
    sharding: &'a [Trial],
    crowds: &'a [Trial],
}

impl Report {
    /// The report as one JSON object, pretty-printed, without a line break at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = Document {
            schema: SCHEMA,
            server: &self.server,
            profile: self.profile,
            patience: self.patience.as_secs_f64(),
            sweep: &self.sweep,
            sharding: &self.sharding,
            crowds: &self.crowds,
        };
        serde_json::to_string_pretty(&document).expect("numbers, strings and lists are always JSON")
    }
}
