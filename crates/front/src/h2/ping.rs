//! Pings: whether the peer is still there, and whether it keeps up with small frames.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use h2::PingPong;
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::Limits;

/// So many small frames after the last one that the peer has surely received, it is asked whether it keeps up.
///
/// Clients built on `h2` (hyper, reqwest) count DATA frames under 256 bytes that were not read, and end the connection
/// with ENHANCE_YOUR_CALM: at hyper's default windows after 10,700 of 11 bytes. A peer that keeps up answers long
/// before the next limit, and is asked once in so many frames.
const ASK: u32 = 2048;

/// So many small frames after, bodies are held back until it answers; what they have then leaves in larger frames.
const HOLD: u32 = 4096;

/// A connection's pings.
pub(super) struct Pings {
    pings: PingPong,
    timer: Pin<Box<Sleep>>,
    interval: Duration,
    timeout: Duration,
    /// How many of `small` frames were sent before the ping that is under way, if one is.
    asked: Option<u32>,
    /// Small frames sent since the last one that the peer has surely received.
    small: u32,
}

/// The peer has not answered a ping in time.
pub(super) struct TimedOut;

impl Pings {
    pub(super) fn new(pings: PingPong, limits: &Limits) -> Self {
        Self {
            pings,
            timer: Box::pin(sleep(limits.ping_interval)),
            interval: limits.ping_interval,
            timeout: limits.ping_timeout,
            asked: None,
            small: 0,
        }
    }

    /// Takes note of small frames. Whoever calls it polls the engine next, which sends the ping.
    pub(super) fn count(&mut self, small: u32) {
        self.small = self.small.saturating_add(small);
        if self.small >= ASK && self.asked.is_none() {
            self.ask();
        }
    }

    /// Whether bodies should be held back.
    pub(super) fn hold(&self) -> bool {
        self.small >= HOLD
    }

    /// To be called when the timer has woken its waker, which the context must hold.
    pub(super) fn poll_timer(&mut self, context: &mut Context<'_>) -> Result<(), TimedOut> {
        while self.timer.as_mut().poll(context).is_ready() {
            if self.asked.is_some() {
                return Err(TimedOut);
            }
            self.ask();
        }
        Ok(())
    }

    /// Looks for an answer; true when one came and bodies need no longer be held back.
    pub(super) fn poll_answer(&mut self, context: &mut Context<'_>) -> bool {
        let Some(asked) = self.asked else {
            return false;
        };
        if !matches!(self.pings.poll_pong(context), Poll::Ready(Ok(_))) {
            return false;
        }
        let held = self.hold();
        self.small -= asked;
        self.asked = None;
        self.set_timer(self.interval);
        held && !self.hold()
    }

    fn ask(&mut self) {
        // Fails when the connection is at its end.
        let _ = self.pings.send_ping(h2::Ping::opaque());
        self.asked = Some(self.small);
        self.set_timer(self.timeout);
    }

    fn set_timer(&mut self, time: Duration) {
        self.timer.as_mut().reset(Instant::now() + time);
    }
}
