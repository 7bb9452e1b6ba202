//! HTTP/2: many streams to a connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hyper::body::Body;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::transport::Transport;

/// Chromium's receive windows. They are large for a reason of ours too: the `h2` crate takes many small unread frames
/// for an attack and ends the connection (`too_many_data_frames`), after 134 of them with the RFC's 64 KiB window.
const STREAM_WINDOW: u32 = 6 << 20;
const CONNECTION_WINDOW: u32 = 15 << 20;

/// Streams that we have reset and whose late frames are still expected. With hyper's 10, a server that is sending to
/// an eleventh would be answered by a further RST_STREAM for each of its frames.
const RESET_STREAMS: usize = 4_096;

/// How many streams the server allows on a connection, as last heard of: 100 until it has said so.
#[derive(Clone, Debug)]
pub(super) struct Allowed(Arc<AtomicUsize>);

impl Allowed {
    pub(super) fn streams(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Starts HTTP/2 on a connected socket, with a receive window of `window` bytes or a large one.
pub(super) async fn handshake<B>(
    socket: Transport,
    window: Option<u32>,
) -> Result<(SendRequest<B>, Allowed), hyper::Error>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Unpin
        + Send
        + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window.unwrap_or(STREAM_WINDOW))
        .initial_connection_window_size(window.unwrap_or(CONNECTION_WINDOW))
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(None)
        .handshake(TokioIo::new(socket))
        .await?;
    let allowed = Allowed(Arc::new(AtomicUsize::new(
        connection.current_max_send_streams(),
    )));
    let heard = allowed.clone();
    let mut connection = Box::pin(connection);
    // How it ends, the responses' bodies tell.
    tokio::spawn(poll_fn(move |context| {
        let polled = connection.as_mut().poll(context);
        heard
            .0
            .store(connection.current_max_send_streams(), Relaxed);
        polled
    }));
    Ok((sender, allowed))
}
