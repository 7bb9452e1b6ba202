//! The streams of a connection, and the line of those that have something to do.

use std::{
    collections::VecDeque,
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
    outbox::{Outbox, Piece},
    ready::{Ready, Woken},
    stream::{Stream, Visit},
};
use crate::{
    application::{Application, RequestBody},
    connection::{Session, catch},
    date,
};

/// How many bytes streams hand over before the engine writes them to the gathering buffer: most of what that holds.
const ROUND_BYTES: usize = 48 * 1024;

/// How many streams are visited before: the engine's queue never shrinks, and has 300 bytes for each frame that was
/// ever in it at once. A few at a time also stay in the processor's cache from one step to the next.
const ROUND_VISITS: usize = 32;

/// All streams of a connection.
pub(super) struct Streams<A: Application> {
    session: Rc<Session<A>>,
    ready: Arc<Ready>,
    streams: Slab<Stream<A>>,
    line: VecDeque<u32>,
    outbox: Outbox,
}

impl<A: Application> Streams<A> {
    pub(super) fn new(session: Rc<Session<A>>, ready: Arc<Ready>) -> Self {
        Self {
            session,
            ready,
            streams: Slab::new(),
            line: VecDeque::new(),
            outbox: Outbox::default(),
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
                let waker = self.ready.stream(key_of(entry.key()));
                entry.insert(Stream::new(waker, answer, respond, is_head));
            }
            Err(_) => respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }

    /// Lines up who was woken.
    pub(super) fn take_woken(&mut self) -> Woken {
        self.ready.take(&mut self.line)
    }

    /// Lines up whose piece is out and who has more.
    pub(super) fn take_receipts(&mut self) {
        let (streams, line) = (&mut self.streams, &mut self.line);
        self.outbox.receipts(|key| {
            if let Some(stream) = streams.get_mut(key as usize) {
                stream.piece_is_out();
                if stream.is_due() {
                    line.push_back(key);
                }
            }
        });
    }

    /// Lines up who was held back.
    pub(super) fn release(&mut self) {
        for (key, stream) in &mut self.streams {
            if stream.is_due() {
                self.line.push_back(key_of(key));
            }
        }
    }

    /// Whether somebody is still in the line.
    pub(super) fn is_waiting(&self) -> bool {
        !self.line.is_empty()
    }

    /// Visits the streams in the line, each once, until it is empty or they have handed over enough for one round.
    /// Returns how many small frames they have handed over. Bodies can be held back.
    pub(super) fn visit(&mut self, hold: bool) -> u32 {
        (self.outbox.bytes, self.outbox.small) = (0, 0);
        // tokio's budget is for a task, and this one serves many streams: after 128 receives, say, the rest would
        // seem to have nothing. The round is bounded by itself.
        let round = pin!(unconstrained(poll_fn(|_| {
            for _ in 0..ROUND_VISITS {
                if self.outbox.bytes < ROUND_BYTES
                    && let Some(key) = self.line.pop_front()
                {
                    self.visit_one(key, hold);
                }
            }
            Poll::Ready(())
        })));
        let _ = round.poll(&mut Context::from_waker(Waker::noop()));
        self.outbox.small
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
            Err(_) => stream.fail(),
        }
        let stream = self.streams.remove(key as usize);
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
