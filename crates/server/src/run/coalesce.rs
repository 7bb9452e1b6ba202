//! Tokens held back for a moment, so that what is written, numbered and rendered is a few words and
//! not a syllable.
//!
//! The first part of a run goes out at once: nobody waits longer for a sign of life. After it, parts
//! of one kind are joined for a while. This happens *before* they are numbered, so that every reader
//! sees the same numbers.

use std::time::Duration;

use tokio::time::Instant;

use super::part::Part;

/// How much is joined, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coalescing {
    /// The longest that a part is held back; zero for not at all.
    pub(crate) time: Duration,
    /// The most that is joined, in bytes of text.
    pub(crate) bytes: usize,
}

/// What is held back.
#[derive(Debug, Default)]
pub(super) struct Held {
    part: Option<(Part, Instant)>,
    begun: bool,
}

#[cfg(test)]
impl Coalescing {
    pub(crate) const OFF: Self = Self {
        time: Duration::ZERO,
        bytes: 0,
    };
}

impl Default for Coalescing {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(50),
            bytes: 4 * 1024,
        }
    }
}

impl Held {
    /// Takes a part, and gives what is to be said now: what was held before it, and itself, if either.
    pub(super) fn take(&mut self, part: Part, coalescing: Coalescing) -> [Option<Part>; 2] {
        let first = !std::mem::replace(&mut self.begun, true);
        if coalescing.time.is_zero() || first || !part.grows() {
            return [self.release(), Some(part)];
        }
        let Some((held, _)) = &mut self.part else {
            return [None, self.hold(part, coalescing)];
        };
        match held.join(part, coalescing.bytes) {
            Ok(()) if held.len() >= coalescing.bytes => [self.release(), None],
            Ok(()) => [None, None],
            Err(part) => [self.release(), self.hold(part, coalescing)],
        }
    }

    /// Gives what is held, whatever the time.
    pub(super) fn release(&mut self) -> Option<Part> {
        self.part.take().map(|(part, _)| part)
    }

    /// When what is held is to be said.
    pub(super) fn due(&self) -> Option<Instant> {
        self.part.as_ref().map(|(_, due)| *due)
    }

    /// Holds the part, unless it is long enough by itself.
    fn hold(&mut self, part: Part, coalescing: Coalescing) -> Option<Part> {
        if part.len() >= coalescing.bytes {
            return Some(part);
        }
        self.part = Some((part, Instant::now() + coalescing.time));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Part {
        Part::Answer(text.to_owned())
    }

    #[test]
    fn the_first_goes_at_once_and_the_next_are_joined() {
        let mut held = Held::default();
        let mut take = |text| held.take(answer(text), Coalescing::default());
        assert_eq!(take("a"), [None, Some(answer("a"))]);
        assert_eq!(take("b"), [None, None]);
        assert_eq!(take("c"), [None, None]);
        assert!(held.due().is_some());
        assert_eq!(held.release(), Some(answer("bc")));
        assert_eq!(held.due(), None);
    }

    #[test]
    fn another_kind_lets_go_of_what_is_held() {
        let mut held = Held::default();
        let thinking = |text: &str| Part::Thinking(text.to_owned());
        held.take(thinking("a"), Coalescing::default());
        held.take(thinking("b"), Coalescing::default());
        assert_eq!(
            held.take(answer("x"), Coalescing::default()),
            [Some(thinking("b")), None]
        );
        let usage = Part::Usage(serde_json::json!({}));
        assert_eq!(
            held.take(usage.clone(), Coalescing::default()),
            [Some(answer("x")), Some(usage)]
        );
    }

    #[test]
    fn what_is_long_enough_goes() {
        let mut held = Held::default();
        let coalescing = Coalescing {
            bytes: 4,
            ..Coalescing::default()
        };
        held.take(answer("a"), coalescing);
        assert_eq!(held.take(answer("bc"), coalescing), [None, None]);
        assert_eq!(
            held.take(answer("de"), coalescing),
            [Some(answer("bcde")), None]
        );
        assert_eq!(
            held.take(answer("fghij"), coalescing),
            [None, Some(answer("fghij"))]
        );
    }

    #[test]
    fn off_is_off() {
        let mut held = Held::default();
        for text in ["a", "b"] {
            assert_eq!(
                held.take(answer(text), Coalescing::OFF),
                [None, Some(answer(text))]
            );
        }
    }
}
