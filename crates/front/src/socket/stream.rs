//! A connection's bytes: a socket that counts them, encrypted or not.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::connection::Connection;

/// What a protocol's engine reads and writes.
pub(crate) struct Stream {
    carrier: Carrier,
    /// Bytes that were read too early, and are read again first. Boxed and mostly absent: a stream lives for hours.
    replay: Option<Box<Bytes>>,
}

enum Carrier {
    Plain(Socket),
    // Boxed: 1.2 KiB that a plain connection shall not carry.
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    pub(crate) fn plain(socket: Socket) -> Self {
        Self {
            carrier: Carrier::Plain(socket),
            replay: None,
        }
    }

    pub(crate) fn tls(stream: TlsStream<Socket>) -> Self {
        Self {
            carrier: Carrier::Tls(Box::new(stream)),
            replay: None,
        }
    }

    /// Has these bytes read again, before those that have not been read yet.
    pub(crate) fn replay(mut self, bytes: &[u8]) -> Self {
        debug_assert!(self.replay.is_none(), "read before what is replayed");
        if !bytes.is_empty() {
            // Copied: a slice would hold on to the whole of an engine's read buffer.
            self.replay = Some(Box::new(Bytes::copy_from_slice(bytes)));
        }
        self
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.carrier, Carrier::Tls(_))
    }

    /// Bounds what is encrypted ahead of a socket that takes no more. rustls: 64 KiB.
    pub(crate) fn set_buffer_limit(&mut self, bytes: usize) {
        if let Carrier::Tls(stream) = &mut self.carrier {
            stream.get_mut().1.set_buffer_limit(Some(bytes));
        }
    }

    /// Says goodbye as far as that goes without waiting: `close_notify` on TLS (RFC 8446, section 6.1), then FIN.
    pub(crate) async fn farewell(&mut self) {
        std::future::poll_fn(|context| {
            let _ = Pin::new(&mut *self).poll_shutdown(context);
            Poll::Ready(())
        })
        .await;
    }
}

impl Carrier {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(replay) = &mut this.replay else {
            return this.carrier.poll_read(context, buffer);
        };
        let replayed = replay.split_to(replay.len().min(buffer.remaining()));
        buffer.put_slice(&replayed);
        if replay.is_empty() {
            this.replay = None;
        }
        // Together with what follows them: hyper takes a short first read for a hint to double its buffer. An end or an
        // error behind them shows again at the next read.
        if buffer.remaining() > 0 {
            let _ = this.carrier.poll_read(context, buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().carrier {
            Carrier::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Carrier::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().carrier {
            Carrier::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Carrier::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carrier {
            Carrier::Plain(socket) => Pin::new(socket).poll_flush(context),
            Carrier::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().carrier {
            Carrier::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Carrier::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// A TCP socket that keeps its connection's account: bytes both ways, and how the peer left.
pub(crate) struct Socket {
    tcp: TcpStream,
    connection: Arc<Connection>,
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream, connection: Arc<Connection>) -> Self {
        Self { tcp, connection }
    }

    fn note(&self, error: &io::Error) {
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::TimedOut
        ) {
            self.connection.note_peer_reset();
        }
    }

    fn written(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &poll {
            Poll::Ready(Ok(bytes)) => self.connection.count_written(*bytes),
            Poll::Ready(Err(error)) => self.note(error),
            Poll::Pending => {}
        }
        poll
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let poll = Pin::new(&mut this.tcp).poll_read(context, buffer);
        match &poll {
            Poll::Ready(Ok(())) => match buffer.filled().len() - before {
                0 if buffer.remaining() > 0 => this.connection.note_peer_closed(),
                read => this.connection.count_read(read),
            },
            Poll::Ready(Err(error)) => this.note(error),
            Poll::Pending => {}
        }
        poll
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.tcp).poll_write(context, bytes);
        this.written(poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.tcp).poll_write_vectored(context, slices);
        this.written(poll)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}
