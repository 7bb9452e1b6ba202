//! One write per turn: what the engine and the streams write is gathered, and leaves when the turn is over.

use std::{
    cell::RefCell,
    io, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{tap::Tap, window::Credit};
use crate::socket::Stream;

/// How much one turn gathers before it must write: 4 TLS records.
const CAPACITY: usize = 64 * 1024;

/// How much rustls may hold: all that is ever gathered, with the frame that fills the buffer and what encryption adds.
const ENCRYPTED: usize = CAPACITY + 17 * 1024;

/// How much the engine reads in one go, until [`read_on`](Gather::read_on).
///
/// It takes in whatever there is before it hands out the first request, and keeps room for as many as there ever were at
/// once: a page that opens 100 streams with one write would cost it 300 bytes for each of them, for good.
const READ: usize = 512;

thread_local! {
    /// The core's buffer, lent to the connection whose turn it is: only one at a time is polled, so an idle connection
    /// owns none. A connection whose peer does not read keeps it, and the next one gets a new one.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A stream under HTTP/2's engine that holds writes back until [`drain`](Gather::drain).
///
/// The `h2` crate flushes after each DATA frame that is too large for it to copy, which makes a system call of each. CPU
/// per event on TLS, 50 connections with 100 streams each: 5.4 us at 300 bytes and through this 1.1, 5.4 and 1.5 at 900,
/// 6.8 and 3.6 at 4,000. A flush is therefore a promise, kept by whoever polls the engine: after each poll of it, drain.
///
/// It does not offer vectored writes, for then `h2` copies frames only up to 255 bytes and not up to 1,023, and asks
/// for a write and a flush for each one above (1.9 us at 900).
#[derive(Clone)]
pub(crate) struct Gather(Rc<RefCell<Gathered>>);

struct Gathered {
    stream: Stream,
    bytes: Vec<u8>,
    /// How many of `bytes` have been written.
    written: usize,
    /// Whether the socket last took no more.
    blocked: bool,
    /// How much may be read yet.
    allowance: usize,
    tap: Tap,
    /// What passed the tap and had no room where the engine reads.
    passed: Vec<u8>,
    /// How often the engine was given something to read.
    heard: u32,
}

/// A DATA frame's header (RFC 9113, sections 4.1 and 6.1), without flags.
const HEAD: usize = 9;

impl Gather {
    pub(crate) fn new(mut stream: Stream) -> Self {
        stream.set_buffer_limit(ENCRYPTED);
        Self(Rc::new(RefCell::new(Gathered {
            stream,
            bytes: Vec::new(),
            written: 0,
            blocked: false,
            allowance: READ,
            tap: Tap::new(),
            passed: Vec::new(),
            heard: 0,
        })))
    }

    /// Writes a DATA frame behind what was gathered, for a stream whose head the engine has written. Not while it
    /// [is blocked](Self::is_blocked): the engine may have written half a frame then.
    pub(super) fn frame(&self, stream: u32, payload: &[u8]) {
        let gathered = &mut *self.0.borrow_mut();
        debug_assert!(!gathered.blocked && !payload.is_empty());
        gathered.fetch();
        let [_, l0, l1, l2] = (payload.len() as u32).to_be_bytes();
        let [i0, i1, i2, i3] = stream.to_be_bytes();
        let bytes = &mut gathered.bytes;
        bytes.reserve(HEAD + payload.len());
        bytes.extend_from_slice(&[l0, l1, l2, 0, 0, i0, i1, i2, i3]);
        bytes.extend_from_slice(payload);
    }

    /// Whether so much is gathered that it should leave before there is more: a frame beyond that is borne.
    pub(super) fn is_full(&self) -> bool {
        self.0.borrow().bytes.len() >= CAPACITY
    }

    /// A number that changes whenever the engine was given something to read: since then it may have reset a stream.
    pub(super) fn heard(&self) -> u32 {
        self.0.borrow().heard
    }

    /// Adds to `credits` what room the peer has granted since the last time.
    pub(super) fn take_credits(&self, credits: &mut Vec<Credit>) {
        self.0.borrow_mut().tap.take_credits(credits);
    }

    /// Says whether the engine can send so many bytes by itself now, and takes note that it will.
    pub(super) fn spend(&self, bytes: u32) -> bool {
        self.0.borrow_mut().tap.spend(bytes)
    }

    /// Takes note that the engine did not send so many bytes after all.
    pub(super) fn refund(&self, bytes: u32) {
        self.0.borrow_mut().tap.refund(bytes);
    }

    /// Allows as much again to be read. True when there was an end to it, and so the engine is to be polled again:
    /// nobody else will wake it for what it did not read.
    pub(crate) fn read_on(&self) -> bool {
        mem::replace(&mut self.0.borrow_mut().allowance, READ) == 0
    }

    /// Whether the socket has not yet taken what was gathered: nothing more should be gathered. While it is not, the
    /// engine has written to its end all that it had when it was last polled.
    pub(crate) fn is_blocked(&self) -> bool {
        self.0.borrow().blocked
    }

    /// Writes what was gathered. Pending (and woken later) while the socket takes no more.
    pub(crate) fn drain(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().drain(context)
    }

    /// Says goodbye as far as that goes without waiting.
    pub(crate) async fn farewell(&mut self) {
        std::future::poll_fn(|context| {
            let _ = Pin::new(&mut *self).poll_shutdown(context);
            Poll::Ready(())
        })
        .await;
    }
}

impl Gathered {
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let poll = self.write(context);
        self.blocked = poll.is_pending();
        poll
    }

    fn write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            let rest = &self.bytes[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        // On TLS the last records may still wait for the socket.
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.written = 0;
        self.bytes.clear();
        SPARE.set(mem::take(&mut self.bytes));
        Poll::Ready(Ok(()))
    }

    /// Makes room for at least one byte and says for how many.
    fn room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.bytes.len() >= CAPACITY {
            ready!(self.drain(context))?;
        }
        self.fetch();
        Poll::Ready(Ok(CAPACITY.saturating_sub(self.bytes.len())))
    }

    fn fetch(&mut self) {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take();
        }
    }

    /// Reads until something passes the tap.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.passed.is_empty() {
            if self.allowance == 0 {
                return Poll::Pending;
            }
            let mut bytes = [0; READ];
            let mut part = ReadBuf::new(&mut bytes[..self.allowance]);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
            let part = part.filled();
            if part.is_empty() {
                break;
            }
            self.allowance -= part.len();
            self.tap.pass(part, &mut self.passed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Gather {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gathered = &mut *self.0.borrow_mut();
        ready!(gathered.read(context))?;
        let given = gathered.passed.len().min(buffer.remaining());
        buffer.put_slice(&gathered.passed[..given]);
        gathered.passed.drain(..given);
        if gathered.passed.is_empty() {
            // Nothing is kept by a connection that is silent.
            gathered.passed = Vec::new();
        }
        gathered.heard = gathered.heard.wrapping_add(1);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gather {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut gathered = self.0.borrow_mut();
        let taken = ready!(gathered.room(context))?.min(bytes.len());
        gathered.bytes.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.0.borrow_mut();
        ready!(gathered.drain(context))?;
        Pin::new(&mut gathered.stream).poll_shutdown(context)
    }
}
