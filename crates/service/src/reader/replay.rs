//! What a log has said so far, said again in fewer and larger events.
//!
//! A run of ten thousand one-token deltas is a burden to whoever joins late: each is an event to
//! parse and, in a page, a render. A replay tells the same in a few events. It does not number them
//! anew: each carries the number of the *last* event that it stands for, so that a reader that is cut
//! in the middle resumes in the log itself, with nothing lost and nothing twice.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use wellspring_event::{Event, EventId};

use super::{LogReader, Next};
use crate::log::Log;
use crate::position::{Cursor, Position, Start};

/// What a log has said from its beginning up to some place, in fewer events; a
/// [`Reader`](super::Reader) made of it goes on from that place in the log itself.
#[derive(Debug, Clone)]
pub struct Replay {
    log: Log,
    next: u64,
    pieces: VecDeque<Piece>,
    open: BytesMut,
    events: u32,
}

#[derive(Debug, Clone)]
struct Piece {
    bytes: Bytes,
    events: u32,
    /// The place after it.
    next: u64,
}

/// A replay, and then its log.
#[derive(Debug)]
pub(super) struct Replayed {
    /// The place before what comes next, while the replay lasts.
    place: Cursor,
    pieces: VecDeque<Piece>,
    reader: LogReader,
}

impl Replay {
    /// One piece is one frame of the body: as long as a slice of the log.
    const PIECE: usize = 16 * 1024;

    /// Nothing yet, of this log.
    #[must_use]
    pub fn new(log: &Log) -> Self {
        Self {
            log: log.clone(),
            next: 0,
            pieces: VecDeque::new(),
            open: BytesMut::new(),
            events: 0,
        }
    }

    /// Adds an event that stands for everything of the log after the one before it, up to and with
    /// number `last`.
    ///
    /// # Panics
    ///
    /// When `last` is below an earlier one.
    pub fn push(&mut self, event: &Event<'_>, last: u64) {
        assert!(
            last >= self.next.saturating_sub(1),
            "a log is told in order"
        );
        let id = Position {
            epoch: self.log.epoch(),
            seq: last,
        }
        .id();
        let mut event = event.clone();
        if self.log.has_ids() {
            event = event.with_id(EventId::new(id.as_str()).expect("a position is an id"));
        }
        let measured = event.measure();
        if self.events > 0 && self.open.len() + measured.encoded_len() > Self::PIECE {
            self.seal();
        }
        self.open.reserve(measured.encoded_len());
        measured.encode(&mut self.open);
        self.events += 1;
        self.next = last.saturating_add(1);
    }

    /// The number of the event that comes after all of it.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Nothing more will be added for now: clones share all of it from here on.
    pub fn seal(&mut self) {
        if self.events > 0 {
            self.pieces.push_back(Piece {
                bytes: self.open.split().freeze(),
                events: std::mem::take(&mut self.events),
                next: self.next,
            });
        }
    }
}

impl Replayed {
    pub(super) fn new(mut replay: Replay) -> Self {
        replay.seal();
        let epoch = replay.log.epoch();
        let on = Cursor {
            epoch,
            next: replay.next,
        };
        Self {
            place: Cursor::start(epoch),
            pieces: replay.pieces,
            reader: replay.log.read(Start::After(on)),
        }
    }

    /// What is left of the replay comes before what the [reader](Self::reader) reads.
    pub(super) fn take_piece(&mut self) -> Option<Next> {
        let piece = self.pieces.pop_front()?;
        self.place.next = piece.next;
        Some(Next::Events {
            bytes: piece.bytes,
            events: piece.events,
        })
    }

    /// The reader of what comes after the replay.
    pub(super) fn reader(&mut self) -> &mut LogReader {
        &mut self.reader
    }

    pub(super) fn cursor(&self) -> Cursor {
        if self.pieces.is_empty() {
            self.reader.cursor()
        } else {
            self.place
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.pieces.is_empty() && self.reader.is_finished()
    }
}
