//! A connection's bytes: a socket that counts them, encrypted or not.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use crate::connection::Connection;

/// What a protocol's engine reads and writes.
pub(crate) enum Stream {
    Plain(Socket),
    // Boxed: 1.2 KiB that a plain connection shall not carry.
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    /// Says goodbye as far as that goes without waiting: `close_notify` on TLS (RFC 8446, section 6.1), then FIN.
    pub(crate) async fn farewell(&mut self) {
        std::future::poll_fn(|context| {
            let _ = Pin::new(&mut *self).poll_shutdown(context);
            Poll::Ready(())
        })
        .await;
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// A TCP socket that keeps its connection's account: bytes both ways, and how the peer left.
pub(crate) struct Socket {
    tcp: TcpStream,
    connection: Arc<Connection>,
    replay: Replay,
}

/// Bytes that were read to find out the protocol, and are read again by its engine.
#[derive(Default)]
pub(crate) struct Replay {
    bytes: [u8; 24],
    length: u8,
}

impl Replay {
    pub(crate) fn new(bytes: [u8; 24], length: usize) -> Self {
        debug_assert!(length <= bytes.len());
        Self {
            bytes,
            length: length.min(bytes.len()) as u8,
        }
    }
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream, connection: Arc<Connection>) -> Self {
        Self {
            tcp,
            connection,
            replay: Replay::default(),
        }
    }

    pub(crate) fn replay(&mut self, replay: Replay) {
        self.replay = replay;
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
        let replayed = usize::from(this.replay.length).min(buffer.remaining());
        if replayed > 0 {
            buffer.put_slice(&this.replay.bytes[..replayed]);
            this.replay.bytes.copy_within(replayed.., 0);
            this.replay.length -= replayed as u8;
            // Together with what follows them: hyper takes a short first read for a hint to double its buffer.
            if buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
        }
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
        // An end or an error behind the replayed bytes shows again at the next read.
        if replayed > 0 {
            Poll::Ready(Ok(()))
        } else {
            poll
        }
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
