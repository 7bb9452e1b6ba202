//! What the front end serves, and the types through which it meets the application.

use std::{
    convert::Infallible,
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, service::Service};

use crate::connection::{Connection, Ended};

/// What the front end serves. One per process, shared by all cores.
///
/// Everything is `Send + Sync` although a connection never leaves its core: the same service can then be embedded in
/// a server that moves its tasks.
pub trait Application: Send + Sync + 'static {
    /// The body of every response.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// Answers the requests of one connection.
    ///
    /// Each request carries its [`Arc<Connection>`](Connection) among its extensions. The service cannot fail: what
    /// goes wrong is a response, or an error of the response's body, which truncates it visibly.
    type Service: Service<
            Request<RequestBody>,
            Response = Response<Self::Body>,
            Error = Infallible,
            Future: Send + 'static,
        > + Send
        + Sync
        + 'static;

    /// Makes the service of a new connection.
    ///
    /// Called once per connection, as soon as it is accepted: before TLS, before the protocol is known.
    fn connect(&self, connection: &Arc<Connection>) -> Self::Service;

    /// Says goodbye to a connection, exactly once, whatever ended it.
    ///
    /// No request of the connection is answered any more. On HTTP/2 a response's body may be dropped a moment later.
    fn disconnect(&self, connection: &Connection, service: &Self::Service, end: &Ended) {
        let _ = (connection, service, end);
    }
}

/// A response extension: this response does not end soon.
///
/// An event stream, a long poll, a log that is followed. The front end counts such responses per connection
/// ([`Connection::long_lived`]), so that a drain can say what it had to cut. Set it with
/// `response.extensions_mut().insert(LongLived)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LongLived;

/// The body of a request as it comes off the wire.
///
/// The type is the front end's own so that the protocol engine beneath can change without a word to the application.
#[derive(Debug)]
pub struct RequestBody(Incoming);

/// The request's body broke off: the peer went away, or broke the protocol.
#[derive(Debug, thiserror::Error)]
#[error("the request body broke off")]
pub struct RequestBodyError(#[source] hyper::Error);

impl From<Incoming> for RequestBody {
    fn from(body: Incoming) -> Self {
        Self(body)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        Pin::new(&mut self.0)
            .poll_frame(context)
            .map_err(RequestBodyError)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
