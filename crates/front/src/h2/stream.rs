//! One stream of a connection: the application answers, then the response's body is sent.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, Response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::{
    head,
    outbox::{MAX_PIECE, Outbox, Piece},
};
use crate::{
    application::Application,
    connection::{Answering, CountedBody},
};

/// A stream whose request has come.
pub(super) struct Stream<A: Application> {
    waker: Waker,
    stage: Stage<A>,
}

/// What a visit leaves behind.
pub(super) enum Visit {
    /// The stream waits to be woken, or for its piece to be out.
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
            Stage::Sending(sending) => sending.visit(context, key, outbox),
            Stage::Responding(_) => unreachable!("it has just become sending"),
        }
    }

    /// Puts a visit off until [`is_due`](Self::is_due) is asked; false when the stream has no body to hold back.
    pub(super) fn hold(&mut self) -> bool {
        match &mut self.stage {
            Stage::Responding(_) => false,
            Stage::Sending(sending) => {
                sending.again = true;
                true
            }
        }
    }

    /// Takes note that the stream's piece is out.
    pub(super) fn piece_is_out(&mut self) {
        if let Stage::Sending(sending) = &mut self.stage {
            sending.piece_under_way = false;
        }
    }

    /// Whether a visit was put off whose time has come.
    pub(super) fn is_due(&mut self) -> bool {
        match &mut self.stage {
            Stage::Responding(_) => false,
            Stage::Sending(sending) => {
                !sending.piece_under_way && std::mem::take(&mut sending.again)
            }
        }
    }

    /// Ends the stream visibly.
    pub(super) fn fail(&mut self) {
        match &mut self.stage {
            Stage::Responding(responding) => {
                let respond = responding.as_mut().project().respond;
                respond.send_reset(Reason::INTERNAL_ERROR);
            }
            Stage::Sending(sending) => {
                sending.send.send_reset(Reason::INTERNAL_ERROR);
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
                    piece_under_way: false,
                    again: false,
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
    piece_under_way: bool,
    /// Whether to visit the stream when its piece is out.
    again: bool,
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
    fn visit(&mut self, context: &mut Context<'_>, key: u32, outbox: &mut Outbox) -> Visit {
        if self.piece_under_way {
            self.again = true;
            return reset_or_wait(&mut self.send, context);
        }
        let (mut data, after) = match self.rest.take() {
            Some(rest) => (rest.data, rest.after),
            None => gather(&mut self.body, context),
        };
        // Not split when it is whole: that would count its owners up and down again.
        let piece = if data.len() <= MAX_PIECE {
            std::mem::take(&mut data)
        } else {
            data.split_to(MAX_PIECE)
        };
        let whole = data.is_empty();
        if whole && matches!(after, After::End) {
            // An error here says that the stream is over already.
            let _ = self.send.send_data(outbox.last_piece(piece), true);
            return Visit::Over;
        }
        let sends = !piece.is_empty();
        if sends {
            if self
                .send
                .send_data(outbox.piece(key, piece), false)
                .is_err()
            {
                return Visit::Over;
            }
            self.piece_under_way = true;
        }
        match after {
            After::Waiting if whole && sends => return Visit::Waits,
            After::Waiting if whole => return reset_or_wait(&mut self.send, context),
            After::Trailers(trailers) if whole => {
                if let Err(error) = self.send.send_trailers(*trailers) {
                    tracing::debug!(%error, "trailers could not be sent");
                    self.send.send_reset(Reason::INTERNAL_ERROR);
                }
                return Visit::Over;
            }
            // Only when the data before it is out: a reset overtakes what is queued.
            After::Failure if whole && !sends => {
                self.send.send_reset(Reason::INTERNAL_ERROR);
                return Visit::Over;
            }
            After::More if whole => {}
            after => self.rest = Some(Box::new(Rest { data, after })),
        }
        self.again = sends;
        if sends { Visit::Waits } else { Visit::Again }
    }
}

fn reset_or_wait(send: &mut SendStream<Piece>, context: &mut Context<'_>) -> Visit {
    match send.poll_reset(context) {
        Poll::Ready(_) => Visit::Over,
        Poll::Pending => Visit::Waits,
    }
}

/// Up to this length, pieces that a body gives one after the other leave as one frame: peers built on `h2` give a
/// connection up that sends too many small ones, and each takes the engine 2,200 instructions.
const JOINED: usize = 1024;

/// How often a body is asked in a row: one that gives nothing must not hold up the others.
const QUESTIONS: usize = 64;

/// What the body has now, and what follows.
fn gather<B>(body: &mut B, context: &mut Context<'_>) -> (Bytes, After)
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
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
        first = joined.freeze();
    }
    (first, after)
}
