//! HTTP/2, by hyper over the `h2` crate, with one write per turn.

use std::{rc::Rc, task::Poll};

use hyper::{rt::Executor, server::conn::http2};
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::{
    application::Application,
    connection::{CatchPanic, EndReason, Opened, Requests, Session},
    drain::Phase,
    limits::Limits,
    shard::Shard,
    socket::Gather,
};

/// Length of the connection preface (RFC 9113, section 3.4): who has sent it speaks HTTP/2, and is pinged from then on.
const PREFACE_LENGTH: u64 = 24;

/// What a peer may send before we have read it. Requests are small, and event streams send nothing: the protocol's
/// default (RFC 9113, section 6.9.2) instead of hyper's 1 MiB per stream.
const RECEIVE_WINDOW: u32 = 65_535;

/// What one stream may hold in the engine while its peer does not read; hyper's default is 400 KiB.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves one connection to its end.
pub(crate) async fn serve<A: Application>(
    shard: &Shard<A>,
    session: &Rc<Session<A>>,
    opened: Opened,
) -> EndReason {
    let connection = session.connection();
    let mut io = Gather::new(opened.stream);
    let mut head_deadline = Some(opened.head_deadline);
    let mut phase = Phase::Serving;
    let mut engine = Box::pin(
        engine(shard.limits()).serve_connection(TokioIo::new(io.clone()), Requests::of(session)),
    );
    let ended = std::future::poll_fn(|context| {
        if shard.phase() > phase {
            phase = shard.phase();
            match phase {
                Phase::Cut => return Poll::Ready(Err(EndReason::Cut)),
                _ => engine.as_mut().graceful_shutdown(),
            }
        }
        let poll = engine.as_mut().poll(context);
        let drained = io.drain(context);
        if let Poll::Ready(result) = poll {
            return Poll::Ready(Ok(result));
        }
        if let Poll::Ready(Err(error)) = drained {
            return Poll::Ready(Err(EndReason::of_socket(&error, connection)));
        }
        if io.read() >= PREFACE_LENGTH {
            head_deadline = None;
        }
        match &mut head_deadline {
            // The GOAWAY of a drain comes after the preface.
            Some(_) if phase >= Phase::Draining => Poll::Ready(Err(EndReason::Drained)),
            Some(deadline) => deadline
                .as_mut()
                .poll(context)
                .map(|()| Err(EndReason::HeadTimeout)),
            None => Poll::Pending,
        }
    })
    .await;
    match ended {
        Ok(result) => EndReason::of(result, connection, phase),
        Err(reason) => {
            if connection.in_flight() == 0 {
                io.farewell().await;
            }
            reason
        }
    }
}

fn engine(limits: &Limits) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams);
    builder
        // Without a timer a ping interval panics.
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(limits.max_head_bytes)
        .initial_connection_window_size(RECEIVE_WINDOW)
        .initial_stream_window_size(RECEIVE_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// Runs a connection's streams as tasks on the connection's core: all of them run before the connection's own task
/// does, which is what lets their frames leave together. A panic ends one stream.
#[derive(Clone, Copy)]
struct Streams;

impl<F: Future + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(CatchPanic::new(stream));
    }
}
