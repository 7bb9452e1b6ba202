//! The timers of one core's streams: coarse, and driven by a single timer of tokio's.
//!
//! A stream waits for a heartbeat that traffic puts off, so nearly no timer fires for what it was set
//! for. Such timers should cost nothing but their place: 32 bytes, put in and taken out in a few steps
//! whatever their number. In return they fire up to one [`Wheel::TICK`] late.
//!
//! ```text
//!             tick                    a deadline: the slot of the tick at or after it
//!              v                        v
//!  ┌───┬───┬───┬───┬───┬───┬───┬───┬───┬───┬───┐
//!  │   │   │   │ · │   │ ··│ · │   │   │ · │   │   256 slots, one round: 16 s
//!  └───┴───┴───┴───┴───┴───┴───┴───┴───┴───┴───┘
//! ```
//!
//! What is due later than a round wakes early, looks at the clock, and is set again.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

/// Timers of streams of one core. Its times are milliseconds since it was made.
#[derive(Debug)]
pub(crate) struct Wheel {
    born: Instant,
    /// When it last turned, or `u64::MAX` when it never will again.
    turned: AtomicU64,
    slots: Mutex<Slots>,
}

#[derive(Debug)]
struct Slots {
    timers: Slab<Timer>,
    /// The first timer of each slot.
    heads: Box<[u32]>,
    /// Everything up to and with this tick has fired.
    tick: u32,
    /// Of the task that turns it, while there is nothing to turn it for.
    idle: Option<Waker>,
    stopped: bool,
}

/// A waker in the list of its slot.
#[derive(Debug)]
struct Timer {
    waker: Waker,
    /// The neighbours in the list.
    before: u32,
    after: u32,
}

/// No timer.
const NONE: u32 = u32::MAX;

/// A timer that was set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Set {
    /// The tick at which it fires.
    tick: u32,
    key: u32,
}

impl Wheel {
    /// The most by which a timer is late, in milliseconds.
    ///
    /// 64: a core wakes sixteen times a second for it at most, and ten seconds less 64 ms are still
    /// ten seconds to every proxy.
    pub(crate) const TICK: u64 = 64;
    const SLOTS: u32 = 256;
    /// Up to here, a wheel without timers keeps the room it has for them.
    const ROOM: usize = 64;

    pub(crate) fn new() -> Self {
        Self {
            born: Instant::now(),
            turned: AtomicU64::new(0),
            slots: Mutex::new(Slots {
                timers: Slab::new(),
                heads: vec![NONE; Self::SLOTS as usize].into(),
                tick: 0,
                idle: None,
                stopped: false,
            }),
        }
    }

    pub(crate) fn born(&self) -> Instant {
        self.born
    }

    /// The time, to the millisecond.
    pub(crate) fn now(&self) -> u64 {
        millis(self.born.elapsed())
    }

    /// The time when it last turned: at most a tick ago while a timer is set and the core keeps up.
    ///
    /// # Cost
    ///
    /// One atomic load, where the clock itself takes 25 ns.
    pub(crate) fn turned(&self) -> u64 {
        self.turned.load(Ordering::Acquire)
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.turned() == u64::MAX
    }

    /// Whether the timer has not fired yet: then a wake-up is yet to come.
    ///
    /// # Cost
    ///
    /// One atomic load.
    pub(crate) fn holds(&self, set: Set) -> bool {
        self.turned() < u64::from(set.tick) * Self::TICK
    }

    /// Sets a timer, or an earlier one anew: it wakes `waker` at `deadline` or within a tick of it; or
    /// earlier, when that is far off. None once the wheel has stopped.
    pub(crate) fn set(&self, deadline: u64, waker: &Waker, earlier: Option<Set>) -> Option<Set> {
        let waker = waker.clone();
        let mut slots = self.slots.lock();
        if slots.stopped {
            return None;
        }
        let old = earlier.and_then(|earlier| slots.remove(earlier));
        let mut driver = None;
        if slots.timers.is_empty() {
            // It has stood still, so the time of its last turn is old.
            let now = self.now();
            slots.tick = slots.tick.max(ticks(now));
            self.turned.store(now, Ordering::Release);
            driver = slots.idle.take();
        }
        let (soonest, latest) = (slots.tick + 1, slots.tick + Self::SLOTS - 1);
        let tick = ticks(deadline.saturating_add(Self::TICK - 1)).clamp(soonest, latest);
        let key = slots.insert(tick, waker);
        drop(slots);
        drop(old);
        if let Some(driver) = driver {
            driver.wake();
        }
        Some(Set { tick, key })
    }

    /// Takes a timer out, if it has not fired yet; its waker keeps a whole task in memory.
    pub(crate) fn cancel(&self, set: Set) {
        let mut slots = self.slots.lock();
        let waker = slots.remove(set);
        if slots.timers.is_empty() && slots.timers.capacity() > Self::ROOM {
            // A crowd has left: the room it took goes with it.
            slots.timers = Slab::new();
        }
        drop(slots);
        drop(waker);
    }

    /// Takes out the timers that are due.
    fn turn(&self, due: &mut Vec<Waker>) {
        let mut slots = self.slots.lock();
        let now = self.now();
        let (from, to) = (slots.tick, ticks(now).max(slots.tick));
        for tick in (from + 1..=to).take(Self::SLOTS as usize) {
            slots.take(tick, due);
        }
        slots.tick = to;
        self.turned.store(now, Ordering::Release);
    }
}

impl Slots {
    fn insert(&mut self, tick: u32, waker: Waker) -> u32 {
        let head = (tick % Wheel::SLOTS) as usize;
        let after = self.heads[head];
        let key = self.timers.insert(Timer {
            waker,
            before: NONE,
            after,
        });
        let key = u32::try_from(key).expect("fewer than 2^32 streams have a place in memory");
        if after != NONE {
            self.timers[after as usize].before = key;
        }
        self.heads[head] = key;
        key
    }

    fn remove(&mut self, set: Set) -> Option<Waker> {
        if set.tick <= self.tick || self.stopped {
            return None;
        }
        let timer = self.timers.remove(set.key as usize);
        match timer.before {
            NONE => self.heads[(set.tick % Wheel::SLOTS) as usize] = timer.after,
            before => self.timers[before as usize].after = timer.after,
        }
        if timer.after != NONE {
            self.timers[timer.after as usize].before = timer.before;
        }
        Some(timer.waker)
    }

    /// Takes all timers of one tick.
    fn take(&mut self, tick: u32, due: &mut Vec<Waker>) {
        let head = &mut self.heads[(tick % Wheel::SLOTS) as usize];
        let mut next = mem::replace(head, NONE);
        while next != NONE {
            let timer = self.timers.remove(next as usize);
            next = timer.after;
            due.push(timer.waker);
        }
    }
}

/// The part of a core's task that turns its wheel.
#[derive(Debug)]
pub(crate) struct Turning {
    wheel: Arc<Wheel>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Empty between polls; it keeps its room, so that a turn allocates nothing in steady state.
    due: Vec<Waker>,
}

impl Turning {
    pub(crate) fn of(wheel: Arc<Wheel>) -> Self {
        Self {
            wheel,
            sleep: None,
            due: Vec::new(),
        }
    }

    /// Wakes who is due, and has the task woken for the next tick if anybody waits for it.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        while let Some(next) = self.next(cx.waker()) {
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(sleep_until(next)));
            if sleep.deadline() != next {
                sleep.as_mut().reset(next);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return;
            }
            self.wheel.turn(&mut self.due);
            // Outside the lock: a waker may run its task right here.
            self.due.drain(..).for_each(Waker::wake);
        }
    }

    /// The time of the next tick; none while no timer is set, and then `waker` is told of the first.
    fn next(&self, waker: &Waker) -> Option<Instant> {
        let mut slots = self.wheel.slots.lock();
        if slots.timers.is_empty() {
            slots
                .idle
                .get_or_insert_with(|| waker.clone())
                .clone_from(waker);
            return None;
        }
        let next = u64::from(slots.tick + 1) * Wheel::TICK;
        Some(self.wheel.born + Duration::from_millis(next))
    }
}

impl Drop for Turning {
    fn drop(&mut self) {
        let mut slots = self.wheel.slots.lock();
        slots.stopped = true;
        slots.idle = None;
        let timers = mem::take(&mut slots.timers);
        self.wheel.turned.store(u64::MAX, Ordering::Release);
        drop(slots);
        // They set a timer of their own.
        for (_, timer) in timers {
            timer.waker.wake();
        }
    }
}

/// Whole ticks: a `u32` of them are 8.7 years.
fn ticks(millis: u64) -> u32 {
    u32::try_from(millis / Wheel::TICK).unwrap_or(u32::MAX - 2 * Wheel::SLOTS)
}

/// The milliseconds of `duration`.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
