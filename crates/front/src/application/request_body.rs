//! The body of a request, whichever protocol brings it.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// The body of a request as it comes off the wire.
///
/// Its peer may send as much as a window holds before it is read (64 KiB), and is told of room as it is read: a body
/// that nobody reads is not received.
#[derive(Debug)]
pub struct RequestBody(Source);

/// The request's body broke off: the peer went away, or broke the protocol.
#[derive(Debug, thiserror::Error)]
#[error("the request body broke off")]
pub struct RequestBodyError(#[source] Box<dyn Error + Send + Sync>);

#[derive(Debug)]
enum Source {
    Http1(Incoming),
    Http2 {
        stream: RecvStream,
        /// What `Content-Length` has promised and is still to come; `h2` holds the peer to it.
        remaining: Option<u64>,
    },
}

impl RequestBody {
    pub(crate) fn http2(stream: RecvStream, content_length: Option<u64>) -> Self {
        Self(Source::Http2 {
            stream,
            remaining: content_length,
        })
    }
}

impl From<Incoming> for RequestBody {
    fn from(body: Incoming) -> Self {
        Self(Source::Http1(body))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        match &mut self.0 {
            Source::Http1(body) => Pin::new(body)
                .poll_frame(context)
                .map_err(|error| RequestBodyError(error.into())),
            Source::Http2 { stream, remaining } => poll_stream(stream, remaining, context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Http1(body) => body.is_end_stream(),
            Source::Http2 { stream, .. } => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Http1(body) => body.size_hint(),
            Source::Http2 { stream, .. } if stream.is_end_stream() => SizeHint::with_exact(0),
            Source::Http2 { remaining, .. } => {
                remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
        }
    }
}

fn poll_stream(
    stream: &mut RecvStream,
    remaining: &mut Option<u64>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
    let frame = match ready!(stream.poll_data(context)) {
        Some(Ok(data)) => {
            // Fails only for more than was received.
            let _ = stream.flow_control().release_capacity(data.len());
            if let Some(remaining) = remaining {
                *remaining = remaining.saturating_sub(data.len() as u64);
            }
            Some(Ok(Frame::data(data)))
        }
        Some(Err(error)) => Some(Err(error)),
        None => ready!(stream.poll_trailers(context))
            .map(|trailers| trailers.map(Frame::trailers))
            .transpose(),
    };
    Poll::Ready(match frame {
        // The peer needs no more of its request to be read (RFC 9113, section 8.1): an end, not a failure.
        Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => None,
        frame => frame.map(|frame| frame.map_err(|error| RequestBodyError(error.into()))),
    })
}
