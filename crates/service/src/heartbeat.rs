//! What a stream does when nothing happens: a heartbeat now and then, and an end when it is too old.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rand::RngExt;
use tokio::time::{Instant, Sleep, sleep_until};

/// The clock of one stream.
///
/// Traffic does not touch the timer: when it fires, it looks at how long ago the last bytes went out
/// and sleeps for the rest. A timer that is reset by each event costs 0.2 µs per delivery.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    interval: Option<Duration>,
    /// This beat's length: jittered, so that ten thousand readers do not beat together.
    beat: Duration,
    last: Instant,
    expires: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The shortest interval: with none at all a stream would do nothing but beat.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest interval or age, 30 years: what is added to a clock must not overflow it.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Beat,
    Expired,
}

impl Heartbeat {
    pub(crate) fn new(interval: Option<Duration>, max_age: Option<Duration>) -> Self {
        let now = Instant::now();
        let interval = interval.map(|interval| interval.clamp(SHORTEST, LONGEST));
        Self {
            interval,
            beat: interval.map_or(Duration::ZERO, jittered),
            last: now,
            expires: max_age.map(|age| now + jittered(age.min(LONGEST))),
            timer: None,
        }
    }

    /// Bytes went out.
    pub(crate) fn traffic(&mut self) {
        self.last = Instant::now();
    }

    /// Whether the last bytes went out when the stream was too old already: one that always has
    /// something to send never waits for its timer.
    pub(crate) fn is_overdue(&self) -> bool {
        self.expires.is_some_and(|expires| self.last >= expires)
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            let Some(deadline) = self.deadline() else {
                return Poll::Pending;
            };
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            std::task::ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if self.expires.is_some_and(|expires| now >= expires) {
                return Poll::Ready(Due::Expired);
            }
            if now >= deadline {
                self.last = now;
                self.beat = self.interval.map_or(Duration::ZERO, jittered);
                return Poll::Ready(Due::Beat);
            }
            timer.as_mut().reset(deadline);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let beat = self.interval.map(|_| self.last + self.beat);
        match (beat, self.expires) {
            (Some(beat), Some(expires)) => Some(beat.min(expires)),
            (beat, expires) => beat.or(expires),
        }
    }
}

/// Between three quarters of `duration` and the whole of it.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.75..=1.0))
}

#[cfg(test)]
mod tests;
