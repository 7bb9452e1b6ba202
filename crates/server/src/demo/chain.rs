//! A Markov chain over the words of a text: which word follows which two.

use std::collections::HashMap;

use rand::RngExt;

/// A word of the text, with the punctuation that follows it; [`BORDER`] is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct WordId(usize);

/// What stands before the first word of a sentence, and after its last.
const BORDER: WordId = WordId(0);

/// A sentence that has not found its end by then is thrown again.
const LONGEST_SENTENCE: usize = 48;

/// Where the text offers one continuation only, the chain looks at one word instead of two this often. It halves the
/// share of sentences that are the text's own, from 10 % to 5 %; more of it costs grammar.
const FALL_BACK: f64 = 0.3;

/// Shorter words of a prompt ("the", "is") say nothing about what it is about.
const SHORTEST_SUBJECT: usize = 4;

/// A prompt's words beyond this are not looked at: it may be megabytes long.
const PROMPT_WORDS: usize = 2_000;

/// Every continuation, once for each time that the text has it: a uniform choice among them is a weighted one.
type Continuations = Vec<WordId>;

#[derive(Debug)]
pub(super) struct Chain {
    words: Vec<&'static str>,
    after_two: HashMap<(WordId, WordId), Continuations>,
    after_one: HashMap<WordId, Continuations>,
    /// How a sentence about a word begins; the words are in lower case.
    subjects: HashMap<String, Opening>,
}

/// The first word or two of a sentence about something: "Patience", "A well".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opening {
    /// An article, or [`BORDER`].
    article: WordId,
    subject: WordId,
}

impl Chain {
    /// Learns from `text`: sentences of words between white space, each ended by `.`, `?` or `!`.
    pub(super) fn new(text: &'static str) -> Self {
        let mut chain = Self {
            words: vec![""],
            after_two: HashMap::new(),
            after_one: HashMap::new(),
            subjects: HashMap::new(),
        };
        let mut ids = HashMap::new();
        let (mut before, mut last) = (BORDER, BORDER);
        for word in text.split_whitespace() {
            let id = *ids.entry(word).or_insert_with(|| {
                chain.words.push(word);
                WordId(chain.words.len() - 1)
            });
            chain.learn(before, last, id);
            (before, last) = (last, id);
            if ends_sentence(word) {
                chain.learn(before, last, BORDER);
                (before, last) = (BORDER, BORDER);
            }
        }
        chain.index_subjects();
        chain
    }

    fn learn(&mut self, before: WordId, last: WordId, next: WordId) {
        self.after_two.entry((before, last)).or_default().push(next);
        self.after_one.entry(last).or_default().push(next);
    }

    fn index_subjects(&mut self) {
        let articles =
            ["A", "An", "The"].map(|article| self.words.iter().position(|word| *word == article));
        for (index, word) in self.words.iter().enumerate().skip(1) {
            // A word with a comma or a full stop after it cannot begin a sentence.
            if bare(word).len() != word.len() || word.len() < SHORTEST_SUBJECT {
                continue;
            }
            let subject = WordId(index);
            let begins = self.after_two.contains_key(&(BORDER, subject));
            // As the text begins its own sentences, if it does: "A well" rather than "Well".
            let article = articles
                .iter()
                .flatten()
                .map(|article| WordId(*article))
                .find(|article| {
                    let openings = self.after_two.get(&(BORDER, *article));
                    !begins && openings.is_some_and(|openings| openings.contains(&subject))
                });
            let opening = Opening {
                article: article.unwrap_or(BORDER),
                subject,
            };
            let known = self
                .subjects
                .entry(word.to_ascii_lowercase())
                .or_insert(opening);
            if begins || article.is_some() {
                *known = opening;
            }
        }
    }

    /// How a sentence about the longest known word of `prompt` begins; the first of several as long.
    pub(super) fn open_about(&self, prompt: &str) -> Option<Opening> {
        let subjects = prompt
            .split_whitespace()
            .take(PROMPT_WORDS)
            .filter_map(|word| {
                let word = bare(word);
                Some((word.len(), *self.subjects.get(&word.to_ascii_lowercase())?))
            });
        let longest = subjects.reduce(|longest, subject| {
            if subject.0 > longest.0 {
                subject
            } else {
                longest
            }
        });
        longest.map(|(_, opening)| opening)
    }

    /// The words of an opening, as a sentence begins with them.
    pub(super) fn begin(&self, opening: Opening) -> String {
        let mut words: Vec<String> = [opening.article, opening.subject]
            .into_iter()
            .filter(|word| *word != BORDER)
            .map(|word| self.words[word.0].to_owned())
            .collect();
        capitalize(&mut words);
        words.join(" ")
    }

    /// A sentence that begins with `opening`, or as one of the text does: with a capital letter and its full stop.
    pub(super) fn sentence(
        &self,
        opening: Option<Opening>,
        random: &mut impl RngExt,
    ) -> Vec<String> {
        loop {
            let mut words = Vec::new();
            let (mut before, mut last) = (BORDER, BORDER);
            let mut next = match opening {
                Some(Opening {
                    article: BORDER,
                    subject,
                }) => subject,
                Some(Opening { article, subject }) => {
                    words.push(self.words[article.0].to_owned());
                    last = article;
                    subject
                }
                None => self.next(before, last, random),
            };
            while next != BORDER && words.len() < LONGEST_SENTENCE {
                words.push(self.words[next.0].to_owned());
                (before, last) = (last, next);
                next = self.next(before, last, random);
            }
            if next == BORDER {
                capitalize(&mut words);
                return words;
            }
        }
    }

    /// Order two; order one where the pair is unknown, as after a prompt's word, or leaves no choice.
    fn next(&self, before: WordId, last: WordId, random: &mut impl RngExt) -> WordId {
        let two = self.after_two.get(&(before, last)).filter(|continuations| {
            let choice = continuations.iter().any(|next| *next != continuations[0]);
            choice || !random.random_bool(FALL_BACK)
        });
        let continuations = two
            .or_else(|| self.after_one.get(&last))
            .map_or(&[][..], Vec::as_slice);
        match continuations {
            [] => BORDER,
            some => some[random.random_range(0..some.len())],
        }
    }
}

fn ends_sentence(word: &str) -> bool {
    word.ends_with(['.', '?', '!'])
}

/// `word` without the ASCII punctuation around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|character: char| character.is_ascii_punctuation())
}

fn capitalize(words: &mut [String]) {
    if let Some(initial) = words.first_mut().and_then(|word| word.get_mut(..1)) {
        initial.make_ascii_uppercase();
    }
}
