//! The lab: six connections against one.
//!
//! What do the six connections of HTTP/1.1 cost a browser whose tabs each hold an `EventSource`, and what does the one
//! connection of HTTP/2 give back? A [`run`] puts modelled browsers in front of a real server, opens one tab after the
//! other, and says which streams are live and which wait, what an ordinary fetch waits behind them, and what each tab
//! costs the server.
//!
//! From the door inwards: a [`Plan`] becomes [`Setup`]s, each [`trial`] of which opens the tabs of some users, every user
//! with a `browser` of their own (pools, and a `queue` before each); the [`Site`] is where the server is, started here as
//! a child or running already.

mod browser;
mod plan;
mod program;
mod queue;
mod report;
mod site;
mod tab;
mod trial;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

use crate::client::ConnectError;
use crate::publisher::PublishError;
use crate::subscriber::chain;
use crate::target::{Target, TargetError};

pub use browser::Profile;
pub use plan::{Plan, Server, run};
pub use report::Report;
pub use site::{Site, Transport};
pub use trial::{AfterClose, Cost, Setup, Trial, Wait, trial};

/// Why the experiment could not be made. Streams that wait are no error of the lab; they are what it reports.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabError {
    /// The URL of the server is of no use.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The events could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A request failed, or a stream broke.
    #[error("{target}: {reason}")]
    Broken {
        /// The URL.
        target: String,
        /// What happened to it.
        reason: String,
    },
    /// A tab's stream is over.
    #[error(transparent)]
    Stream(Arc<Self>),
    /// A stream was refused.
    #[error("{target} was refused with {status}; the lab needs a wellspring server")]
    Refused {
        /// The URL.
        target: String,
        /// The server's answer.
        status: StatusCode,
    },
    /// The server took too long for what it does at once.
    #[error("only {live} of {expected} streams that had a place were live after {} s", within.as_secs())]
    Slow {
        /// Streams with an event.
        live: usize,
        /// Streams with a place.
        expected: usize,
        /// The time that they had.
        within: Duration,
    },
    /// Events did not arrive.
    #[error("only {received} of {expected} events arrived within {} s", within.as_secs())]
    Lost {
        /// Events that arrived.
        received: u64,
        /// Events that should have.
        expected: u64,
        /// The time that they had.
        within: Duration,
    },
    /// The program could not be started.
    #[error("cannot start {}: {reason}; build it (cargo build --release), or name it with --program, or a running one with --url", program.display())]
    Program {
        /// Its file.
        program: PathBuf,
        /// Why.
        reason: String,
    },
    /// The process cannot be watched.
    #[error("cannot read what process {process} uses: {source}")]
    Process {
        /// Its number.
        process: u32,
        /// The system's reason.
        source: io::Error,
    },
    /// The plan asks for what the server does not serve.
    #[error("{0}")]
    Plan(&'static str),
}

impl LabError {
    fn broken(target: &Target, error: &hyper::Error) -> Self {
        Self::Broken {
            target: target.to_string(),
            reason: chain(error),
        }
    }

    fn ended(target: &Target) -> Self {
        Self::Broken {
            target: target.to_string(),
            reason: "the stream ended".to_owned(),
        }
    }

    fn refused(target: &Target, status: StatusCode) -> Self {
        Self::Refused {
            target: target.to_string(),
            status,
        }
    }
}
