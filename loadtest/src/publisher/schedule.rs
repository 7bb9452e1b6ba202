//! When each event is due, and the lines that they are written as.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use thiserror::Error;
use tokio::time::{Instant, Sleep};

use super::Publication;
use crate::latency::Latency;
use crate::stamp::{Clock, RunId, Stamp};

/// Bytes of lines that leave together when the publisher is late or unhurried by a rate: one TLS record.
const BATCH: usize = 16 << 10;

/// How fast events are published.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rate {
    /// As fast as the server takes them. An event is due when it is written.
    #[default]
    Unlimited,
    /// So many a second, evenly spaced.
    PerSecond(EventsPerSecond),
}

/// A rate above zero.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct EventsPerSecond(f64);

/// A number is not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{0} is not a rate: it must be between 0.001 and 10,000,000 events per second")]
pub struct NotARate(f64);

/// The events of a run, in the order and at the times at which they are due.
pub(super) struct Schedule {
    run: RunId,
    clock: Clock,
    rate: Rate,
    size: usize,
    events: u64,
    next: u64,
    /// When the first event is due, on the run's clock.
    start: Duration,
    lag: Arc<Mutex<Latency>>,
}

/// The schedule as the body of one request.
pub(super) struct Lines {
    schedule: Schedule,
    timer: Pin<Box<Sleep>>,
}

impl EventsPerSecond {
    /// # Errors
    /// [`NotARate`] outside 0.001 to 10,000,000.
    pub fn new(rate: f64) -> Result<Self, NotARate> {
        if (0.001..=10e6).contains(&rate) {
            Ok(Self(rate))
        } else {
            Err(NotARate(rate))
        }
    }

    /// Events per second.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Schedule {
    /// The first event is due now. How late events are written is entered in `lag`.
    pub(super) fn start(
        publication: &Publication,
        events: u64,
        (run, clock): (RunId, Clock),
        lag: Arc<Mutex<Latency>>,
    ) -> Self {
        Self {
            run,
            clock,
            rate: publication.rate,
            size: publication.size,
            events,
            next: 0,
            start: clock.now(),
            lag,
        }
    }

    /// The rest of the schedule as a body of `application/x-ndjson`.
    pub(super) fn into_lines(self) -> Lines {
        Lines {
            schedule: self,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.next == self.events
    }

    /// When the next event is due on the run's clock; at the latest now when there is no rate.
    fn due(&self) -> Option<Duration> {
        match self.rate {
            Rate::Unlimited => None,
            Rate::PerSecond(EventsPerSecond(rate)) => {
                Some(self.start + Duration::from_secs_f64(self.next as f64 / rate))
            }
        }
    }

    pub(super) fn next_due(&self) -> Instant {
        self.due()
            .map_or_else(Instant::now, |due| self.clock.instant(due))
    }

    /// Appends the next event as a line of JSON.
    pub(super) fn write_next(&mut self, out: &mut Vec<u8>) {
        let now = self.clock.now();
        let due = self.due().unwrap_or(now);
        self.lag
            .lock()
            .expect("recording does not panic")
            .record(now.saturating_sub(due));
        out.extend_from_slice(b"{\"data\":\"");
        Stamp {
            run: self.run,
            sequence: self.next,
            due,
        }
        .write(self.size, out);
        out.extend_from_slice(b"\"}\n");
        self.next += 1;
    }
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.schedule.is_over() {
            return Poll::Ready(None);
        }
        let due = this.schedule.next_due();
        if due > Instant::now() {
            this.timer.as_mut().reset(due);
            if this.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        let mut lines = Vec::with_capacity(BATCH);
        loop {
            this.schedule.write_next(&mut lines);
            let more = !this.schedule.is_over() && this.schedule.next_due() <= Instant::now();
            if !more || lines.len() >= BATCH {
                break;
            }
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(lines)))))
    }

    fn is_end_stream(&self) -> bool {
        self.schedule.is_over()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::target::{Target, Trust};

    fn lines(rate: Rate, events: u64) -> Lines {
        let target = Target::parse("http://localhost/", None, &Trust::Nobody).unwrap();
        let publication = Publication {
            rate,
            ..Publication::to(target)
        };
        let run = (RunId::random(), Clock::start());
        Schedule::start(
            &publication,
            events,
            run,
            Arc::new(Mutex::new(Latency::new())),
        )
        .into_lines()
    }

    fn stamps(body: &[u8]) -> Vec<Stamp> {
        let line =
            |line| serde_json::from_slice::<serde_json::Value>(line).expect("every line is JSON");
        let stamp = |json: serde_json::Value| Stamp::parse(json["data"].as_str().unwrap()).unwrap();
        body.split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|each| stamp(line(each)))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn every_event_is_one_line_in_order() {
        let body = lines(Rate::Unlimited, 1_000)
            .collect()
            .await
            .unwrap()
            .to_bytes();
        let sequences: Vec<_> = stamps(&body).iter().map(|stamp| stamp.sequence).collect();
        assert_eq!(sequences, (0..1_000).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_to_the_end() {
        let rate = Rate::PerSecond(EventsPerSecond::new(50.0).unwrap());
        let started = Instant::now();
        lines(rate, 101).collect().await.unwrap();
        let took = started.elapsed();
        assert!((2_000..2_010).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_publisher_catches_up_and_keeps_the_intended_times() {
        let rate = Rate::PerSecond(EventsPerSecond::new(100.0).unwrap());
        let mut body = lines(rate, 100);
        let start = body.schedule.start;
        tokio::time::advance(Duration::from_millis(505)).await;
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let late = stamps(&frame);
        assert_eq!(late.len(), 51);
        assert_eq!(late[50].due - start, Duration::from_millis(500));
        assert_eq!(late[0].due, start);
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e8] {
            assert!(EventsPerSecond::new(rate).is_err(), "{rate}");
        }
    }
}
