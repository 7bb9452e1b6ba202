//! When each event is due, and the lines that they are written as.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use thiserror::Error;
use tokio::time::{Instant, Sleep};

use super::Publication;
use crate::latency::Latency;
use crate::stamp::{Clock, RunId, Stamp};

/// Bytes of lines that leave together when the publisher is late or unhurried by a rate: one TLS record.
const BATCH: usize = 16 << 10;

/// How often a waiting publisher looks whether it has been stopped.
const GLANCE: Duration = Duration::from_millis(50);

/// How fast events are published.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rate {
    /// As fast as the server takes them. An event is due when it is written.
    #[default]
    Unlimited,
    /// So many a second, evenly spaced.
    PerSecond(EventsPerSecond),
    /// So many a second on average, at random times that know nothing of each other (a Poisson process): bursts and
    /// pauses as independent users make them.
    Poisson(EventsPerSecond),
}

/// A rate above zero.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct EventsPerSecond(f64);

/// A number is not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{0} is not a rate: it must be between 0.001 and 10,000,000 events per second")]
pub struct NotARate(f64);

/// How far the publisher is, for those who watch it or stop it.
#[derive(Debug, Default)]
pub(crate) struct Course {
    sent: AtomicU64,
    stopped: AtomicBool,
    lag: Mutex<Latency>,
}

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
    /// When nothing is due any more.
    end: Option<Duration>,
    /// When the next event is due, in a Poisson process.
    drawn: Duration,
    random: StdRng,
    course: Arc<Course>,
}

/// The schedule as the body of one request.
pub(super) struct Lines {
    schedule: Schedule,
    timer: Pin<Box<Sleep>>,
}

impl Course {
    /// Events written so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Nothing further is due.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// How long after they were due the events were written.
    pub(super) fn lag(&self) -> Latency {
        self.lag.lock().expect("recording does not panic").clone()
    }
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
    /// The first event is due now.
    pub(super) fn start(
        publication: &Publication,
        events: u64,
        (run, clock): (RunId, Clock),
        (seed, course): (u64, Arc<Course>),
    ) -> Self {
        let start = clock.now();
        Self {
            run,
            clock,
            rate: publication.rate,
            size: publication.size,
            events,
            next: 0,
            start,
            end: publication.duration.map(|duration| start + duration),
            drawn: start,
            random: StdRng::seed_from_u64(seed),
            course,
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
            || self.course.stopped.load(Ordering::Acquire)
            || self.end.is_some_and(|end| self.next_due() >= end)
    }

    /// Waits until the next event is due; `false` when there is none.
    pub(super) async fn due(&self) -> bool {
        loop {
            let due = self.clock.instant(self.next_due());
            if self.is_over() {
                return false;
            }
            let now = Instant::now();
            if due <= now {
                return true;
            }
            tokio::time::sleep_until(due.min(now + GLANCE)).await;
        }
    }

    /// When the next event is due on the run's clock: now, when there is no rate.
    fn next_due(&self) -> Duration {
        match self.rate {
            Rate::Unlimited => self.clock.now(),
            Rate::PerSecond(EventsPerSecond(rate)) => {
                self.start + Duration::from_secs_f64(self.next as f64 / rate)
            }
            Rate::Poisson(_) => self.drawn,
        }
    }

    /// Appends the next event's stamp: the inside of a JSON string as it stands.
    pub(super) fn write_next(&mut self, out: &mut Vec<u8>) {
        let due = self.next_due();
        self.course
            .lag
            .lock()
            .expect("recording does not panic")
            .record(self.clock.now().saturating_sub(due));
        Stamp {
            run: self.run,
            sequence: self.next,
            due,
        }
        .write(self.size, out);
        self.next += 1;
        self.course.sent.store(self.next, Ordering::Release);
        if let Rate::Poisson(EventsPerSecond(rate)) = self.rate {
            // The gaps of a Poisson process are exponential; 1 - x keeps the logarithm finite.
            let gap = -(1.0 - self.random.random::<f64>()).ln() / rate;
            self.drawn += Duration::from_secs_f64(gap);
        }
    }

    fn write_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"data\":\"");
        self.write_next(out);
        out.extend_from_slice(b"\"}\n");
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
        loop {
            if this.schedule.is_over() {
                return Poll::Ready(None);
            }
            let (due, now) = (
                this.schedule.clock.instant(this.schedule.next_due()),
                Instant::now(),
            );
            if due <= now {
                break;
            }
            this.timer.as_mut().reset(due.min(now + GLANCE));
            if this.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        let mut lines = Vec::with_capacity(BATCH);
        loop {
            this.schedule.write_line(&mut lines);
            let due = this.schedule.next_due() <= this.schedule.clock.now();
            if !due || lines.len() >= BATCH || this.schedule.is_over() {
                break;
            }
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(lines)))))
    }

    /// Never told beforehand: whether something is due depends on the time.
    fn is_end_stream(&self) -> bool {
        false
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
        Schedule::start(&publication, events, run, (1, Arc::default())).into_lines()
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

    #[tokio::test(start_paused = true)]
    async fn a_poisson_process_keeps_its_rate_and_nothing_else() {
        let rate = Rate::Poisson(EventsPerSecond::new(100.0).unwrap());
        let body = lines(rate, 10_000).collect().await.unwrap().to_bytes();
        let due: Vec<_> = stamps(&body).iter().map(|stamp| stamp.due).collect();
        let gaps: Vec<f64> = due
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_secs_f64())
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        // An exponential distribution: 10 ms on average within five standard errors, and 1 in e gaps above it.
        assert!((0.0095..0.0105).contains(&mean), "{mean}");
        let above = gaps.iter().filter(|&&gap| gap > mean).count() as f64 / gaps.len() as f64;
        assert!((0.34..0.40).contains(&above), "{above}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_duration_ends_the_schedule() {
        let target = Target::parse("http://localhost/", None, &Trust::Nobody).unwrap();
        let publication = Publication {
            rate: Rate::PerSecond(EventsPerSecond::new(100.0).unwrap()),
            duration: Some(Duration::from_secs(2)),
            ..Publication::to(target)
        };
        let run = (RunId::random(), Clock::start());
        let course = Arc::<Course>::default();
        let lines = Schedule::start(&publication, u64::MAX, run, (1, Arc::clone(&course)));
        let body = lines.into_lines().collect().await.unwrap().to_bytes();
        assert_eq!((stamps(&body).len(), course.sent()), (200, 200));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_publisher_ends_its_body() {
        let rate = Rate::PerSecond(EventsPerSecond::new(0.001).unwrap());
        let lines = lines(rate, 10);
        let course = Arc::clone(&lines.schedule.course);
        let (body, ()) = tokio::join!(lines.collect(), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            course.stop();
        });
        assert_eq!(stamps(&body.unwrap().to_bytes()).len(), 1);
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e8] {
            assert!(EventsPerSecond::new(rate).is_err(), "{rate}");
        }
    }
}
