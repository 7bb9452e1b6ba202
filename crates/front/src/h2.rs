//! HTTP/2: one task per connection, and one write per turn. The `h2` crate does the protocol; DATA is framed here.
//!
//! For 100-byte events on 10 connections of 100 streams, and a body that does nothing, hyper takes 3,270 instructions
//! per delivery. The shortest program on the `h2` crate, one task per connection that calls `send_data` for each of its
//! streams, takes 1,660: its queues are made for frames that wait. Here [a frame is written](outbox) where it will leave
//! from, and a delivery takes 520. The engine sees nothing of it, so it has no part in [flow control](window) either.

mod driver;
mod gather;
mod head;
mod outbox;
mod ping;
mod ready;
mod stream;
mod streams;
mod tap;
mod window;

use std::{future::poll_fn, pin::Pin, rc::Rc, task::Poll};

use tokio::time::Sleep;

use self::{
    driver::{Driver, End},
    gather::Gather,
    outbox::{MAX_PIECE, Piece},
};
use crate::{
    application::Application,
    connection::{Connection, EndReason, Opened, Session},
    drain::Phase,
    limits::Limits,
    shard::Shard,
};

/// What a peer may send before we have read it. Requests are small, and event streams send nothing: the protocol's
/// default (RFC 9113, section 6.9.2) instead of hyper's 1 MiB per stream.
const RECEIVE_WINDOW: u32 = 65_535;

/// How many streams a peer may reset before they were even looked at (RFC 9113, section 10.5), as hyper has it.
const EARLY_RESETS: usize = 20;

/// How many streams we may have to reset for the peer's mistakes, as hyper has it.
const LOCAL_RESETS: usize = 1024;

type Engine = h2::server::Connection<Gather, Piece>;

/// Serves one connection to its end.
pub(crate) async fn serve<A: Application>(
    shard: &Shard<A>,
    session: &Rc<Session<A>>,
    opened: Opened,
) -> EndReason {
    let connection = session.connection();
    let mut io = Gather::new(opened.stream);
    // Each in a box of its own: what it took to open the connection is not carried along (3.0 KiB together, now 1.7).
    let opening = Box::pin(open(shard, connection, &io, opened.head_deadline));
    let ended = match opening.await {
        Ok(engine) => {
            let driver = Driver::new(engine, io.clone(), session, shard.limits());
            drive(shard, connection, driver).await
        }
        Err(reason) => Err(reason),
    };
    match ended {
        // Here the engine has said goodbye itself.
        Ok(reason) => reason,
        Err(reason) => {
            // A response that is cut short looks like it even so: its last frame does not end the stream.
            io.farewell().await;
            reason
        }
    }
}

/// Waits for the peer's preface (RFC 9113, section 3.4).
async fn open<A: Application>(
    shard: &Shard<A>,
    connection: &Connection,
    io: &Gather,
    mut deadline: Pin<Box<Sleep>>,
) -> Result<Box<Engine>, EndReason> {
    let mut handshake = engine(shard.limits()).handshake(io.clone());
    poll_fn(|context| {
        match shard.phase() {
            Phase::Serving => {}
            // The GOAWAY of a drain comes after the preface.
            Phase::Draining => return Poll::Ready(Err(EndReason::Drained)),
            Phase::Cut => return Poll::Ready(Err(EndReason::Cut)),
        }
        let poll = Pin::new(&mut handshake).poll(context);
        if let Poll::Ready(Err(error)) = io.drain(context) {
            return Poll::Ready(Err(EndReason::of_socket(&error, connection)));
        }
        match poll {
            Poll::Ready(result) => Poll::Ready(
                result
                    .map(Box::new)
                    .map_err(|error| EndReason::of_http2(Err(error), connection, shard.phase())),
            ),
            Poll::Pending => deadline
                .as_mut()
                .poll(context)
                .map(|()| Err(EndReason::HeadTimeout)),
        }
    })
    .await
}

/// Drives an open connection to its end: that of the protocol, or another one for which it has to be broken off.
async fn drive<A: Application>(
    shard: &Shard<A>,
    connection: &Connection,
    mut driver: Box<Driver<A>>,
) -> Result<EndReason, EndReason> {
    let mut phase = Phase::Serving;
    poll_fn(|context| {
        if shard.phase() > phase {
            phase = shard.phase();
            match phase {
                Phase::Cut => return Poll::Ready(Err(EndReason::Cut)),
                _ => driver.drain(),
            }
        }
        driver.poll(context).map(|end| match end {
            End::Closed(result) => Ok(EndReason::of_http2(result, connection, phase)),
            End::Broken(error) => Err(EndReason::of_socket(&error, connection)),
            End::PingTimeout => Err(EndReason::PingTimeout),
        })
    })
    .await
}

fn engine(limits: &Limits) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(limits.max_head_bytes)
        .initial_connection_window_size(RECEIVE_WINDOW)
        .initial_window_size(RECEIVE_WINDOW)
        .max_send_buffer_size(MAX_PIECE)
        .max_pending_accept_reset_streams(EARLY_RESETS)
        .max_local_error_reset_streams(Some(LOCAL_RESETS));
    builder
}
