//! What a request carries: nothing, bytes that are there, or chunks that come.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};

/// The body of any request of ours.
pub(crate) type ClientBody = BoxBody<Bytes, Infallible>;

/// The end of a [`chunks`] body into which its producer writes. Dropping it ends the body in good order.
pub(crate) type Chunks = Sender<Bytes>;

/// No body.
pub(crate) fn empty() -> ClientBody {
    Empty::new().boxed()
}

/// A body whose bytes are all there.
pub(crate) fn full(bytes: impl Into<Bytes>) -> ClientBody {
    Full::new(bytes.into()).boxed()
}

/// A body of chunks that come one by one; its producer waits while `room` of them wait to be sent.
///
/// # Panics
///
/// When `room` is 0.
pub(crate) fn chunks(room: usize) -> (Chunks, ClientBody) {
    let (sender, body) = Channel::new(room);
    (sender, body.boxed())
}
