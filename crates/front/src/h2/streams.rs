//! The streams of a connection, and the line of those that have something to do.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use h2::{Reason, RecvStream, server::SendResponse};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use slab::Slab;
use tokio::task::unconstrained;

use super::{
    gather::Gather,
    outbox::{Outbox, Piece},
    ready::{Ready, Woken},
    stream::{Stream, Visit},
    window::{Credit, Overflow},
};
use crate::{
    application::{Application, RequestBody},
    connection::{Session, catch},
    date,
};

/// After so many visits the engine has a look at what came.
const ROUND_VISITS: usize = 128;

/// All streams of a connection.
pub(super) struct Streams<A: Application> {
    session: Rc<Session<A>>,
    ready: Arc<Ready>,
    streams: Slab<Stream<A>>,
    /// By its identifier on the wire: a stream's key.
    keys: HashMap<u32, u32>,
    line: VecDeque<u32>,
    outbox: Outbox,
}

impl<A: Application> Streams<A> {
    pub(super) fn new(session: Rc<Session<A>>, ready: Arc<Ready>, io: Gather) -> Self {
        Self {
            session,
            ready,
            // A browser's tab has one stream at a time; room for four would be 1.2 KiB.
            streams: Slab::with_capacity(1),
            keys: HashMap::new(),
            line: VecDeque::new(),
            outbox: Outbox::new(io),
        }
    }

    /// Has a request answered; its stream is ready at once.
    pub(super) fn open(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Piece>) {
        if request.method() == Method::CONNECT {
            // There is nowhere to connect to (RFC 9110, section 9.3.6).
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
            response.headers_mut().insert(header::DATE, date::now());
            let _ = respond.send_response(response, true);
            return;
        }
        let is_head = request.method() == Method::HEAD;
        let length = content_length(&request);
        let request = request.map(|body| RequestBody::http2(body, length));
        match catch(|| self.session.answer(request)) {
            Ok(answer) => {
                let entry = self.streams.vacant_entry();
                let key = key_of(entry.key());
                let waker = self.ready.stream(key);
                let stream = entry.insert(Stream::new(waker, answer, respond, is_head));
                self.keys.insert(stream.id(), key);
            }
            Err(_) => respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }

    /// Lines up who was woken.
    pub(super) fn take_woken(&mut self) -> Woken {
        self.ready.take(&mut self.line)
    }

    /// Takes note of more room, and lines up who waited for it. An overflow is the whole connection's.
    ///
    /// What the peer grants to a stream that is over already is of no use to anybody.
    pub(super) fn grant(&mut self, credit: Credit) -> Result<(), Overflow> {
        let windows = &mut self.outbox.windows;
        match credit {
            Credit::Connection(bytes) => windows.widen(bytes)?,
            Credit::Stream { id, bytes } => {
                let Some(&key) = self.keys.get(&id) else {
                    return Ok(());
                };
                let stream = &mut self.streams[key as usize];
                if windows.widen_stream(&mut stream.balance, bytes).is_err() {
                    stream.fail(Reason::FLOW_CONTROL_ERROR);
                    self.remove(key);
                } else if stream.has_room() {
                    self.line.push_back(key);
                }
            }
            Credit::Initial(bytes) => {
                windows.begin_with(bytes);
                for (key, stream) in &mut self.streams {
                    if !windows.holds(stream.balance) {
                        return Err(Overflow);
                    }
                    if stream.has_room() {
                        self.line.push_back(key_of(key));
                    }
                }
            }
        }
        Ok(())
    }

    /// Lines up whose head the engine has written by now: all of those that it was given.
    pub(super) fn heads_are_out(&mut self) {
        self.outbox.take_back();
        for key in self.outbox.headless.drain(..) {
            if let Some(stream) = self.streams.get_mut(key as usize) {
                stream.head_is_out();
                self.line.push_back(key);
            }
        }
    }

    /// Whether somebody waits until the engine has written its head.
    pub(super) fn has_headless(&self) -> bool {
        !self.outbox.headless.is_empty()
    }

    /// Lines up who was held back.
    pub(super) fn release(&mut self) {
        for (key, stream) in &mut self.streams {
            if stream.release() {
                self.line.push_back(key_of(key));
            }
        }
    }

    /// Whether somebody is still in the line.
    pub(super) fn is_waiting(&self) -> bool {
        !self.line.is_empty() || self.outbox.windows.is_open() && !self.outbox.waiting.is_empty()
    }

    /// Visits the streams in the line, each once, until it is empty, the gathering buffer is full, or the round is over.
    /// Returns how many small frames they have written. Bodies can be held back.
    pub(super) fn visit(&mut self, hold: bool) -> u32 {
        self.outbox.small = 0;
        // tokio's budget is for a task, and this one serves many streams: after 128 receives, say, the rest would
        // seem to have nothing. The round is bounded by itself.
        let round = pin!(unconstrained(poll_fn(|_| {
            for _ in 0..ROUND_VISITS {
                if self.outbox.is_full() {
                    break;
                }
                let Some(key) = self.next() else {
                    break;
                };
                self.visit_one(key, hold);
            }
            Poll::Ready(())
        })));
        let _ = round.poll(&mut Context::from_waker(Waker::noop()));
        self.outbox.small
    }

    /// Who waited for the connection's window, as long as that is open; then the line.
    fn next(&mut self) -> Option<u32> {
        if self.outbox.windows.is_open()
            && let Some(key) = self.outbox.waiting.pop_front()
        {
            if let Some(stream) = self.streams.get_mut(key as usize) {
                stream.is_called();
            }
            return Some(key);
        }
        self.line.pop_front()
    }

    fn visit_one(&mut self, key: u32, hold: bool) {
        let Some(stream) = self.streams.get_mut(key as usize) else {
            // It was woken, and then it ended.
            return;
        };
        if hold && stream.hold() {
            return;
        }
        match catch(|| stream.visit(key, &mut self.outbox)) {
            Ok(Visit::Waits) => return,
            Ok(Visit::Again) => return self.line.push_back(key),
            Ok(Visit::Over) => {}
            Err(_) => stream.fail(Reason::INTERNAL_ERROR),
        }
        self.remove(key);
    }

    fn remove(&mut self, key: u32) {
        let stream = self.streams.remove(key as usize);
        self.keys.remove(&stream.id());
        let _ = catch(|| drop(stream));
    }
}

/// A connection has fewer streams than HTTP/2 has identifiers (2^31).
fn key_of(index: usize) -> u32 {
    index as u32
}

fn content_length(request: &Request<RecvStream>) -> Option<u64> {
    let length: &HeaderValue = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}
