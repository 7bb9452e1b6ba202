//! HTTP/1.1: the connection is the stream.

use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Starts HTTP/1.1 on a connected socket.
pub(super) async fn handshake<T, B>(socket: T) -> Result<SendRequest<B>, hyper::Error>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    // How it ends, the response's body tells.
    tokio::spawn(connection);
    Ok(sender)
}
