//! One stream of a connection: the application answers, then the response's body is sent.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, Response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::{
    head,
    outbox::{Outbox, Piece},
    window::{Balance, Full},
};
use crate::{
    application::Application,
    connection::{Answering, CountedBody},
};

/// A stream whose request has come.
pub(super) struct Stream<A: Application> {
    waker: Waker,
    id: u32,
    /// What its window is beyond what all begin with.
    pub(super) balance: Balance,
    stage: Stage<A>,
}

/// What a visit leaves behind.
pub(super) enum Visit {
    /// The stream waits to be woken, or for room, or for its head to be written.
    Waits,
    /// There may be more to do at once.
    Again,
    /// The stream is over.
    Over,
}

/// Boxed before it sends: a stream that sends does not carry along how large it was when it was answered. Streams that
/// send lie side by side, so that the processor fetches the next one while it visits the one before.
enum Stage<A: Application> {
    Responding(Pin<Box<Responding<Answering<A>>>>),
    Sending(Sending<CountedBody<A::Body>>),
}

impl<A: Application> Stream<A> {
    pub(super) fn new(
        waker: Waker,
        answer: Answering<A>,
        respond: SendResponse<Piece>,
        is_head: bool,
    ) -> Self {
        Self {
            waker,
            id: respond.stream_id().as_u32(),
            balance: Balance::default(),
            stage: Stage::Responding(Box::pin(Responding {
                answer,
                respond,
                is_head,
            })),
        }
    }

    /// Does what there is to do. Panics when the application does.
    pub(super) fn visit(&mut self, key: u32, outbox: &mut Outbox) -> Visit {
        let context = &mut Context::from_waker(&self.waker);
        if let Stage::Responding(responding) = &mut self.stage {
            match responding.as_mut().poll(context) {
                Poll::Ready(Some(sending)) => self.stage = Stage::Sending(sending),
                Poll::Ready(None) => return Visit::Over,
                Poll::Pending => return Visit::Waits,
            }
        }
        match &mut self.stage {
            Stage::Sending(sending) => {
                let place = Place { key, id: self.id };
                sending.visit(context, place, &mut self.balance, outbox)
            }
            Stage::Responding(_) => unreachable!("it has just become sending"),
        }
    }

    /// Its identifier on the wire.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Puts a visit off until [`release`](Self::release); false when the stream has no body to hold back.
    pub(super) fn hold(&mut self) -> bool {
        match &mut self.stage {
            Stage::Responding(_) => false,
            Stage::Sending(sending) => {
                sending.held = true;
                true
            }
        }
    }

    /// Whether a visit was put off.
    pub(super) fn release(&mut self) -> bool {
        match &mut self.stage {
            Stage::Responding(_) => false,
            Stage::Sending(sending) => std::mem::take(&mut sending.held),
        }
    }

    /// Takes note that the stream's own window is wider; true when it waited for that.
    pub(super) fn has_room(&mut self) -> bool {
        match &mut self.stage {
            Stage::Responding(_) => false,
            Stage::Sending(sending) => std::mem::take(&mut sending.full),
        }
    }

    /// Takes note that the stream does not wait for the connection's window any more.
    pub(super) fn is_called(&mut self) {
        if let Stage::Sending(sending) = &mut self.stage {
            sending.queues = false;
        }
    }

    /// Takes note that the engine has written the stream's head.
    pub(super) fn head_is_out(&mut self) {
        if let Stage::Sending(sending) = &mut self.stage {
            sending.head = Head::Out;
        }
    }

    /// Ends the stream visibly.
    pub(super) fn fail(&mut self, reason: Reason) {
        match &mut self.stage {
            Stage::Responding(responding) => {
                let respond = responding.as_mut().project().respond;
                respond.send_reset(reason);
            }
            Stage::Sending(sending) => {
                sending.send.send_reset(reason);
            }
        }
    }
}

pin_project! {
    /// The application answers.
    struct Responding<F> {
        #[pin]
        answer: F,
        respond: SendResponse<Piece>,
        is_head: bool,
    }
}

impl<F, B> Responding<F>
where
    F: Future<Output = Result<Response<B>, std::convert::Infallible>>,
    B: Body,
{
    /// The body to send, or nothing when the stream is over.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Sending<B>>> {
        let this = self.project();
        let Poll::Ready(Ok(response)) = this.answer.poll(context) else {
            // Nobody waits for the answer any more when the peer has reset the stream.
            return this.respond.poll_reset(context).map(|_| None);
        };
        let (head, body) = head::prepare(response, *this.is_head);
        match this.respond.send_response(head, body.is_none()) {
            Ok(mut send) => {
                // From now on a reset wakes the stream. That is asked for again only when it was woken for nothing.
                if send.poll_reset(context).is_ready() {
                    return Poll::Ready(None);
                }
                Poll::Ready(body.map(|body| Sending {
                    body,
                    send,
                    rest: None,
                    heard: 0,
                    head: Head::Given,
                    full: false,
                    queues: false,
                    held: false,
                }))
            }
            Err(error) => {
                tracing::debug!(%error, "a response could not be sent");
                this.respond.send_reset(Reason::INTERNAL_ERROR);
                Poll::Ready(None)
            }
        }
    }
}

/// The response's body is sent.
struct Sending<B> {
    body: B,
    send: SendStream<Piece>,
    rest: Option<Box<Rest>>,
    /// What the engine had heard when it was last asked whether the stream was reset.
    heard: u32,
    head: Head,
    /// Whether it waits for room in its own window.
    full: bool,
    /// Whether it queues for room in the connection's.
    queues: bool,
    /// Whether a visit was put off.
    held: bool,
}

/// Where a response's head is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    /// With the engine.
    Given,
    /// With the engine, and the outbox knows that the stream waits for it.
    Awaited,
    /// Written.
    Out,
}

/// Which stream it is: here and on the wire.
#[derive(Clone, Copy)]
struct Place {
    key: u32,
    id: u32,
}

/// What the body has given that could not be handed over at once.
struct Rest {
    data: Bytes,
    after: After,
}

/// What follows a body's data.
enum After {
    /// Perhaps more, of which the body tells.
    Waiting,
    /// Perhaps more: the body was not asked to the end.
    More,
    End,
    Trailers(Box<HeaderMap>),
    Failure,
}

impl<B> Sending<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    fn visit(
        &mut self,
        context: &mut Context<'_>,
        place: Place,
        balance: &mut Balance,
        outbox: &mut Outbox,
    ) -> Visit {
        if self.heard != outbox.heard() {
            self.heard = outbox.heard();
            if self.send.poll_reset(context).is_ready() {
                return Visit::Over;
            }
        }
        if self.head == Head::Awaited {
            return Visit::Waits;
        }
        // A body that could not be sent is not asked: what it has when there is room leaves in larger frames.
        let room = match outbox.room(*balance) {
            Ok(room) => room,
            Err(full) => {
                match full {
                    Full::Stream => self.full = true,
                    Full::Connection if self.queues => {}
                    Full::Connection => {
                        self.queues = true;
                        outbox.waiting.push_back(place.key);
                    }
                }
                return reset_or_wait(&mut self.send, context);
            }
        };
        let (mut data, after) = match self.rest.take() {
            Some(rest) => (rest.data, rest.after),
            None => gather(&mut self.body, context),
        };
        if matches!(after, After::End)
            && let Some(last) = outbox.last_piece(balance, &mut data)
        {
            // An error here says that the stream is over already.
            let _ = self.send.send_data(last, true);
            return Visit::Over;
        }
        let sends = !data.is_empty();
        if sends && self.head == Head::Given {
            self.head = Head::Awaited;
            outbox.headless.push(place.key);
            self.rest = Some(Box::new(Rest { data, after }));
            return Visit::Waits;
        }
        if sends {
            let length = data.len().min(room);
            outbox.write(place.id, balance, &data[..length]);
            if length < data.len() {
                data.advance(length);
                self.rest = Some(Box::new(Rest { data, after }));
                return Visit::Again;
            }
        }
        match after {
            After::Waiting if sends => return Visit::Waits,
            After::Waiting => return reset_or_wait(&mut self.send, context),
            After::More => return Visit::Again,
            After::End => {
                let end = outbox.last_piece(balance, &mut Bytes::new());
                let _ = end.map(|end| self.send.send_data(end, true));
            }
            After::Trailers(trailers) => {
                if let Err(error) = self.send.send_trailers(*trailers) {
                    tracing::debug!(%error, "trailers could not be sent");
                    self.send.send_reset(Reason::INTERNAL_ERROR);
                }
            }
            After::Failure => self.send.send_reset(Reason::INTERNAL_ERROR),
        }
        Visit::Over
    }
}

fn reset_or_wait(send: &mut SendStream<Piece>, context: &mut Context<'_>) -> Visit {
    match send.poll_reset(context) {
        Poll::Ready(_) => Visit::Over,
        Poll::Pending => Visit::Waits,
    }
}

/// Up to this length, pieces that a body gives one after the other leave as one frame: peers built on `h2` give a
/// connection up that sends too many small ones.
const JOINED: usize = 1024;

/// How often a body is asked in a row: one that gives nothing must not hold up the others.
const QUESTIONS: usize = 64;

/// What the body has now, and what follows.
fn gather<B>(body: &mut B, context: &mut Context<'_>) -> (Bytes, After)
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    let mut first = Bytes::new();
    // Not `BytesMut`: an empty one is not free to make and drop.
    let mut joined = Vec::new();
    let mut after = After::More;
    for _ in 0..QUESTIONS {
        after = match Pin::new(&mut *body).poll_frame(context) {
            Poll::Pending => After::Waiting,
            Poll::Ready(None) => After::End,
            Poll::Ready(Some(Err(error))) => {
                let error = error.into();
                tracing::debug!(%error, "a response's body failed");
                After::Failure
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    if first.is_empty() {
                        first = data;
                    } else {
                        if joined.is_empty() {
                            joined.reserve(JOINED.max(first.len() + data.len()));
                            joined.extend_from_slice(&first);
                        }
                        joined.extend_from_slice(&data);
                    }
                    if body.is_end_stream() {
                        After::End
                    } else {
                        After::More
                    }
                }
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => After::Trailers(Box::new(trailers)),
                    Err(_) => After::More,
                },
            },
        };
        if !matches!(after, After::More) || first.len().max(joined.len()) >= JOINED {
            break;
        }
    }
    if !joined.is_empty() {
        first = joined.into();
    }
    (first, after)
}
