//! The demo model: what answers a chat when no upstream is named, so that the page works with no network.
//!
//! It is a Markov chain over a short text that ships with the program, cut into tokens and paced like a language
//! model. It says so at the start of every answer. Nothing here sleeps, spawns or reads a clock: [`Thinking`] and
//! [`Answer`] are iterators, and whoever drains them waits the [`Token::pause`]s out.

mod chain;
mod run;
mod thinking;
mod token;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use self::chain::{Chain, Opening};
pub(crate) use self::run::{Prompt, answer, answer_whole};
pub(crate) use self::thinking::Thinking;
use self::token::{Lead, Typist};

/// The model id under which the demo is listed and answers.
pub(crate) const MODEL: &str = "wellspring-demo";

/// The longest answer, in tokens, whatever the request asks for: 168 s of typing.
pub(crate) const MAX_TOKENS: u32 = 4096;

/// How every answer begins.
const NOTICE: &str = "This is a built-in Markov chain, not a language model: to talk to one, start the server with \
                      --upstream URL.";

/// Without a wish of the request, an answer ends with the first sentence that reaches a length in this range...
const DEFAULT_TARGET: std::ops::RangeInclusive<u32> = 120..=180;
/// ...and is never longer than this. Both count the notice.
const DEFAULT_LIMIT: u32 = 200;

/// A paragraph is broken after this many sentences.
const SENTENCES_PER_PARAGRAPH: u32 = 6;

/// How often a sentence that is too long for the rest of the answer is thrown again before the answer ends early.
const TRIES: usize = 12;

/// Built by the first answer: 11 KiB of text, 0.6 ms with optimizations.
static CHAIN: LazyLock<Chain> = LazyLock::new(|| Chain::new(include_str!("demo/spring.txt")));

/// One token of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// One to eight characters, with the leading space when they begin a word: tokens are joined with nothing between.
    pub text: String,
    /// How long to wait *before* this token is sent.
    pub pause: Duration,
}

/// An answer to a prompt, one token at a time.
///
/// The same prompt, bound and seed give the same tokens and the same pauses on every machine.
///
/// # Cost
///
/// Holds one sentence at a time: a few KiB, however long the answer.
#[derive(Debug)]
pub(crate) struct Answer {
    random: Xoshiro256PlusPlus,
    /// Texts of the sentence that is being sent.
    sentence: VecDeque<String>,
    /// How the first sentence after the notice begins; taken by it.
    opening: Option<Opening>,
    /// Tokens composed so far, sent or not.
    composed: u32,
    sentences: u32,
    target: u32,
    limit: u32,
    typist: Typist,
}

/// Why an answer ended, in the words of the chat completions API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinishReason {
    /// At the end of a sentence.
    Stop,
    /// In the middle of one, because the bound was reached.
    Length,
}

impl FinishReason {
    /// The spelling on the wire: `stop` or `length`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

impl Answer {
    /// Answers `prompt` with at most `max_tokens` tokens, or about 120 to 200 without a wish; never more than
    /// [`MAX_TOKENS`].
    ///
    /// A wish is also a target: the answer comes as near to it as whole sentences allow. Its first sentence after the
    /// notice is about a word of the prompt when the chain knows one.
    pub(crate) fn new(prompt: &str, max_tokens: Option<u32>, seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (target, limit) = match max_tokens.map(|wish| wish.min(MAX_TOKENS)) {
            Some(limit) => (limit, limit),
            None => (random.random_range(DEFAULT_TARGET), DEFAULT_LIMIT),
        };
        let mut notice = token::tokens(NOTICE.split(' '), Lead::Nothing);
        // The only sentence that may be cut: a bound this small leaves no room for another one.
        notice.truncate(limit as usize);
        Self {
            composed: count(&notice),
            random,
            sentence: notice,
            opening: CHAIN.open_about(prompt),
            sentences: 0,
            target,
            limit,
            typist: Typist::default(),
        }
    }

    /// Why the answer ended; meaningful once the iterator has returned `None`.
    pub(crate) fn finish_reason(&self) -> FinishReason {
        if self.typist.has_ended_sentence() {
            FinishReason::Stop
        } else {
            FinishReason::Length
        }
    }

    /// Composes one more sentence, unless the answer is long enough or none is found that fits.
    fn compose(&mut self) {
        let room = self.limit.saturating_sub(self.composed);
        if self.composed >= self.target || !self.typist.has_ended_sentence() {
            return;
        }
        let opening = self.opening.take();
        for attempt in 0..TRIES {
            // A sentence about the prompt gets half of the tries; then any sentence will do.
            let words = CHAIN.sentence(opening.filter(|_| attempt < TRIES / 2), &mut self.random);
            let new_paragraph = self.sentences.is_multiple_of(SENTENCES_PER_PARAGRAPH);
            let lead = if new_paragraph {
                Lead::Paragraph
            } else {
                Lead::Space
            };
            let sentence = token::tokens(words.iter().map(String::as_str), lead);
            let length = count(&sentence);
            if length <= room {
                self.sentence = sentence;
                self.composed += length;
                self.sentences += 1;
                return;
            }
        }
    }
}

impl Iterator for Answer {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if self.sentence.is_empty() {
            self.compose();
        }
        let text = self.sentence.pop_front()?;
        Some(self.typist.type_out(text, &mut self.random))
    }
}

fn count(sentence: &VecDeque<String>) -> u32 {
    u32::try_from(sentence.len()).unwrap_or(u32::MAX)
}
