//! A stream that is written without hyper: a body, a socket, and what the peer sent meanwhile.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Body;
use tokio::io::AsyncWrite;

use super::{handover::Settled, output::Output, poll_listen, read_ahead};
use crate::{
    application::Application,
    connection::{Connection, EndReason},
    drain::Phase,
    shard::Shard,
    socket::Stream,
};

/// A stream after its head, until its body ends.
pub(crate) struct Lean<B> {
    stream: Stream,
    body: Source<B>,
    output: Output,
    /// Requests that came before their time, for hyper. Mostly none: the room to grow that a `Vec` knows of is not worth
    /// its 8 bytes.
    ahead: Box<[u8]>,
}

/// Where the frames come from.
enum Source<B> {
    Flowing(Pin<Box<B>>),
    Ended,
    /// Boxed: rare, and larger than the rest.
    Failed(Box<EndReason>),
}

/// What becomes of a connection when its stream is over.
pub(super) enum LeanEnd {
    /// The next request may come.
    Next,
    /// It was the last; goodbye is said, and the peer may still be sending.
    Finished,
    /// The connection is over. A stream that was cut must look like it: no goodbye was said.
    Ended(EndReason),
}

impl<B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>> Lean<B> {
    /// Takes over a stream; `ahead` is what has been read behind its request.
    pub(super) fn new(mut stream: Stream, settled: Settled<B>, ahead: &[u8]) -> Self {
        // A stalled peer costs one record.
        stream.set_buffer_limit(TLS_BUFFER);
        Self {
            stream,
            body: Source::Flowing(settled.body),
            output: Output::new(settled.framing),
            // Copied: a slice would hold on to the whole of hyper's read buffer.
            ahead: ahead.into(),
        }
    }

    /// The socket, when the stream is over; what was read ahead is read again.
    pub(super) fn into_stream(self) -> Stream {
        self.stream.replay(&self.ahead)
    }

    /// Writes the stream, and is ready at its end.
    pub(super) fn poll<A: Application>(
        &mut self,
        context: &mut Context<'_>,
        shard: &Shard<A>,
        connection: &Connection,
    ) -> Poll<LeanEnd> {
        if shard.phase() == Phase::Cut {
            return Poll::Ready(LeanEnd::Ended(EndReason::Cut));
        }
        if let Err(reason) = self.poll_listen(context, connection, read_ahead(shard.limits())) {
            return Poll::Ready(LeanEnd::Ended(reason));
        }
        if let Err(reason) = ready!(self.poll_write(context, connection)) {
            return Poll::Ready(LeanEnd::Ended(reason));
        }
        let is_draining = shard.phase() >= Phase::Draining;
        if !is_draining && !self.output.framing().is_last() {
            return Poll::Ready(LeanEnd::Next);
        }
        // The response is through; whoever does not hear the goodbye has gone already.
        let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
        Poll::Ready(match is_draining {
            true => LeanEnd::Ended(EndReason::Drained),
            false => LeanEnd::Finished,
        })
    }

    /// Hears what the peer sends: nothing, the next requests, or that it leaves, also behind those.
    fn poll_listen(
        &mut self,
        context: &mut Context<'_>,
        connection: &Connection,
        limit: usize,
    ) -> Result<(), EndReason> {
        loop {
            let ahead = &mut self.ahead;
            match poll_listen(&mut self.stream, context, |heard| {
                *ahead = [&**ahead, heard].concat().into();
            }) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => {
                    connection.note_peer_closed();
                    return Err(EndReason::PeerClosed);
                }
                Poll::Ready(Ok(_)) if self.ahead.len() > limit => {
                    return Err(EndReason::Error(format!(
                        "the peer sent more than {limit} bytes during a stream"
                    )));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(EndReason::of_socket(&error, connection)),
            }
        }
    }

    /// Writes what the body has. Ready when all of it is written.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        connection: &Connection,
    ) -> Poll<Result<(), EndReason>> {
        let mut is_quiet = false;
        loop {
            ready!(self.output.poll_write(&mut self.stream, context))
                .map_err(|error| EndReason::of_socket(&error, connection))?;
            match &self.body {
                Source::Flowing(_) if is_quiet => return Poll::Pending,
                Source::Flowing(_) => is_quiet = self.poll_body(context).is_pending(),
                Source::Ended => return Poll::Ready(Ok(())),
                Source::Failed(reason) => return Poll::Ready(Err((**reason).clone())),
            }
        }
    }

    /// Takes over what the body has, as far as one write carries it.
    fn poll_body(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Source::Flowing(body) = &mut self.body
            && self.output.has_room()
        {
            match ready!(body.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.output.push(data),
                    // Trailers, which nobody has agreed upon: the end, as for hyper.
                    Err(frame) if frame.is_trailers() => self.end(),
                    Err(_) => {}
                },
                Some(Err(error)) => {
                    let reason = EndReason::of_body(&*error.into());
                    self.body = Source::Failed(Box::new(reason));
                }
                None => self.end(),
            }
        }
        Poll::Ready(())
    }

    fn end(&mut self) {
        self.body = Source::Ended;
        self.output.finish();
    }
}

/// What rustls may encrypt ahead of a stalled peer: a record, and its framing.
const TLS_BUFFER: usize = 17 * 1024;

#[cfg(test)]
mod tests;
