//! A connection in turns: whatever its streams have to say by then leaves in one write.

use std::{
    io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use h2::Reason;

use super::{
    Engine,
    gather::Gather,
    ping::Pings,
    ready::{Ready, Rest},
    streams::Streams,
    window::{Credit, Overflow},
};
use crate::{application::Application, connection::Session, limits::Limits};

/// After so many rounds a turn ends although there is more to do, for the sake of the core's other connections: when
/// the gathering buffer was filled a dozen times, or some thousand streams were visited.
const ROUNDS: usize = 64;

/// An open connection with all of its streams.
pub(super) struct Driver<A: Application> {
    engine: Engine,
    engine_waker: Waker,
    io: Gather,
    ready: Arc<Ready>,
    streams: Streams<A>,
    pings: Pings,
    timer_waker: Waker,
    /// Empty between rounds.
    credits: Vec<Credit>,
}

/// How a connection ended.
pub(super) enum End {
    /// By the protocol.
    Closed(Result<(), h2::Error>),
    /// The socket failed.
    Broken(io::Error),
    /// A ping was not answered.
    PingTimeout,
}

impl<A: Application> Driver<A> {
    /// Takes the engine's box too, to be rid of it: who moves out of a box in an `async fn` keeps it until the end of
    /// the scope, which would be that of the connection (1.3 KiB).
    pub(super) fn new(
        engine: Box<Engine>,
        io: Gather,
        session: &Rc<Session<A>>,
        limits: &Limits,
    ) -> Box<Self> {
        let mut engine = *engine;
        let ready = Ready::new();
        let pings = engine.ping_pong().expect("taken for the first time");
        Box::new(Self {
            engine,
            engine_waker: ready.engine(),
            streams: Streams::new(Rc::clone(session), Arc::clone(&ready), io.clone()),
            io,
            pings: Pings::new(pings, limits),
            timer_waker: ready.timer(),
            ready,
            credits: Vec::new(),
        })
    }

    /// Sends the peer away, and ends when its streams have (RFC 9113, section 6.8).
    pub(super) fn drain(&mut self) {
        self.engine.graceful_shutdown();
        // Nobody else wakes the engine for it.
        self.engine_waker.wake_by_ref();
    }

    /// One turn.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        match self.turn(context) {
            Ok(()) => Poll::Pending,
            Err(end) => {
                // With the engine's last words.
                let _ = self.io.drain(context);
                Poll::Ready(end)
            }
        }
    }

    fn turn(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        self.ready.begin(context.waker());
        if self.io.is_blocked() {
            self.drain_io(context)?;
        }
        for _ in 0..ROUNDS {
            self.round()?;
            if self.io.is_full() {
                self.drain_io(context)?;
            }
            let rest = self.rest();
            let goes_on = self.streams.is_waiting() && rest == Rest::Idle;
            if goes_on || !self.ready.is_quiet(rest) {
                continue;
            }
            self.drain_io(context)?;
            if self.ready.end(self.rest()) {
                return Ok(());
            }
        }
        self.drain_io(context)?;
        context.waker().wake_by_ref();
        Ok(())
    }

    /// Writes what was gathered; the socket wakes the task when it takes the rest.
    fn drain_io(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        let was_blocked = self.io.is_blocked();
        match self.io.drain(context) {
            // The engine may have stopped for want of room.
            Poll::Ready(Ok(())) if was_blocked => self.engine_waker.wake_by_ref(),
            Poll::Ready(Err(error)) => return Err(End::Broken(error)),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        Ok(())
    }

    fn round(&mut self) -> Result<(), End> {
        let woken = self.streams.take_woken();
        if woken.timer {
            let timer = &mut Context::from_waker(&self.timer_waker);
            if self.pings.poll_timer(timer).is_err() {
                self.engine.abrupt_shutdown(Reason::NO_ERROR);
                let _ = self.poll_engine();
                return Err(End::PingTimeout);
            }
        }
        if woken.engine {
            if let Poll::Ready(result) = self.poll_engine() {
                return Err(End::Closed(result));
            }
            self.take_credits()?;
            if !self.io.is_blocked() {
                self.streams.heads_are_out();
            }
        }
        // Behind a socket that takes no more, bodies wait: what they have then leaves in larger frames. When it takes
        // more again, the engine goes on first, for it may be in the middle of something.
        if !self.io.is_blocked() {
            let small = self.streams.visit(self.pings.hold());
            self.pings.count(small);
            if self.streams.has_headless() {
                self.engine_waker.wake_by_ref();
            }
        }
        Ok(())
    }

    /// Hands out what room the peer has granted.
    fn take_credits(&mut self) -> Result<(), End> {
        self.io.take_credits(&mut self.credits);
        let mut credits = self.credits.drain(..);
        if let Err(Overflow) = credits.try_for_each(|credit| self.streams.grant(credit)) {
            drop(credits);
            let reason = Reason::FLOW_CONTROL_ERROR;
            self.engine.abrupt_shutdown(reason);
            let _ = self.poll_engine();
            return Err(End::Closed(Err(reason.into())));
        }
        Ok(())
    }

    /// Has the engine read what came, and write what is queued to the gathering buffer.
    fn poll_engine(&mut self) -> Poll<Result<(), h2::Error>> {
        let context = &mut Context::from_waker(&self.engine_waker);
        loop {
            match self.engine.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => self.streams.open(request, respond),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => break,
            }
        }
        if self.io.read_on() {
            self.engine_waker.wake_by_ref();
        }
        if self.pings.poll_answer(context) {
            self.streams.release();
        }
        Poll::Pending
    }

    fn rest(&self) -> Rest {
        if self.io.is_blocked() {
            Rest::Blocked
        } else {
            Rest::Idle
        }
    }
}

#[cfg(test)]
mod tests;
