//! What a connection's streams have handed to the engine, and which of it is out.
//!
//! A stream hands over one piece at a time, and asks its body for more only when that is out: written to the gathering
//! buffer, which the peer's window and the socket must allow. So nothing is reserved ahead, which would take the window
//! from other streams (h2 hands the connection's out first come, first served), no capacity is asked for or waited
//! for, and a stalled stream holds one piece. Per event that leaves two of the engine's locks: those of `send_data`
//! (hyper takes it seven times).

use std::{cell::RefCell, rc::Rc};

use bytes::{Buf, Bytes};

/// The longest piece: what every peer takes as one frame (RFC 9113, section 6.5.2).
pub(super) const MAX_PIECE: usize = 16 * 1024;

/// A frame shorter than this counts as small with peers built on `h2`.
const SMALL: usize = 256;

/// What a connection's streams hand over in a round.
#[derive(Default)]
pub(super) struct Outbox {
    out: Rc<RefCell<Vec<u32>>>,
    /// Bytes handed over since this was last set to 0.
    pub(super) bytes: usize,
    /// Small frames handed over since this was last set to 0.
    pub(super) small: u32,
}

/// A stream's data on its way through the engine.
pub(super) struct Piece {
    bytes: Bytes,
    _receipt: Option<Receipt>,
}

/// Says, when dropped, that a stream's piece is out. (Or will never be: then the stream is dead, and asked in vain.)
struct Receipt {
    stream: u32,
    out: Rc<RefCell<Vec<u32>>>,
}

impl Outbox {
    /// A piece whose stream wants to know when it is out.
    pub(super) fn piece(&mut self, stream: u32, bytes: Bytes) -> Piece {
        self.bytes += bytes.len();
        self.small += u32::from(bytes.len() < SMALL);
        Piece {
            bytes,
            _receipt: Some(Receipt {
                stream,
                out: Rc::clone(&self.out),
            }),
        }
    }

    /// A stream's last piece; may be empty.
    pub(super) fn last_piece(&mut self, bytes: Bytes) -> Piece {
        self.bytes += bytes.len();
        Piece {
            bytes,
            _receipt: None,
        }
    }

    /// Calls `tell` with the streams whose pieces are out since the last time.
    pub(super) fn receipts(&mut self, tell: impl FnMut(u32)) {
        // `tell` hands nothing to the engine, so no piece is dropped meanwhile.
        self.out.borrow_mut().drain(..).for_each(tell);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.out.borrow_mut().push(self.stream);
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
