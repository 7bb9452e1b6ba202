//! The client: subscribes, and checks that every stream gets every event once and in order.
//!
//! It runs in a process of its own ([`run_if_asked`]), because it shares no file limit with its parent and its
//! CPU time must not be taken for anybody else's. One thread, one epoll, one read per readiness: it has to be
//! cheaper than the servers it drives. Whatever is wrong with one stream is wrong with the run.

mod connection;
mod h1;
mod h2;
mod poll;
mod scanner;
mod tally;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::poll::Client;

/// The first argument of a process that is to be a client; the second is its [`Target`] as JSON.
pub(crate) const AS_CLIENT: &str = "--as-client";

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/1.1 over TCP.
    H1,
    /// HTTP/1.1 over TLS.
    H1Tls,
    /// HTTP/2 over TCP, by prior knowledge.
    H2,
    /// HTTP/2 over TLS.
    H2Tls,
}

/// Whom to subscribe to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What is spoken.
    pub protocol: Protocol,
    /// The server.
    pub address: SocketAddr,
    /// What is asked for.
    pub path: String,
    /// The certificate to trust, as PEM; used over TLS.
    pub authority: PathBuf,
}

/// What the parent asks of the client, a line of JSON each; each is answered before the next is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Have so many connections in all, with so many streams each.
    Open {
        /// Connections, with those that are open.
        connections: usize,
        /// Streams of each connection; more than one needs HTTP/2.
        streams: usize,
        /// How many connections may be between their first packet and their last head.
        at_once: usize,
    },
    /// Wait until every stream has had this many events since the beginning.
    Receive {
        /// Events of each stream.
        events: u32,
    },
}

/// What the client answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Every stream has its head.
    Opened {
        /// From the first connection's first packet to the last stream's head.
        seconds: f64,
    },
    /// Every stream has its events.
    Received(Receipt),
    /// The run is worth nothing.
    Failed(String),
}

/// What was received since the last receipt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Events times streams.
    pub deliveries: u64,
    /// Milliseconds from publication to receipt that half of the deliveries kept.
    pub p50: f64,
    /// Milliseconds that 99 in 100 kept.
    pub p99: f64,
    /// Milliseconds of the latest.
    pub max: f64,
}

/// Why a run is worth nothing.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    #[error("the server closed a connection")]
    Closed,
    #[error("not a stream of events: {0}")]
    Refused(String),
    #[error("not the protocol: {0}")]
    Protocol(&'static str),
    #[error("event {got} came where {expected} was due: {}", if got < expected { "doubled" } else { "lost" })]
    Sequence { expected: u32, got: u32 },
    #[error("an event without a stamp")]
    Unstamped,
    #[error("{0}")]
    Late(String),
}

impl From<rustix::io::Errno> for Fault {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

impl Protocol {
    /// Whether it goes over TLS.
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(self, Self::H1Tls | Self::H2Tls)
    }

    /// Whether a connection can have many streams.
    #[must_use]
    pub fn is_h2(self) -> bool {
        matches!(self, Self::H2 | Self::H2Tls)
    }
}

/// Makes this process a client and never returns, when it was started as one: call it first in `main`.
pub fn run_if_asked() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(AS_CLIENT) {
        return;
    }
    if let Err(fault) = run(&arguments.next().unwrap_or_default()) {
        answer(&Answer::Failed(fault.to_string()));
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// The target is an argument and no first line of standard input, which would swallow the command behind it.
fn run(target: &str) -> Result<(), Fault> {
    let target: Target = serde_json::from_str(target).map_err(std::io::Error::from)?;
    let mut client = Client::new(target)?;
    while let Some(done) = client.turn()? {
        if let Some(done) = done {
            answer(&done);
        }
    }
    Ok(())
}

fn answer(answer: &Answer) {
    let line = serde_json::to_string(answer).expect("it is plain data");
    // A parent that is gone does not read its answers.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
