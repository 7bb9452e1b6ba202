//! What the front end serves, and the types through which it meets the application.

mod request_body;

use std::{convert::Infallible, error::Error, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::service::Service;
pub use request_body::{RequestBody, RequestBodyError};

use crate::connection::{Connection, Ended};

/// What the front end serves. One per process, shared by all cores.
///
/// Everything is `Send + Sync` although a connection never leaves its core: the same service can then be embedded in
/// a server that moves its tasks.
pub trait Application: Send + Sync + 'static {
    /// The body of every response. `Unpin`, because an HTTP/2 connection keeps those of its streams side by side, and
    /// makes room for more by moving them; a body that cannot be moved goes into a `Pin<Box<_>>`.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

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
    /// No request of the connection is answered any more, and the bodies of its responses are gone.
    fn disconnect(&self, connection: &Connection, service: &Self::Service, end: &Ended) {
        let _ = (connection, service, end);
    }
}

/// A response extension: this response does not end soon.
///
/// An event stream, a long poll, a log that is followed. The front end counts such responses per connection
/// ([`Connection::long_lived`]), so that a drain can say what it had to cut. Set it with
/// `response.extensions_mut().insert(LongLived)`.
///
/// # Cost
///
/// On HTTP/1.1, answering a request without a body, such a response of unknown length holds no buffers while it is
/// idle: 1.1 KiB resident for the whole connection where an unmarked one holds 11.6, on TLS 8.7 (`--example idle`).
/// What crosses the wire is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LongLived;
