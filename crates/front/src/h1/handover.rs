//! How a stream passes from hyper to the lean writer: the types hyper serves with, and the place where they meet.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING, UPGRADE},
};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::output::Framing;
use crate::{
    application::{Application, LongLived},
    connection::{CountedBody, Requests, Session},
    socket::Stream,
};

/// Where a stream's body lies while hyper begins to send it, so that it can be taken away.
pub(super) struct Handover<B> {
    body: RefCell<Option<Pin<Box<CountedBody<B>>>>>,
    framing: Cell<Framing>,
    /// The body had nothing when it was asked last.
    is_quiet: Cell<bool>,
    /// The socket took no more when it was asked last.
    is_blocked: Cell<bool>,
}

/// A stream whose head is sent, and whose body has nothing to say.
pub(super) struct Settled<B> {
    pub(super) body: Pin<Box<B>>,
    pub(super) framing: Framing,
}

impl<B> Default for Handover<B> {
    fn default() -> Self {
        Self {
            body: RefCell::default(),
            framing: Cell::default(),
            is_quiet: Cell::new(false),
            is_blocked: Cell::new(false),
        }
    }
}

impl<B> Handover<B> {
    /// The stream, if it can be taken over: hyper holds nothing back of it.
    ///
    /// Ask after hyper was polled. It writes what it has before it is done, unless the socket takes no more, and asks a
    /// body for more until that has nothing.
    pub(super) fn take_settled(&self) -> Option<Settled<CountedBody<B>>> {
        if !self.is_quiet.get() || self.is_blocked.get() {
            return None;
        }
        let body = self.body.take()?;
        let framing = self.framing.get();
        Some(Settled { body, framing })
    }

    fn lend(self: &Rc<Self>, body: CountedBody<B>, framing: Framing) -> SentBody<B> {
        self.body.replace(Some(Box::pin(body)));
        self.framing.set(framing);
        self.is_quiet.set(false);
        let handover = Rc::clone(self);
        SentBody::Lent {
            lent: Lent(handover),
        }
    }
}

/// The service hyper serves with: the connection's, that lends the bodies of streams which can be taken over.
pub(super) struct Answers<A: Application> {
    requests: Requests<A>,
    handover: Rc<Handover<A::Body>>,
}

impl<A: Application> Answers<A> {
    pub(super) fn of(session: &Rc<Session<A>>, handover: &Rc<Handover<A::Body>>) -> Self {
        Self {
            requests: Requests::of(session),
            handover: Rc::clone(handover),
        }
    }
}

impl<A: Application> Service<Request<Incoming>> for Answers<A> {
    type Response = Response<SentBody<A::Body>>;
    type Error = Infallible;
    type Future = Answer<<Requests<A> as Service<Request<Incoming>>>::Future, A::Body>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Answer {
            framing: framing_asked_for(&request),
            response: self.requests.call(request),
            handover: Rc::clone(&self.handover),
        }
    }
}

pin_project! {
    /// A response in the making.
    pub(super) struct Answer<F, B> {
        #[pin]
        response: F,
        framing: Option<Framing>,
        handover: Rc<Handover<B>>,
    }
}

impl<F, B> Future for Answer<F, B>
where
    F: Future<Output = Result<Response<CountedBody<B>>, Infallible>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<SentBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.response.poll(context));
        let framing = this.framing.take().filter(|_| is_plain_stream(&response));
        let (head, body) = response.into_parts();
        let body = match framing {
            Some(framing) => {
                let framing = framing.and_last_if(asks_to_close(&head.headers));
                this.handover.lend(body, framing)
            }
            None => SentBody::Own { body },
        };
        Poll::Ready(Ok(Response::from_parts(head, body)))
    }
}

/// How hyper will frame a stream that answers this request; none when the stream should stay hyper's.
fn framing_asked_for(request: &Request<Incoming>) -> Option<Framing> {
    let may_have_body = !matches!(*request.method(), Method::HEAD | Method::CONNECT);
    if !may_have_body || !request.body().is_end_stream() || request.headers().contains_key(UPGRADE)
    {
        return None;
    }
    match request.version() {
        Version::HTTP_10 => Some(Framing::UntilClose),
        Version::HTTP_11 => Some(Framing::Chunked {
            last: asks_to_close(request.headers()),
        }),
        _ => None,
    }
}

/// Whether a response is one that hyper frames as its request asks for, without an end in sight.
fn is_plain_stream<B: Body>(response: &Response<CountedBody<B>>) -> bool
where
    CountedBody<B>: Body,
{
    let headers = response.headers();
    response.extensions().get::<LongLived>().is_some()
        && response.status().is_success()
        && response.status() != StatusCode::NO_CONTENT
        && response.version() == Version::HTTP_11
        && response.body().size_hint().exact().is_none()
        && !response.body().is_end_stream()
        && ![CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER]
            .iter()
            .any(|name| headers.contains_key(name))
}

/// Whether a head says that it is the connection's last (RFC 9112, section 9.6).
fn asks_to_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("close"))
}

pin_project! {
    /// A response's body as hyper sees it.
    #[project = SentBodyProjection]
    pub(super) enum SentBody<B> {
        /// It stays hyper's to the end.
        Own {
            #[pin]
            body: CountedBody<B>,
        },
        /// It may be taken away.
        Lent { lent: Lent<B> },
    }
}

/// hyper's hold on a lent body. When hyper is through with it, or gives it up, it is gone.
pub(super) struct Lent<B>(Rc<Handover<B>>);

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        // Beyond the borrow: dropping it runs the application's code.
        let body = self.0.body.take();
        drop(body);
    }
}

impl<B: Body<Data = Bytes>> Body for SentBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project() {
            SentBodyProjection::Own { body } => body.poll_frame(context),
            SentBodyProjection::Lent { lent } => match &mut *lent.0.body.borrow_mut() {
                Some(body) => {
                    let poll = body.as_mut().poll_frame(context);
                    lent.0.is_quiet.set(poll.is_pending());
                    poll
                }
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { body } => body.is_end_stream(),
            Self::Lent { lent } => {
                let body = lent.0.body.borrow();
                body.as_ref().is_some_and(Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { body } => body.size_hint(),
            Self::Lent { lent } => {
                let body = lent.0.body.borrow();
                body.as_ref()
                    .map_or_else(SizeHint::default, Body::size_hint)
            }
        }
    }
}

/// A stream under hyper that notes whether it takes all that hyper has to write.
pub(super) struct Watched<B> {
    stream: Stream,
    handover: Rc<Handover<B>>,
}

impl<B> Watched<B> {
    pub(super) fn new(stream: Stream, handover: &Rc<Handover<B>>) -> Self {
        Self {
            stream,
            handover: Rc::clone(handover),
        }
    }

    pub(super) fn into_inner(self) -> Stream {
        self.stream
    }

    fn watch<T>(&self, poll: Poll<T>) -> Poll<T> {
        self.handover.is_blocked.set(poll.is_pending());
        poll
    }
}

impl<B> AsyncRead for Watched<B> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<B> AsyncWrite for Watched<B> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
