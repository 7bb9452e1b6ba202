//! Lines that the server may or may not have.

use std::collections::VecDeque;

use bytes::Bytes;

/// Lines that are not acknowledged, in order; the first of them are sent in the current request.
#[derive(Debug, Default)]
pub(super) struct Unacknowledged {
    lines: VecDeque<(u64, Bytes)>,
    bytes: usize,
    sent: usize,
}

/// So many lines are kept at most...
pub(super) const MOST_LINES: usize = 1_000;
/// ...and, as lines may be long, not many more bytes than these.
const MOST_BYTES: usize = 8 << 20;

/// A chunk takes lines up to this size, and at least one.
const CHUNK: usize = 64 << 10;

/// Lines as they are sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub lines: usize,
    pub bytes: Bytes,
}

impl Unacknowledged {
    /// How many lines they are.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether no more should be read before some are acknowledged.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= MOST_LINES || self.bytes >= MOST_BYTES
    }

    /// How many of them are sent in the current request.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }

    pub(super) fn is_all_sent(&self) -> bool {
        self.sent == self.len()
    }

    /// Adds a line by its number and its text, which ends with LF.
    pub(super) fn push(&mut self, number: u64, line: Bytes) {
        self.bytes += line.len();
        self.lines.push_back((number, line));
    }

    /// What is to be sent next; none when all is.
    pub(super) fn next_chunk(&self) -> Option<Chunk> {
        let mut unsent = self.lines.iter().skip(self.sent).map(|(_, event)| event);
        let first = unsent.next()?;
        let mut lines = 1;
        let mut size = first.len();
        for event in unsent {
            if size + event.len() > CHUNK {
                break;
            }
            size += event.len();
            lines += 1;
        }
        if lines == 1 {
            let bytes = first.clone();
            return Some(Chunk { lines, bytes });
        }
        let mut bytes = Vec::with_capacity(size);
        for (_, event) in self.lines.iter().skip(self.sent).take(lines) {
            bytes.extend_from_slice(event);
        }
        Some(Chunk {
            lines,
            bytes: bytes.into(),
        })
    }

    /// The next `lines` of them are sent.
    pub(super) fn mark_sent(&mut self, lines: usize) {
        self.sent = (self.sent + lines).min(self.len());
    }

    /// The current request is over: what is not acknowledged is to be sent again.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
    }

    /// The server has the first `lines` of them.
    pub(super) fn acknowledge(&mut self, lines: usize) {
        for (_, event) in self.lines.drain(..lines.min(self.lines.len())) {
            self.bytes -= event.len();
        }
        self.sent = self.sent.saturating_sub(lines);
    }

    /// The number of the line that so many come before.
    pub(super) fn number(&self, before: usize) -> Option<u64> {
        self.lines.get(before).map(|(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(count: u64, size: usize) -> Unacknowledged {
        let mut events = Unacknowledged::default();
        for number in 1..=count {
            events.push(number, vec![b'.'; size].into());
        }
        events
    }

    #[test]
    fn a_thousand_lines_or_eight_mebibytes_are_enough() {
        assert!(!events(999, 100).is_full());
        assert!(events(1_000, 100).is_full());
        assert!(!events(7, 1 << 20).is_full());
        assert!(events(8, 1 << 20).is_full());
    }

    #[test]
    fn small_lines_travel_together_and_large_ones_alone() {
        let mut events = events(1_000, 100);
        let chunk = events.next_chunk().unwrap();
        assert_eq!((chunk.lines, chunk.bytes.len()), (655, 65_500));
        events.mark_sent(chunk.lines);
        assert_eq!(events.next_chunk().unwrap().lines, 345);
        events.mark_sent(345);
        assert_eq!(events.next_chunk(), None);
        assert!(events.is_all_sent());

        let large = super::tests::events(2, 100_000);
        assert_eq!(large.next_chunk().unwrap().lines, 1);
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again() {
        let mut events = events(10, 1);
        events.mark_sent(10);
        events.acknowledge(4);
        assert_eq!((events.len(), events.sent()), (6, 6));
        events.rewind();
        assert_eq!(events.next_chunk().unwrap().lines, 6);
        assert_eq!(events.number(0), Some(5));
        assert_eq!(events.number(6), None);
    }

    #[test]
    fn acknowledged_lines_make_room() {
        let mut events = events(1_000, 100);
        events.acknowledge(1);
        assert!(!events.is_full());
        events.acknowledge(999);
        assert!(events.is_empty());
        assert_eq!(events.bytes, 0);
    }
}
