//! A TCP socket that can be cut or frozen from outside, whichever protocol and encryption sit on top of it, and that
//! counts what crosses it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::cut::Manner;

const WHOLE: u8 = 0;
const CLOSED: u8 = 1;
const RESET: u8 = 2;
const FROZEN: u8 = 3;

/// The socket, as the protocol above sees it.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    line: Arc<Line>,
}

/// The handle by which a socket is cut.
///
/// The protocol's task owns the socket, and hyper spawns further tasks around it: aborting one of them frees nothing.
/// A socket that fails under them is what really happens, and they all obey it.
#[derive(Debug, Default)]
pub(crate) struct Line {
    state: AtomicU8,
    reader: Mutex<Option<Waker>>,
    traffic: Arc<Traffic>,
}

/// What has crossed all sockets of a connector. Cells apart, so that cores do not fight for one.
#[derive(Debug)]
pub(crate) struct Wire {
    cells: Vec<Arc<Traffic>>,
    next: AtomicUsize,
}

/// Bytes, TLS and all, on a cache line of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Traffic {
    read: AtomicU64,
    written: AtomicU64,
}

impl Wire {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            cells: (0..cores * 4).map(|_| Arc::default()).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// A line whose traffic is counted here.
    pub(super) fn line(&self) -> Arc<Line> {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.cells.len();
        Arc::new(Line {
            traffic: Arc::clone(&self.cells[index]),
            ..Line::default()
        })
    }

    /// Bytes that have arrived.
    pub(crate) fn read(&self) -> u64 {
        self.cells
            .iter()
            .map(|cell| cell.read.load(Ordering::Relaxed))
            .sum()
    }

    /// Bytes that have been sent.
    pub(crate) fn written(&self) -> u64 {
        self.cells
            .iter()
            .map(|cell| cell.written.load(Ordering::Relaxed))
            .sum()
    }
}

impl Line {
    /// Cuts the socket: whatever touches it next sees it broken and lets go of it, which closes it.
    pub(crate) fn cut(&self, manner: Manner) {
        self.enter(match manner {
            Manner::Close => CLOSED,
            Manner::Reset => RESET,
        });
    }

    /// Neither reads nor writes from now on, without closing: a peer that stopped answering. Until [`thaw`](Self::thaw).
    pub(crate) fn freeze(&self) {
        self.enter(FROZEN);
    }

    /// Goes on after [`freeze`](Self::freeze).
    pub(crate) fn thaw(&self) {
        self.enter(WHOLE);
    }

    pub(crate) fn is_cut(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), CLOSED | RESET)
    }

    fn enter(&self, state: u8) {
        self.state.store(state, Ordering::Release);
        if let Some(reader) = self.reader().take() {
            reader.wake();
        }
    }

    /// Whether the socket may be used; pending while it is frozen.
    fn check(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        match self.state.load(Ordering::Acquire) {
            WHOLE => Poll::Ready(Ok(())),
            FROZEN => {
                self.park(context.waker());
                Poll::Pending
            }
            _ => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }

    fn park(&self, waker: &Waker) {
        let mut reader = self.reader();
        match reader.as_mut() {
            Some(parked) => parked.clone_from(waker),
            None => *reader = Some(waker.clone()),
        }
    }

    fn reader(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.reader
            .lock()
            .expect("nothing panics while a waker is exchanged")
    }

    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = polled {
            self.traffic
                .written
                .fetch_add(count as u64, Ordering::Relaxed);
        }
        polled
    }
}

impl Socket {
    pub(super) fn new(stream: TcpStream, line: Arc<Line>) -> Self {
        Self { stream, line }
    }

    pub(crate) fn line(&self) -> &Arc<Line> {
        &self.line
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.line.state.load(Ordering::Acquire) == RESET {
            // A socket that cannot be set to reset is closed all the same.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.line.check(context))?;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_pending() {
            self.line.park(context.waker());
            // A cut between the first check and the parking has found nobody to wake.
            ready!(self.line.check(context))?;
        } else {
            let count = buffer.filled().len() - before;
            self.line
                .traffic
                .read
                .fetch_add(count as u64, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.line.check(context))?;
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.line.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.line.check(context))?;
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.line.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.line.check(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.line.check(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    async fn pair() -> (Socket, Arc<Line>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let line = Arc::new(Line::default());
        (Socket::new(near, Arc::clone(&line)), line, far)
    }

    /// Cuts a socket that another task is reading from, and says what the peer sees.
    async fn cut_while_reading(manner: Manner) -> io::Result<usize> {
        let (mut socket, line, mut far) = pair().await;
        let reader = tokio::spawn(async move { socket.read_u8().await.unwrap_err().kind() });
        // The reader is parked once it holds a waker.
        timeout(DEADLINE, async {
            while line.reader().is_none() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        line.cut(manner);
        assert_eq!(
            timeout(DEADLINE, reader).await.unwrap().unwrap(),
            io::ErrorKind::ConnectionAborted
        );
        timeout(DEADLINE, far.read(&mut [0; 8])).await.unwrap()
    }

    #[tokio::test]
    async fn a_closed_line_ends_cleanly_at_the_peer() {
        assert_eq!(cut_while_reading(Manner::Close).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_reset_line_is_reset_at_the_peer() {
        assert_eq!(
            cut_while_reading(Manner::Reset).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
    }

    #[tokio::test]
    async fn an_uncut_line_carries_bytes_both_ways() {
        let (mut socket, line, mut far) = pair().await;
        socket.write_all(b"up").await.unwrap();
        far.write_all(b"down").await.unwrap();
        let (mut up, mut down) = ([0; 2], [0; 4]);
        far.read_exact(&mut up).await.unwrap();
        socket.read_exact(&mut down).await.unwrap();
        assert_eq!((&up, &down, line.is_cut()), (b"up", b"down", false));
    }

    #[tokio::test]
    async fn nothing_is_written_to_a_cut_line() {
        let (mut socket, line, _far) = pair().await;
        line.cut(Manner::Close);
        assert_eq!(
            socket.write(b"x").await.unwrap_err().kind(),
            io::ErrorKind::ConnectionAborted
        );
    }
}
