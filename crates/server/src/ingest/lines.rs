//! Lines out of a body that comes in pieces.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes not yet given out as lines.
#[derive(Debug)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line break.
    scanned: usize,
    number: u64,
    longest: usize,
}

impl Lines {
    pub(crate) fn new(longest: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            number: 0,
            longest,
        }
    }

    pub(crate) fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next whole line, without its LF.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let Some(end) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.scanned + end).freeze();
        self.buffer.advance(1);
        self.scanned = 0;
        self.number += 1;
        Some(line)
    }

    /// What is left when no more comes: a last line without LF.
    pub(crate) fn finish(&mut self) -> Option<Bytes> {
        if self.buffer.is_empty() {
            return None;
        }
        self.number += 1;
        self.scanned = 0;
        Some(self.buffer.split().freeze())
    }

    /// The number of the line given out last, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The longest that a line may be, in bytes.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Whether the line that has begun is too long already.
    pub(crate) fn is_too_long(&self) -> bool {
        self.buffer.len() > self.longest
    }
}
