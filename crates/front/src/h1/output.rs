//! What a stream writes: frames of its body, framed for HTTP/1.1 on their way to the socket.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use crate::socket::Stream;

/// How a body's end is marked (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    /// In chunks (RFC 9112, section 7.1); when `last`, the connection ends with the body.
    Chunked { last: bool },
    /// By the end of the connection: for HTTP/1.0.
    #[default]
    UntilClose,
}

impl Framing {
    pub(super) fn is_last(self) -> bool {
        self != Self::Chunked { last: false }
    }

    pub(super) fn and_last_if(self, yes: bool) -> Self {
        match self {
            Self::Chunked { last } => Self::Chunked { last: last || yes },
            Self::UntilClose => Self::UntilClose,
        }
    }
}

/// How many frames are gathered before they must be written: as many as hyper queues.
const FRAMES: usize = 16;

/// How many bytes are gathered before they must be written, and what one system call takes at most on TLS: one record.
const BYTES: usize = 16 * 1024;

/// Up to here frames are copied together, and a `send` takes them; above, `writev` takes them from where they lie.
const COPIED: usize = 4 * 1024;

/// Longest chunk-size line: 16 digits and CRLF.
const SIZE_LINE: usize = 18;

thread_local! {
    /// The core's queue, lent to the stream whose turn it is. One whose peer does not read keeps it until it does.
    static SPARE: Cell<Option<Box<Queue>>> = const { Cell::new(None) };
    /// Where frames are copied together, for the length of a system call.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is to be written. Owns no memory while that is nothing.
pub(super) struct Output {
    queue: Option<Box<Queue>>,
    framing: Framing,
}

impl Output {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            queue: None,
            framing,
        }
    }

    pub(super) fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether more frames fit in before the next write.
    pub(super) fn has_room(&self) -> bool {
        match &self.queue {
            Some(queue) => queue.frames.len() < FRAMES && queue.left < BYTES,
            None => true,
        }
    }

    /// Adds a frame, unless it is empty: an empty chunk would be the last.
    pub(super) fn push(&mut self, frame: Bytes) {
        if !frame.is_empty() {
            self.enqueue(frame);
        }
    }

    /// Adds the mark of the body's end: a chunk without data.
    pub(super) fn finish(&mut self) {
        if self.framing != Framing::UntilClose {
            self.enqueue(Bytes::new());
        }
    }

    fn enqueue(&mut self, frame: Bytes) {
        let queue = self
            .queue
            .get_or_insert_with(|| SPARE.take().unwrap_or_default());
        queue.is_chunked = self.framing != Framing::UntilClose;
        queue.left += queue.framed_length(&frame);
        queue.frames.push_back(frame);
    }

    /// Writes all. Pending, and woken later, while the socket takes no more.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(queue) = &mut self.queue {
            ready!(queue.poll_write(stream, context))?;
            SPARE.set(self.queue.take());
        }
        // On TLS the last record may still wait for the socket.
        Pin::new(stream).poll_flush(context)
    }
}

/// Frames, and how far they are written.
#[derive(Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    /// How many bytes of the first frame, framing included, are written.
    written: usize,
    /// How many bytes, framing included, are not.
    left: usize,
    is_chunked: bool,
}

impl Queue {
    fn poll_write(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.frames.is_empty() {
            let written = if stream.is_tls() || self.left <= COPIED {
                self.poll_write_copied(stream, context)
            } else {
                self.poll_write_vectored(stream, context)
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_copied(
        &self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            let mut skipped = self.written;
            'full: for frame in &self.frames {
                let size = self.size_line(frame);
                for piece in [size.as_bytes(), frame, self.line_end()] {
                    let start = skipped.min(piece.len());
                    skipped -= start;
                    let end = piece.len().min(start + BYTES - scratch.len());
                    scratch.extend_from_slice(&piece[start..end]);
                    if scratch.len() == BYTES {
                        break 'full;
                    }
                }
            }
            Pin::new(stream).poll_write(context, scratch)
        })
    }

    fn poll_write_vectored(
        &self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut sizes = [SizeLine::EMPTY; FRAMES + 1];
        for (size, frame) in sizes.iter_mut().zip(&self.frames) {
            *size = self.size_line(frame);
        }
        let mut slices = [IoSlice::new(&[]); 3 * (FRAMES + 1)];
        let mut skipped = self.written;
        let mut used = 0;
        for (size, frame) in sizes.iter().zip(&self.frames) {
            for piece in [size.as_bytes(), frame, self.line_end()] {
                let start = skipped.min(piece.len());
                skipped -= start;
                if start < piece.len() {
                    slices[used] = IoSlice::new(&piece[start..]);
                    used += 1;
                }
            }
        }
        Pin::new(stream).poll_write_vectored(context, &slices[..used])
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        self.left -= written;
        while let Some(frame) = self.frames.front() {
            let length = self.framed_length(frame);
            if self.written < length {
                break;
            }
            self.written -= length;
            self.frames.pop_front();
        }
    }

    fn framed_length(&self, frame: &Bytes) -> usize {
        match self.is_chunked {
            true => SizeLine::length(frame.len()) + frame.len() + self.line_end().len(),
            false => frame.len(),
        }
    }

    fn size_line(&self, frame: &Bytes) -> SizeLine {
        if self.is_chunked {
            SizeLine::of(frame.len())
        } else {
            SizeLine::EMPTY
        }
    }

    fn line_end(&self) -> &'static [u8] {
        if self.is_chunked { b"\r\n" } else { b"" }
    }
}

/// The line before a chunk's data: its length in hexadecimal digits, as hyper writes them.
#[derive(Clone, Copy)]
struct SizeLine {
    bytes: [u8; SIZE_LINE],
    start: u8,
}

impl SizeLine {
    const EMPTY: Self = Self {
        bytes: [0; SIZE_LINE],
        start: SIZE_LINE as u8,
    };

    fn of(mut length: usize) -> Self {
        let mut line = Self::EMPTY;
        line.bytes[SIZE_LINE - 2..].copy_from_slice(b"\r\n");
        let mut start = SIZE_LINE - 2;
        loop {
            start -= 1;
            line.bytes[start] = b"0123456789ABCDEF"[length % 16];
            length /= 16;
            if length == 0 {
                break;
            }
        }
        line.start = start as u8;
        line
    }

    /// How long the line of this length is: asked several times per frame, so not by writing it.
    fn length(length: usize) -> usize {
        let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
        digits as usize + 2
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_line_is_as_long_as_it_says_before() {
        for length in (0..70_000).chain([usize::MAX / 16, usize::MAX]) {
            let line = SizeLine::of(length);
            assert_eq!(line.as_bytes(), format!("{length:X}\r\n").as_bytes());
            assert_eq!(line.as_bytes().len(), SizeLine::length(length));
        }
    }
}
