//! Words into tokens, in the manner of the tokenizers of language models: a space belongs to the word it precedes,
//! punctuation stands alone, and a long word comes in pieces.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use rand::RngExt;

use super::Token;

/// The letters of the longest piece; with the leading space a token has at most one character more.
const PIECE: usize = 7;

/// What stands between a sentence and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// There is none before it.
    Nothing,
    Space,
    /// An empty line, which is a token of its own.
    Paragraph,
}

/// Paces tokens as a language model does.
#[derive(Debug, Default)]
pub(super) struct Typist {
    last: Last,
}

/// What the last token was: it decides the pause before the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    #[default]
    None,
    InSentence,
    SentenceEnd,
}

impl Typist {
    pub(super) fn type_out(&mut self, text: String, random: &mut impl RngExt) -> Token {
        let pause = Duration::from_millis(random.random_range(self.last.milliseconds()));
        self.last = if text.ends_with(['.', '?', '!']) {
            Last::SentenceEnd
        } else {
            Last::InSentence
        };
        Token { text, pause }
    }

    pub(super) fn has_ended_sentence(&self) -> bool {
        self.last == Last::SentenceEnd
    }
}

impl Last {
    const fn milliseconds(self) -> RangeInclusive<u64> {
        match self {
            Self::None => 260..=340,
            Self::InSentence => 20..=45,
            Self::SentenceEnd => 120..=240,
        }
    }
}

/// The tokens of one sentence.
pub(super) fn tokens<'a>(words: impl IntoIterator<Item = &'a str>, lead: Lead) -> VecDeque<String> {
    let mut tokens = VecDeque::new();
    if lead == Lead::Paragraph {
        tokens.push_back("\n\n".to_owned());
    }
    let mut space = lead == Lead::Space;
    for word in words {
        push_word(word, space, &mut tokens);
        space = true;
    }
    tokens
}

fn push_word(word: &str, space: bool, tokens: &mut VecDeque<String>) {
    let stem = word.trim_end_matches(|character: char| character.is_ascii_punctuation());
    let letters: Vec<char> = stem.chars().collect();
    // Pieces of even length: "something" is "somet" + "hing", never "somethi" + "ng".
    let pieces = letters.len().div_ceil(PIECE).max(1);
    let length = letters.len().div_ceil(pieces).max(1);
    for (index, piece) in letters.chunks(length).enumerate() {
        let lead = (space && index == 0).then_some(' ');
        tokens.push_back(lead.into_iter().chain(piece.iter().copied()).collect());
    }
    tokens.extend(word[stem.len()..].chars().map(String::from));
}
