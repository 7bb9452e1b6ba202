//! How the model's server behaves, named by the model that is asked for.

use std::time::Duration;

/// In good order, or one of the ways in which such servers fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Every token, then the end.
    Steady,
    /// Its status comes after [`Manner::SLOW`].
    SlowFirstByte,
    /// 429, and when to come back.
    Limited,
    /// 500 instead of an answer.
    Broken,
    /// An error after the first token, as the format has it.
    BrokenLater,
    /// The connection breaks in the middle of the answer.
    Cut,
    /// After the first token something that is no JSON.
    Garbage,
    /// After the first token a line of [`Manner::LONG`] bytes.
    LongLine,
    /// Tokens for ever.
    Endless,
    /// Lines that end with CR LF.
    Crlf,
    /// Comments among the events, with blank lines after them and without.
    Comments,
    /// It ends in good order, without the event that says so.
    Unterminated,
    /// 307, to itself.
    Redirect,
}

impl Manner {
    pub(crate) const ALL: [Self; 13] = [
        Self::Steady,
        Self::SlowFirstByte,
        Self::Limited,
        Self::Broken,
        Self::BrokenLater,
        Self::Cut,
        Self::Garbage,
        Self::LongLine,
        Self::Endless,
        Self::Crlf,
        Self::Comments,
        Self::Unterminated,
        Self::Redirect,
    ];

    /// Longer than a server in between may wait for a status.
    pub(crate) const SLOW: Duration = Duration::from_secs(5);
    /// Ten megabytes, of one token.
    pub(super) const LONG: usize = 10_000_000;

    /// The model to ask for.
    pub(crate) const fn model(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::SlowFirstByte => "slow-first-byte",
            Self::Limited => "limited",
            Self::Broken => "broken",
            Self::BrokenLater => "broken-later",
            Self::Cut => "cut",
            Self::Garbage => "garbage",
            Self::LongLine => "long-line",
            Self::Endless => "endless",
            Self::Crlf => "crlf",
            Self::Comments => "comments",
            Self::Unterminated => "unterminated",
            Self::Redirect => "redirect",
        }
    }

    pub(super) fn named(model: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|manner| manner.model() == model)
    }
}
