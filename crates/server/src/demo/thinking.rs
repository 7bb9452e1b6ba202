//! What the demo thinks before it answers: how it will go about it, and only what is so.

use std::collections::VecDeque;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use super::token::{self, Lead, Typist};
use super::{CHAIN, Token};

/// A thought about a prompt, one token at a time. It counts towards no bound of the answer.
#[derive(Debug)]
pub(crate) struct Thinking {
    random: Xoshiro256PlusPlus,
    tokens: VecDeque<String>,
    typist: Typist,
}

impl Thinking {
    /// The same prompt and seed give the same tokens and the same pauses on every machine.
    pub(crate) fn new(prompt: &str, seed: u64) -> Self {
        let thought = match CHAIN.open_about(prompt) {
            Some(opening) => format!(
                "\"{}\" is how I can begin; for each word that follows I throw dice.",
                CHAIN.begin(opening)
            ),
            None => {
                "I know none of these words, so I throw dice for the first one, too.".to_owned()
            }
        };
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            tokens: token::tokens(thought.split(' '), Lead::Nothing),
            typist: Typist::default(),
        }
    }
}

impl Iterator for Thinking {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let text = self.tokens.pop_front()?;
        Some(self.typist.type_out(text, &mut self.random))
    }
}
