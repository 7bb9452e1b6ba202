//! The application's side of a connection: its service, and the account of its requests.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};
use pin_project_lite::pin_project;

use super::Connection;
use crate::application::{Application, LongLived, RequestBody};

/// A connection with the service that the application made for it.
pub(crate) struct Session<A: Application> {
    connection: Arc<Connection>,
    service: A::Service,
}

impl<A: Application> Session<A> {
    pub(crate) fn new(connection: Arc<Connection>, service: A::Service) -> Self {
        Self {
            connection,
            service,
        }
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(super) fn service(&self) -> &A::Service {
        &self.service
    }

    /// Has the application answer a request: the request is told its connection, and the response is counted until its
    /// body is gone.
    pub(crate) fn answer(&self, mut request: Request<RequestBody>) -> Answering<A> {
        let in_flight = InFlight::begin(Arc::clone(&self.connection));
        request
            .extensions_mut()
            .insert(Arc::clone(&self.connection));
        Answer {
            response: self.service.call(request),
            in_flight: Some(in_flight),
        }
    }
}

/// What becomes the application's response to a request.
pub(crate) type Answering<A> =
    Answer<<<A as Application>::Service as Service<Request<RequestBody>>>::Future>;

/// A session as the service that hyper drives.
pub(crate) struct Requests<A: Application>(Rc<Session<A>>);

impl<A: Application> Requests<A> {
    pub(crate) fn of(session: &Rc<Session<A>>) -> Self {
        Self(Rc::clone(session))
    }
}

impl<A: Application> Service<Request<Incoming>> for Requests<A> {
    type Response = Response<CountedBody<A::Body>>;
    type Error = Infallible;
    type Future = Answering<A>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.0.answer(request.map(RequestBody::from))
    }
}

pin_project! {
    /// A response in the making.
    pub(crate) struct Answer<F> {
        #[pin]
        response: F,
        in_flight: Option<InFlight>,
    }
}

impl<F, B> Future for Answer<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<CountedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.response.poll(context));
        let mut in_flight = this.in_flight.take();
        if let (Some(in_flight), Some(LongLived)) =
            (&mut in_flight, response.extensions().get::<LongLived>())
        {
            in_flight.is_long_lived();
        }
        Poll::Ready(Ok(response.map(|body| CountedBody { body, in_flight })))
    }
}

pin_project! {
    /// A response's body, counted until it is dropped.
    pub(crate) struct CountedBody<B> {
        #[pin]
        body: B,
        in_flight: Option<InFlight>,
    }
}

impl<B: Body<Data = Bytes>> Body for CountedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// One request under way, from its head to the end of its response's body.
struct InFlight {
    connection: Arc<Connection>,
    long_lived: bool,
}

impl InFlight {
    fn begin(connection: Arc<Connection>) -> Self {
        connection.requests.fetch_add(1, Relaxed);
        connection.in_flight.fetch_add(1, Relaxed);
        Self {
            connection,
            long_lived: false,
        }
    }

    fn is_long_lived(&mut self) {
        self.long_lived = true;
        self.connection.long_lived.fetch_add(1, Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.connection.in_flight.fetch_sub(1, Relaxed);
        if self.long_lived {
            self.connection.long_lived.fetch_sub(1, Relaxed);
        }
    }
}
