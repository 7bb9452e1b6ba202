//! Where an event stands: an epoch and a sequence number, and the text of both that is the SSE `id:`.
//!
//! ```text
//! id: k3x9q2-000000000042
//!     ~~~~~~ ~~~~~~~~~~~~
//!     epoch  seq, twelve digits or more, so that ids of one epoch sort as text
//! ```
//!
//! The text is ASCII, at most 27 bytes and without `<`: longer or stranger ids make browsers send a
//! CORS preflight, or not reconnect at all.

use std::{fmt, str::FromStr};

use rand::RngExt;
use thiserror::Error;

/// One unbroken life of a log or a hub: six characters of `0-9a-z`, drawn at random.
///
/// It changes when continuity cannot be proven (memory lost, store wiped), so that an id of an
/// earlier life is never silently taken for one of this life.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch([u8; Self::LEN]);

impl Epoch {
    const LEN: usize = 6;

    /// A new epoch. Two of them are equal once in 2.2 billion draws.
    #[must_use]
    pub fn random() -> Self {
        let mut rng = rand::rng();
        Self(std::array::from_fn(|_| {
            b"0123456789abcdefghijklmnopqrstuvwxyz"[rng.random_range(0..36)]
        }))
    }

    /// The six characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an epoch is made of ASCII letters and digits")
    }
}

/// The place of one event: its epoch and its sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    /// The life of the log or hub that numbered the event.
    pub epoch: Epoch,
    /// The number of the event within that life, from 0.
    pub seq: u64,
}

/// A place *between* events: what a reader has seen is before it, what it wants next is after it.
///
/// Its text is that of the last event seen, or the bare `k3x9q2-` when nothing of the epoch was seen
/// yet; it is what a client sends back as `Last-Event-ID`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cursor {
    /// The life of the log or hub.
    pub epoch: Epoch,
    /// The lowest sequence number not seen yet.
    pub next: u64,
}

/// Where a new reader begins.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Start {
    /// With the first event that is still there.
    Earliest,
    /// With the next event to come.
    Tail,
    /// After the last event that the client saw.
    After(Cursor),
    /// After an id that no log of ours ever gave out. The reader is told that its continuity is lost.
    Foreign(String),
}

/// The text is no id of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not an event id of this server (they look like k3x9q2-000000000042)")]
pub struct InvalidPosition;

impl Position {
    /// The text of this position, without allocating.
    #[must_use]
    pub fn id(self) -> PositionId {
        PositionId::new(self.epoch, Some(self.seq))
    }
}

impl Cursor {
    /// Before the first event of `epoch`.
    #[must_use]
    pub fn start(epoch: Epoch) -> Self {
        Self { epoch, next: 0 }
    }

    /// Right after the event at `position`.
    #[must_use]
    pub fn after(position: Position) -> Self {
        Self {
            epoch: position.epoch,
            next: position.seq.saturating_add(1),
        }
    }

    /// The text of this cursor, without allocating.
    #[must_use]
    pub fn id(self) -> PositionId {
        PositionId::new(self.epoch, self.next.checked_sub(1))
    }
}

impl Start {
    /// Reads a `Last-Event-ID`. Text that is no id of ours becomes [`Start::Foreign`].
    #[must_use]
    pub fn from_last_event_id(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Foreign(text.to_owned()), Self::After)
    }
}

impl FromStr for Cursor {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (epoch, seq) = text.split_once('-').ok_or(InvalidPosition)?;
        let epoch: [u8; Epoch::LEN] = epoch.as_bytes().try_into().map_err(|_| InvalidPosition)?;
        if !epoch
            .iter()
            .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
        {
            return Err(InvalidPosition);
        }
        let epoch = Epoch(epoch);
        if seq.is_empty() {
            return Ok(Self::start(epoch));
        }
        // `u64::from_str` also takes a plus sign, which we never write.
        if !seq.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidPosition);
        }
        let seq = seq.parse().map_err(|_| InvalidPosition)?;
        Ok(Self::after(Position { epoch, seq }))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id().as_str())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id().as_str())
    }
}

/// The text of a [`Position`] or [`Cursor`], on the stack.
///
/// Every event that is appended gets one, so it is written by hand: `format!` would cost an
/// allocation and the formatter's machinery per event.
#[derive(Clone, Copy)]
pub struct PositionId {
    text: [u8; Self::CAPACITY],
    len: u8,
}

impl PositionId {
    /// Epoch, hyphen, and the 20 digits of `u64::MAX`.
    const CAPACITY: usize = Epoch::LEN + 1 + 20;
    const DIGITS: usize = 12;

    fn new(epoch: Epoch, seq: Option<u64>) -> Self {
        let mut text = [b'0'; Self::CAPACITY];
        text[..Epoch::LEN].copy_from_slice(&epoch.0);
        text[Epoch::LEN] = b'-';
        let mut len = Epoch::LEN + 1;
        if let Some(seq) = seq {
            let mut buffer = itoa::Buffer::new();
            let digits = buffer.format(seq).as_bytes();
            len += digits.len().max(Self::DIGITS);
            text[len - digits.len()..len].copy_from_slice(digits);
        }
        Self {
            text,
            len: len as u8,
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.len)])
            .expect("a position is made of ASCII letters, digits and a hyphen")
    }
}

impl fmt::Debug for PositionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_of_one_epoch_sort_as_text() {
        let epoch = Epoch::random();
        let start = Cursor::start(epoch).to_string();
        let ids = [0, 1, 9, 10, 999_999_999_999].map(|seq| Position { epoch, seq }.to_string());
        assert!(start < ids[0]);
        assert!(ids.is_sorted());
    }

    #[test]
    fn an_id_is_short_ascii_without_angle_brackets() {
        let epoch = Epoch::random();
        let id = Position {
            epoch,
            seq: u64::MAX,
        }
        .to_string();
        assert!(id.len() <= 64 && id.is_ascii() && !id.contains('<'), "{id}");
    }

    #[test]
    fn what_is_no_id_of_ours_is_foreign() {
        for text in [
            "",
            "42",
            "abc-1",
            "k3x9q2",
            "K3X9Q2-1",
            "k3x9q2-+1",
            "k3x9q2-1x",
            "k3x9q2--1",
            "k3x9q2-99999999999999999999",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidPosition), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn text_and_back(seq in 0..u64::MAX) {
            let position = Position { epoch: Epoch::random(), seq };
            let cursor: Cursor = position.to_string().parse().unwrap();
            prop_assert_eq!(cursor, Cursor::after(position));
            prop_assert_eq!(cursor.to_string(), position.to_string());
        }

        #[test]
        fn parsing_never_panics(text in ".*") {
            let _ = text.parse::<Cursor>();
        }
    }
}
