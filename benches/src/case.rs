//! The cases: what is done, what is measured, and what must be reached.

use serde::{Deserialize, Serialize};

use crate::client::Protocol;
use crate::server::Peer;

/// One row of work, the same for every server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Stable: the plot, the JSON and `--case` go by it.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// What is spoken.
    pub protocol: Protocol,
    /// Connections of all clients.
    pub connections: usize,
    /// Streams of each connection.
    pub streams: usize,
    /// What is done with them.
    pub work: Work,
    /// What must be reached.
    pub targets: &'static [Target],
}

/// What is done with a case's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Publish, and account for CPU and latency.
    Stream {
        /// Bytes of data of an event.
        size: usize,
        /// Rounds a second.
        per_second: u32,
        /// Events published at once, in each round.
        burst: u32,
    },
    /// Do nothing, and look how much memory each subscriber takes.
    Idle,
    /// Do nothing, and look how much memory each stream but a connection's first takes.
    IdleStreams,
    /// Open them all at once, and look how long it takes.
    Open,
    /// Publish single events, far apart, and account for latency.
    FanOut,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Microseconds of the server's CPU time per event and stream.
    Cpu,
    /// Milliseconds from publication to receipt, of half of the deliveries.
    P50,
    /// Milliseconds from publication to receipt, of 99 in 100 deliveries.
    P99,
    /// How busy all cores were with everything, in percent. Near 100 a server that cannot keep up finds several events to
    /// write at once, and looks cheaper than it is: such runs do not compare.
    Busy,
    /// KiB of resident memory per stream.
    Memory,
    /// Seconds from the first packet to the last head.
    Open,
}

/// A figure of ours that must be at most so much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Which figure.
    pub measure: Measure,
    /// At most what.
    pub limit: Limit,
}

/// At most what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// So much, in the measure's unit.
    Absolute(f64),
    /// So many times what this server took in the same run.
    Times(f64, Peer),
}

impl Case {
    /// The case of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        CASES.iter().find(|case| case.name == name)
    }

    /// Streams of all connections.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.connections * self.streams
    }
}

impl Work {
    /// What it measures, in the order of the table.
    #[must_use]
    pub fn measures(self) -> &'static [Measure] {
        match self {
            Self::Stream { .. } => &[Measure::Cpu, Measure::P50, Measure::P99, Measure::Busy],
            Self::Idle | Self::IdleStreams => &[Measure::Memory],
            Self::Open => &[Measure::Open],
            Self::FanOut => &[Measure::P50, Measure::P99],
        }
    }
}

impl Measure {
    /// As it is called in the table, with its unit.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU us/delivery",
            Self::P50 => "latency p50 ms",
            Self::P99 => "latency p99 ms",
            Self::Busy => "machine busy %",
            Self::Memory => "KiB/stream",
            Self::Open => "seconds to open",
        }
    }
}

const fn at_most(measure: Measure, most: f64) -> Target {
    Target {
        measure,
        limit: Limit::Absolute(most),
    }
}

const fn times(measure: Measure, factor: f64, peer: Peer) -> Target {
    Target {
        measure,
        limit: Limit::Times(factor, peer),
    }
}

/// Fan-out latency is below axum's, wherever there is a load.
const BELOW_AXUM: Target = times(Measure::P99, 1.0, Peer::Axum);

const fn stream(size: usize, per_second: u32, burst: u32) -> Work {
    Work::Stream {
        size,
        per_second,
        burst,
    }
}

/// All cases, in the order of the table.
pub const CASES: &[Case] = &[
    Case {
        name: "h1-1000x50",
        title: "HTTP/1.1, 1,000 subscribers, 50 events/s",
        protocol: Protocol::H1,
        connections: 1_000,
        streams: 1,
        work: stream(100, 50, 1),
        targets: &[times(Measure::Cpu, 1.10, Peer::Floor), BELOW_AXUM],
    },
    Case {
        name: "h1-5000x20",
        title: "HTTP/1.1, 5,000 subscribers, 20 events/s",
        protocol: Protocol::H1,
        connections: 5_000,
        streams: 1,
        work: stream(100, 20, 1),
        targets: &[times(Measure::Cpu, 1.10, Peer::Floor), BELOW_AXUM],
    },
    Case {
        name: "h1-burst100",
        title: "HTTP/1.1, 1,000 subscribers, 5 bursts of 100 events/s",
        protocol: Protocol::H1,
        connections: 1_000,
        streams: 1,
        work: stream(100, 5, 100),
        targets: &[at_most(Measure::Cpu, 0.120), BELOW_AXUM],
    },
    Case {
        name: "h1tls-1000x50",
        title: "HTTP/1.1 + TLS, 1,000 subscribers, 50 events/s",
        protocol: Protocol::H1Tls,
        connections: 1_000,
        streams: 1,
        work: stream(100, 50, 1),
        targets: &[times(Measure::Cpu, 0.75, Peer::Axum), BELOW_AXUM],
    },
    Case {
        name: "h2tls-50x100x20-100",
        title: "HTTP/2 + TLS, 50 connections x 100 streams, 20 events/s",
        protocol: Protocol::H2Tls,
        connections: 50,
        streams: 100,
        work: stream(100, 20, 1),
        targets: &[
            at_most(Measure::Cpu, 0.30),
            times(Measure::Cpu, 1.0 / 12.0, Peer::Axum),
            BELOW_AXUM,
        ],
    },
    Case {
        name: "h2tls-50x100x20-300",
        title: "the same, events of 300 bytes",
        protocol: Protocol::H2Tls,
        connections: 50,
        streams: 100,
        work: stream(300, 20, 1),
        targets: &[at_most(Measure::Cpu, 0.4), BELOW_AXUM],
    },
    Case {
        name: "h2tls-50x100x20-900",
        title: "the same, events of 900 bytes",
        protocol: Protocol::H2Tls,
        connections: 50,
        streams: 100,
        work: stream(900, 20, 1),
        targets: &[
            at_most(Measure::Cpu, 1.1),
            times(Measure::Cpu, 0.25, Peer::Axum),
            BELOW_AXUM,
        ],
    },
    Case {
        name: "h2tls-50x100x20-4000",
        title: "the same, events of 4,000 bytes",
        protocol: Protocol::H2Tls,
        connections: 50,
        streams: 100,
        work: stream(4_000, 20, 1),
        targets: &[at_most(Measure::Cpu, 4.6), BELOW_AXUM],
    },
    Case {
        name: "h2tls-500x1x50",
        title: "HTTP/2 + TLS, 500 connections x 1 stream, 50 events/s",
        protocol: Protocol::H2Tls,
        connections: 500,
        streams: 1,
        work: stream(100, 50, 1),
        targets: &[times(Measure::Cpu, 0.75, Peer::Axum), BELOW_AXUM],
    },
    Case {
        name: "idle-h1",
        title: "memory: HTTP/1.1, 10,000 idle subscribers",
        protocol: Protocol::H1,
        connections: 10_000,
        streams: 1,
        work: Work::Idle,
        targets: &[at_most(Measure::Memory, 1.5)],
    },
    Case {
        name: "idle-h1tls",
        title: "memory: HTTP/1.1 + TLS, 10,000 idle subscribers",
        protocol: Protocol::H1Tls,
        connections: 10_000,
        streams: 1,
        work: Work::Idle,
        targets: &[at_most(Measure::Memory, 11.0)],
    },
    Case {
        name: "idle-h2tls",
        title: "memory: HTTP/2 + TLS, 10,000 connections of 1 idle stream",
        protocol: Protocol::H2Tls,
        connections: 10_000,
        streams: 1,
        work: Work::Idle,
        targets: &[at_most(Measure::Memory, 22.0)],
    },
    Case {
        name: "idle-h2-streams",
        title: "memory: HTTP/2 + TLS, each further stream, 100 to a connection",
        protocol: Protocol::H2Tls,
        connections: 100,
        streams: 100,
        work: Work::IdleStreams,
        targets: &[at_most(Measure::Memory, 1.0)],
    },
    Case {
        name: "open-10000",
        title: "HTTP/1.1, 10,000 connections opened at once",
        protocol: Protocol::H1,
        connections: 10_000,
        streams: 1,
        work: Work::Open,
        targets: &[at_most(Measure::Open, 0.5)],
    },
    Case {
        name: "fanout-10000",
        title: "HTTP/1.1, 10,000 subscribers, one event",
        protocol: Protocol::H1,
        connections: 10_000,
        streams: 1,
        work: Work::FanOut,
        targets: &[times(Measure::P99, 1.25, Peer::Floor)],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_targets_are_measured() {
        for (index, case) in CASES.iter().enumerate() {
            assert!(CASES[..index].iter().all(|other| other.name != case.name));
            for target in case.targets {
                assert!(
                    case.work.measures().contains(&target.measure),
                    "{}",
                    case.name
                );
            }
        }
    }
}
