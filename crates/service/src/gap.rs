//! The `gap` event: how a reader is told what it will never get.
//!
//! ```text
//! event: gap
//! data: {"reason":"evicted","requested":"k3x9q2-000000000007","first":"k3x9q2-000000000042","last":"k3x9q2-000000000099","missed":34}
//! id: k3x9q2-000000000041
//! ```
//!
//! Its id is the place from which the stream goes on, so that a client which is cut right after it
//! does not hear of the same loss twice.

use std::fmt::Write;

use bytes::Bytes;
use wellspring_event::{Event, EventId, EventType};

use crate::position::{Cursor, Position};

/// A loss, announced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// What happened.
    pub reason: GapReason,
    /// The id from which the reader wanted to go on.
    pub requested: String,
    /// The place from which the stream goes on.
    pub on: Cursor,
    /// The first event that comes after this one, if there is any yet.
    pub first: Option<Position>,
    /// The newest event that there is.
    pub last: Option<Position>,
    /// How many events are lost, where that can be known.
    pub missed: Option<u64>,
}

/// Why something is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// The id is of another life of the log, or of no log of ours: continuity cannot be proven.
    Epoch,
    /// The events after the id are no longer kept.
    Evicted,
    /// The reader was too slow, and its log skips ([`Overflow::Skip`](crate::Overflow::Skip)).
    Overflow,
}

impl GapReason {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Evicted => "evicted",
            Self::Overflow => "overflow",
        }
    }
}

impl Gap {
    /// The event as it crosses the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let id = self.on.id();
        let id = EventId::new(id.as_str()).expect("a cursor holds no line break and no NUL");
        let name = EventType::new("gap").expect("a word");
        Event::new(self.json())
            .with_type(name)
            .with_id(id)
            .to_bytes()
    }

    /// `{"reason":…,"requested":…,"first":…,"last":…,"missed":…}`, by hand: it is the only JSON that
    /// this crate writes.
    fn json(&self) -> String {
        let mut json = format!(r#"{{"reason":"{}","requested":""#, self.reason.as_str());
        for c in self.requested.chars() {
            match c {
                '"' | '\\' => json.extend(['\\', c]),
                c if c.is_control() => {
                    let _ = write!(json, "\\u{:04x}", u32::from(c));
                }
                c => json.push(c),
            }
        }
        let position = |position: Option<Position>| {
            position.map_or_else(|| "null".to_owned(), |position| format!("\"{position}\""))
        };
        let missed = self
            .missed
            .map_or_else(|| "null".to_owned(), |n| n.to_string());
        let _ = write!(
            json,
            r#"","first":{},"last":{},"missed":{missed}}}"#,
            position(self.first),
            position(self.last),
        );
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Epoch;

    #[test]
    fn a_gap_names_what_was_asked_for_and_what_there_is() {
        let epoch = Epoch::random();
        let gap = Gap {
            reason: GapReason::Evicted,
            requested: format!("{epoch}-000000000007"),
            on: Cursor { epoch, next: 42 },
            first: Some(Position { epoch, seq: 42 }),
            last: Some(Position { epoch, seq: 99 }),
            missed: Some(34),
        };
        let expected = format!(
            "event: gap\ndata: {{\"reason\":\"evicted\",\
             \"requested\":\"{epoch}-000000000007\",\"first\":\"{epoch}-000000000042\",\
             \"last\":\"{epoch}-000000000099\",\"missed\":34}}\nid: {epoch}-000000000041\n\n"
        );
        assert_eq!(gap.to_bytes(), expected);
    }

    #[test]
    fn a_foreign_id_cannot_break_out_of_its_string() {
        let epoch = Epoch::random();
        let gap = Gap {
            reason: GapReason::Epoch,
            requested: "a\"b\\c\td".to_owned(),
            on: Cursor::start(epoch),
            first: None,
            last: None,
            missed: None,
        };
        let expected = format!(
            "event: gap\ndata: {{\"reason\":\"epoch\",\
             \"requested\":\"a\\\"b\\\\c\\u0009d\",\"first\":null,\"last\":null,\"missed\":null}}\nid: {epoch}-\n\n"
        );
        assert_eq!(gap.to_bytes(), expected);
    }
}
