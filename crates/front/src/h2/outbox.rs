//! Where the streams of a connection write to: DATA frames of their own, beside what the engine writes.
//!
//! The engine does the protocol, with HEADERS, END_STREAM, resets, SETTINGS, pings and GOAWAY; the DATA in between is
//! framed here. What holds the two together:
//!
//! - A frame of ours comes between two of the engine's, never within one, and behind its stream's HEADERS.
//! - Flow control of DATA is ours alone: what the peer grants is [taken out](super::tap) of what the engine reads. The
//!   engine sees streams on which nothing was sent yet, which is a state like any other.
//! - A stream ends through the engine: by an empty frame, trailers or a reset. A last piece goes with its END_STREAM, so
//!   that no frame is empty, and is taken off both accounts.
//! - When the engine has read something, it may have reset a stream: each asks before it sends again.

use std::{cell::Cell, collections::VecDeque, rc::Rc};

use bytes::{Buf, Bytes};

use super::{
    gather::Gather,
    window::{Balance, Full, Windows},
};

/// The longest piece: what every peer takes as one frame (RFC 9113, section 6.5.2).
pub(super) const MAX_PIECE: usize = 16 * 1024;

/// A frame shorter than this counts as small with peers built on `h2`.
const SMALL: usize = 256;

/// What a connection's streams write to.
pub(super) struct Outbox {
    io: Gather,
    pub(super) windows: Windows,
    /// Streams that wait until the connection's window has room, who came first in front.
    pub(super) waiting: VecDeque<u32>,
    /// Streams whose head the engine has not written yet, and who have something to say.
    pub(super) headless: Vec<u32>,
    /// Small frames written since this was last set to 0.
    pub(super) small: u32,
    unsent: Rc<Cell<u32>>,
}

/// A stream's last piece, on its way through the engine.
pub(super) struct Piece {
    bytes: Bytes,
    unsent: Rc<Cell<u32>>,
}

impl Outbox {
    pub(super) fn new(io: Gather) -> Self {
        Self {
            io,
            windows: Windows::new(),
            waiting: VecDeque::new(),
            headless: Vec::new(),
            small: 0,
            unsent: Rc::default(),
        }
    }

    /// How many bytes a stream may write now, at least one.
    pub(super) fn room(&self, balance: Balance) -> Result<usize, Full> {
        self.windows.room(balance).map(|room| room.min(MAX_PIECE))
    }

    /// Writes a frame of a stream, for which there must be [`room`](Self::room).
    pub(super) fn write(&mut self, stream: u32, balance: &mut Balance, bytes: &[u8]) {
        self.windows.spend(balance, bytes.len());
        self.small += u32::from(bytes.len() < SMALL);
        self.io.frame(stream, bytes);
    }

    /// A stream's last piece, for the engine to send with END_STREAM; nothing where that would make it wait.
    pub(super) fn last_piece(&mut self, balance: &mut Balance, bytes: &mut Bytes) -> Option<Piece> {
        let length = bytes.len();
        if length > 0 {
            let fits = self.room(*balance).is_ok_and(|room| length <= room)
                && length <= self.windows.initial() as usize
                && self.io.spend(length as u32);
            if !fits {
                return None;
            }
            self.windows.spend(balance, length);
        }
        Some(Piece {
            bytes: std::mem::take(bytes),
            unsent: Rc::clone(&self.unsent),
        })
    }

    /// Takes back what the engine did not send of last pieces, because their streams were reset.
    pub(super) fn take_back(&mut self) {
        let unsent = self.unsent.take();
        if unsent > 0 {
            self.windows.refund(unsent);
            self.io.refund(unsent);
        }
    }

    /// See [`Gather::is_full`].
    pub(super) fn is_full(&self) -> bool {
        self.io.is_full()
    }

    /// See [`Gather::heard`].
    pub(super) fn heard(&self) -> u32 {
        self.io.heard()
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // A `u32` holds the windows of all pieces together.
        self.unsent.set(self.unsent.get() + self.bytes.len() as u32);
    }
}
