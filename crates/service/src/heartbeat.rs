//! What a stream does when nothing happens: a heartbeat now and then, and an end when it is too old.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rand::RngExt;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::shard;
use crate::shard::wheel::{Set, Wheel, millis};
use crate::sync::{Arc, Identity};

/// The clock of one stream. Its times are milliseconds of the [`Timer`].
///
/// Traffic does not touch the timer: when it fires, it looks at how long ago the last bytes went out
/// and is set for the rest. A timer that is reset by each event costs 0.2 µs per delivery.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    timer: Timer,
    interval: Option<NonZeroU32>,
    /// This beat's length: jittered, so that ten thousand readers do not beat together.
    beat: u32,
    /// When the last bytes went out.
    last: u64,
    /// `u64::MAX` for never.
    expires: u64,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Beat,
    Expired,
}

/// Where a stream's time comes from.
#[derive(Debug)]
enum Timer {
    /// Nowhere: it has neither heartbeat nor age.
    None,
    /// The wheel of the core on which the stream was made, wherever it is polled.
    Core {
        wheel: Arc<Wheel>,
        set: Option<(Set, Identity)>,
    },
    /// A timer of its own: made on a thread that is no shard, or too short for a wheel's ticks.
    Own(Box<Own>),
}

#[derive(Debug)]
struct Own {
    born: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What is shorter has a timer of its own: a tick more or less would be 6% of it.
const COARSE: Duration = Duration::from_secs(1);
/// The shortest interval: with none at all a stream would do nothing but beat.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest age, 30 years: what is added to a clock must not overflow it.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

impl Heartbeat {
    /// `interval` is at most 49 days, the milliseconds of a `u32`.
    pub(crate) fn new(interval: Option<Duration>, max_age: Option<Duration>) -> Self {
        let coarse = [interval, max_age].iter().flatten().all(|it| *it >= COARSE);
        let timer = match shard::wheel().filter(|_| coarse) {
            _ if interval.is_none() && max_age.is_none() => Timer::None,
            Some(wheel) => Timer::Core { wheel, set: None },
            None => Timer::own(Instant::now()),
        };
        let now = timer.now();
        let interval = interval.map(|interval| millis(interval.max(SHORTEST)));
        let mut heartbeat = Self {
            expires: max_age.map_or(u64::MAX, |age| {
                now + timer.jittered(millis(age.clamp(SHORTEST, LONGEST)))
            }),
            timer,
            interval: interval
                .and_then(|it| NonZeroU32::new(u32::try_from(it).unwrap_or(u32::MAX))),
            beat: 0,
            last: now,
        };
        heartbeat.draw();
        heartbeat
    }

    /// Bytes went out.
    pub(crate) fn traffic(&mut self) {
        self.last = self.timer.recently();
    }

    /// Whether the last bytes went out when the stream was too old already: one that always has
    /// something to send never waits for its timer.
    pub(crate) fn is_overdue(&self) -> bool {
        self.last >= self.expires
    }

    /// # Cost
    ///
    /// On a shard, one atomic load while nothing is due.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            let Some(deadline) = self.deadline() else {
                return Poll::Pending;
            };
            if self.timer.rests(cx) {
                return Poll::Pending;
            }
            let now = self.timer.now();
            if now >= self.expires {
                return Poll::Ready(Due::Expired);
            }
            if now >= deadline {
                self.last = now;
                self.draw();
                return Poll::Ready(Due::Beat);
            }
            self.timer.set(deadline, cx.waker());
        }
    }

    fn draw(&mut self) {
        let beat = self
            .interval
            .map(|interval| self.timer.jittered(interval.get().into()));
        // Not more than the interval, which is a `u32`.
        self.beat = beat.unwrap_or(0) as u32;
    }

    fn deadline(&self) -> Option<u64> {
        let beat = self.interval.map(|_| self.last + u64::from(self.beat));
        let deadline = beat.unwrap_or(u64::MAX).min(self.expires);
        (deadline < u64::MAX).then_some(deadline)
    }
}

impl Timer {
    fn own(born: Instant) -> Self {
        Self::Own(Box::new(Own { born, sleep: None }))
    }

    fn now(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Core { wheel, .. } => wheel.now(),
            Self::Own(own) => millis(own.born.elapsed()),
        }
    }

    /// The time, or a little earlier where that costs less than a look at the clock: then a heartbeat
    /// comes that little too soon.
    fn recently(&self) -> u64 {
        match self {
            // While it is set, its wheel turns.
            Self::Core {
                wheel,
                set: Some((set, _)),
            } if wheel.holds(*set) => wheel.turned(),
            timer => timer.now(),
        }
    }

    /// Whether a timer is set that will wake this task.
    fn rests(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::None => false,
            Self::Core { wheel, set } => {
                set.is_some_and(|(set, waker)| wheel.holds(set) && waker.is(cx.waker()))
            }
            Self::Own(own) => {
                let sleep = own.sleep.as_mut();
                sleep.is_some_and(|sleep| sleep.as_mut().poll(cx).is_pending())
            }
        }
    }

    fn set(&mut self, deadline: u64, waker: &Waker) {
        match self {
            Self::None => {}
            Self::Core { wheel, set } => {
                let earlier = set.map(|(set, _)| set);
                match wheel.set(deadline, waker, earlier) {
                    Some(new) => *set = Some((new, Identity::of(waker))),
                    // The core's runtime has ended, and this stream has moved on.
                    None => *self = Self::own(wheel.born()),
                }
            }
            Self::Own(own) => {
                let deadline = own.born + Duration::from_millis(deadline);
                match &mut own.sleep {
                    Some(sleep) => sleep.as_mut().reset(deadline),
                    None => own.sleep = Some(Box::pin(sleep_until(deadline))),
                }
            }
        }
    }

    /// Between three quarters of `duration` and the whole of it, less what the timer may be late.
    fn jittered(&self, duration: u64) -> u64 {
        let late = match self {
            Self::Core { .. } => Wheel::TICK,
            Self::None | Self::Own(_) => 0,
        };
        let longest = duration - late;
        // And one: times are rounded down.
        let shortest = (duration - duration / 4 + 1).min(longest);
        rand::rng().random_range(shortest..=longest)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Self::Core {
            wheel,
            set: Some((set, _)),
        } = self
        {
            wheel.cancel(*set);
        }
    }
}

#[cfg(test)]
mod tests;
