//! What a request carries: nothing, bytes that are there, or chunks that come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::mpsc;

/// The body of any request of ours.
pub(crate) type ClientBody = BoxBody<Bytes, Infallible>;

/// The end of a [`chunks`] body into which its producer writes. Dropping it ends the body in good order; writing fails
/// when the request is over.
pub(crate) type Chunks = mpsc::Sender<Bytes>;

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
    let (sender, receiver) = mpsc::channel(room);
    (sender, Chunked(receiver).boxed())
}

/// Not http-body-util's channel: that one looks for an abort after it found no frame, and so may lose the last frame
/// of a producer on another thread.
struct Chunked(mpsc::Receiver<Bytes>);

impl Body for Chunked {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(context)
            .map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}
