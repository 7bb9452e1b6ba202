//! How far the generator itself can be believed: it is run against a broadcaster that does nothing but `write`.
//!
//! Three runs on the same number of subscribers. In the first, events carry the moment at which they were due, as in
//! every run: its latency is what would be reported. In the second, each copy of an event carries the moment just before
//! its own `write`: its latency is how late the generator sees what has arrived, and so its own error, with the kernel's
//! part in it. In the third, events come as fast as they are taken: the ceiling.

mod broadcaster;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use crate::client::Dialling;
use crate::latency::Quantile;
use crate::process::Process;
use crate::publisher::{EventsPerSecond, Publication, Rate};
use crate::report::{Report, csv};
use crate::run::{Plan, RunError, run_on};
use crate::stamp::Clock;
use crate::target::{Target, TargetError, Trust};
pub use broadcaster::{Broadcaster, Stamping};

/// Connections in the making at any time.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(100).unwrap();

/// How many times the events of a paced run are published for the ceiling, to take more than a moment.
const AT_CEILING: u64 = 5;

/// What is calibrated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Subscribers over HTTP/1.1.
    pub subscribers: usize,
    /// Events per second; each goes to every subscriber.
    pub rate: EventsPerSecond,
    /// How long each run publishes.
    pub duration: Duration,
    /// Bytes of data per event.
    pub size: usize,
}

/// What came of it. Times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calibrated {
    /// Subscribers.
    pub subscribers: usize,
    /// Deliveries per second that were asked for, in the first two runs.
    pub asked: f64,
    /// Deliveries per second in the first run.
    pub deliveries_per_second: f64,
    /// Whether every delivery of every run was seen.
    pub complete: bool,
    /// The latency that the generator reports of the broadcaster.
    pub latency: Points,
    /// How long after its `write` began an event was seen: the generator's error, and the kernel's transport.
    pub error: Points,
    /// The generator's processor time for each delivery.
    pub own_cpu_per_delivery: f64,
    /// The broadcaster's.
    pub broadcaster_cpu_per_delivery: f64,
    /// Deliveries per second when events come as fast as they are taken, several in a `write`.
    pub ceiling: f64,
    /// ... and the generator's processor time for each of those.
    pub ceiling_cpu_per_delivery: f64,
}

/// Two points of a distribution, in seconds; none when too much was lost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Points {
    /// The median.
    pub p50: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
}

/// Why there is no calibration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// The broadcaster did not start.
    #[error("cannot start the broadcaster: {0}")]
    Broadcaster(io::Error),
    /// Its address is no target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A run could not be made.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Calibration {
    /// Makes the three runs. `start` starts a broadcaster in a process of its own, or not.
    ///
    /// # Errors
    /// [`CalibrationError`] when a broadcaster cannot be started or a run cannot be made.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    ///
    /// # Cancel safety
    /// Dropping the future ends the run under way.
    pub async fn measure<B: AsRef<Broadcaster>>(
        &self,
        start: impl Fn(Stamping) -> io::Result<B>,
    ) -> Result<Calibrated, CalibrationError> {
        let clock = Clock::start();
        let reported = self
            .run(
                &start,
                clock,
                Stamping::AsPublished,
                Rate::PerSecond(self.rate),
            )
            .await?;
        let at_write = Stamping::AtWrite {
            zero: clock.zero_of_system(),
        };
        let seen = self
            .run(&start, clock, at_write, Rate::PerSecond(self.rate))
            .await?;
        let ceiling = self
            .run(&start, clock, Stamping::AsPublished, Rate::Unlimited)
            .await?;
        let cpu = |each: Option<Duration>| each.unwrap_or_default().as_secs_f64();
        Ok(Calibrated {
            subscribers: self.subscribers,
            asked: self.rate.get() * self.subscribers as f64,
            deliveries_per_second: reported.deliveries_per_second(),
            complete: [&reported, &seen, &ceiling]
                .iter()
                .all(|report| report.is_complete()),
            latency: Points::of(&reported),
            error: Points::of(&seen),
            own_cpu_per_delivery: cpu(reported.own_cpu_per_delivery()),
            broadcaster_cpu_per_delivery: cpu(reported.server_cpu_per_delivery()),
            ceiling: ceiling.deliveries_per_second(),
            ceiling_cpu_per_delivery: cpu(ceiling.own_cpu_per_delivery()),
        })
    }

    async fn run<B: AsRef<Broadcaster>>(
        &self,
        start: impl Fn(Stamping) -> io::Result<B>,
        clock: Clock,
        stamping: Stamping,
        rate: Rate,
    ) -> Result<Report, CalibrationError> {
        let broadcaster = start(stamping).map_err(CalibrationError::Broadcaster)?;
        let Broadcaster { address, process } = broadcaster.as_ref();
        let target = Target::parse(&format!("http://{address}/"), None, &Trust::Nobody)?;
        let events = (self.rate.get() * self.duration.as_secs_f64())
            .ceil()
            .max(1.0) as u64;
        let events = match rate {
            Rate::Unlimited => events * AT_CEILING,
            Rate::PerSecond(_) | Rate::Poisson(_) => events,
        };
        let plan = Plan {
            subscribers: self.subscribers,
            events,
            publication: Publication {
                rate,
                size: self.size,
                ..Publication::to(target.clone())
            },
            server: process.map(Process::of),
            // The broadcaster accepts one after another behind the 128 that the standard library's listener queues.
            dialling: Dialling {
                at_once: AT_ONCE,
                ..Dialling::default()
            },
            ..Plan::new(target)
        };
        Ok(run_on(clock, &plan, std::future::pending(), |_| {}).await?)
    }
}

impl Points {
    fn of(report: &Report) -> Self {
        let seconds = |quantile| match report.latency_at(quantile) {
            Quantile::At(latency) => Some(latency.as_secs_f64()),
            Quantile::Lost | Quantile::Unmeasured => None,
        };
        Self {
            p50: seconds(0.5),
            p99: seconds(0.99),
        }
    }
}

impl Calibrated {
    /// The error as a share of the latency that is reported, at the median and at the 99th percentile.
    #[must_use]
    pub fn relative_error(&self) -> (Option<f64>, Option<f64>) {
        let ratio = |error: Option<f64>, latency: Option<f64>| {
            Some(error? / latency.filter(|&latency| latency > 0.0)?)
        };
        (
            ratio(self.error.p50, self.latency.p50),
            ratio(self.error.p99, self.latency.p99),
        )
    }

    /// A header line and a line of values. The keys are those of the JSON, joined by dots.
    #[must_use]
    pub fn to_csv(&self) -> String {
        csv(&[serde_json::to_value(self).expect("numbers are always JSON")])
    }

    /// One JSON object, pretty-printed, without a line break at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers are always JSON")
    }
}

impl fmt::Display for Calibrated {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |seconds: Option<f64>| {
            seconds.map_or_else(
                || "lost".to_owned(),
                |seconds| format!("{:.3} ms", seconds * 1e3),
            )
        };
        let share = |share: Option<f64>| {
            share.map_or_else(
                || "not known".to_owned(),
                |share| format!("{:.1}%", share * 100.0),
            )
        };
        let (middle, most) = self.relative_error();
        writeln!(
            out,
            "The generator against a broadcaster that only writes, {} subscribers by HTTP/1.1",
            self.subscribers
        )?;
        writeln!(
            out,
            "  asked               {:.0} deliveries per second",
            self.asked
        )?;
        writeln!(
            out,
            "  delivered           {:.0} per second",
            self.deliveries_per_second
        )?;
        writeln!(
            out,
            "  complete            {}",
            if self.complete { "yes" } else { "no" }
        )?;
        writeln!(
            out,
            "  latency reported    p50 {}, p99 {}",
            time(self.latency.p50),
            time(self.latency.p99)
        )?;
        writeln!(
            out,
            "  own error           p50 {}, p99 {}",
            time(self.error.p50),
            time(self.error.p99)
        )?;
        writeln!(
            out,
            "  ... of the latency  p50 {}, p99 {}",
            share(middle),
            share(most)
        )?;
        writeln!(
            out,
            "  own CPU             {:.2} us per delivery",
            self.own_cpu_per_delivery * 1e6
        )?;
        writeln!(
            out,
            "  broadcaster's CPU   {:.2} us per delivery",
            self.broadcaster_cpu_per_delivery * 1e6
        )?;
        // What bounds the error: who is read last of a fan-out has waited for all others to be read.
        let fan_out = |each: f64| each * self.subscribers as f64 * 1e3;
        writeln!(
            out,
            "  CPU of a fan-out    {:.1} ms own, {:.1} ms the broadcaster's",
            fan_out(self.own_cpu_per_delivery),
            fan_out(self.broadcaster_cpu_per_delivery)
        )?;
        writeln!(
            out,
            "  ceiling             {:.0} deliveries per second, {:.2} us of own CPU each",
            self.ceiling,
            self.ceiling_cpu_per_delivery * 1e6
        )
    }
}
