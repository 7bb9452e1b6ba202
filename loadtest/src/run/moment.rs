//! A run, second by second.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::client::Wire;
use crate::latency::{Latency, Quantile};
use crate::meter::Recent;
use crate::process::{Process, Usage};
use crate::report::{Costs, Traffic};
use crate::subscriber::Shared;

/// One second of a run, more or less: what came to pass since the moment before.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Moment {
    /// When it ended, in seconds from the start of the run.
    pub at: f64,
    /// How long it was, in seconds.
    pub lasted: f64,
    /// Streams open at its end.
    pub open: usize,
    /// Events that arrived at subscribers.
    pub deliveries: u64,
    /// Bytes that arrived, TLS and all.
    pub bytes: u64,
    /// Median delivery latency, in seconds; none when nothing arrived.
    pub p50: Option<f64>,
    /// The latency that 99 % of the deliveries kept.
    pub p99: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
    /// Processors that this program kept busy: 1 is one core.
    pub own_cpu: f64,
    /// Processors that the server kept busy, if its process is known.
    pub server_cpu: Option<f64>,
    /// The server's resident memory in bytes, if its process is known.
    pub server_memory: Option<u64>,
}

/// Looks at a run from time to time.
pub(super) struct Watch {
    shared: Arc<Shared>,
    wire: Arc<Wire>,
    own: Observed,
    server: Option<Observed>,
    all: Recent,
    /// Bytes read up to the moment before.
    read: u64,
    seconds: Vec<Moment>,
    started: Duration,
    began: Duration,
}

/// What a watch has gathered in the end.
pub(super) struct Measured {
    pub(super) latency: Latency,
    pub(super) traffic: Traffic,
    pub(super) costs: Costs,
    pub(super) seconds: Vec<Moment>,
    pub(super) last: Moment,
}

struct Observed {
    process: Process,
    first: Usage,
    before: Usage,
    peak: u64,
}

impl Watch {
    pub(super) fn start(
        shared: &Arc<Shared>,
        wire: &Arc<Wire>,
        server: Option<&Process>,
    ) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::clone(shared),
            wire: Arc::clone(wire),
            own: Observed::new(Process::own())?,
            server: server.cloned().map(Observed::new).transpose()?,
            all: Recent::default(),
            read: 0,
            seconds: Vec::new(),
            started: shared.clock.now(),
            began: shared.clock.now(),
        })
    }

    /// Ends the present moment and begins the next.
    pub(super) fn look(&mut self) -> &Moment {
        let now = self.shared.clock.now();
        let lasted = now.saturating_sub(self.began).as_secs_f64();
        self.began = now;
        let recent = self.shared.meter.take_recent();
        let read = self.wire.read();
        let seconds = |quantile| match recent.latency.quantile(quantile, 0) {
            Quantile::At(latency) => Some(latency.as_secs_f64()),
            Quantile::Lost | Quantile::Unmeasured => None,
        };
        let moment = Moment {
            at: now.saturating_sub(self.started).as_secs_f64(),
            lasted,
            open: self.shared.meter.open(),
            deliveries: recent.arrivals,
            bytes: read - self.read,
            p50: seconds(0.5),
            p99: seconds(0.99),
            max: seconds(1.0),
            own_cpu: self.own.busy(lasted),
            server_cpu: self.server.as_mut().map(|server| server.busy(lasted)),
            server_memory: self.server.as_ref().map(|server| server.before.resident),
        };
        self.read = read;
        self.all.add(&recent);
        self.seconds.push(moment);
        self.seconds.last().expect("one was just pushed")
    }

    /// Ends the last moment. `opened_wire` bytes had been read, and the server held `opened_memory` bytes, when all
    /// streams were open.
    pub(super) fn finish(mut self, opened_wire: u64, opened_memory: Option<u64>) -> Measured {
        let last = self.look().clone();
        let used = |observed: &Observed| observed.before.cpu.saturating_sub(observed.first.cpu);
        Measured {
            traffic: Traffic {
                arrivals: self.all.arrivals,
                payload: self.all.payload,
                wire: self.read - opened_wire,
                opening: opened_wire,
                requests: self.wire.written(),
            },
            costs: Costs {
                own_cpu: used(&self.own),
                server_cpu: self.server.as_ref().map(used),
                server_memory_before: self.server.as_ref().map(|server| server.first.resident),
                server_memory_open: opened_memory,
                server_memory_peak: self.server.as_ref().map(|server| server.peak),
            },
            latency: self.all.latency,
            seconds: self.seconds,
            last,
        }
    }
}

impl Observed {
    fn new(process: Process) -> io::Result<Self> {
        let first = process.usage()?;
        Ok(Self {
            process,
            first,
            before: first,
            peak: first.resident,
        })
    }

    /// Processors kept busy since the last call. A process that is gone uses nothing.
    fn busy(&mut self, lasted: f64) -> f64 {
        let now = self.process.usage().unwrap_or(self.before);
        let used = now.cpu.saturating_sub(self.before.cpu).as_secs_f64();
        self.before = now;
        self.peak = self.peak.max(now.resident);
        if lasted > 0.0 { used / lasted } else { 0.0 }
    }
}
