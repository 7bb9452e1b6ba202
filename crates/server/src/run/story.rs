//! What a run has said so far, and how that is kept.

use std::collections::VecDeque;

use serde_json::Value;
use tokio::time::Instant;
use wellspring::{AppendError, Epoch, Reader};

use super::coalesce::{Coalescing, Held};
use super::part::{Ending, Part, State};
use super::push::Desk;
use super::spelling::{From, Spelling};
use super::{BYTES, Outgrown};
use crate::dialect::{self, Dialect, Head, Said};

#[derive(Debug)]
pub(super) struct Story {
    parts: VecDeque<Part>,
    /// Of the parts, in bytes of text and what there is around it.
    bytes: usize,
    /// Whether parts were dropped from the front.
    outgrown: bool,
    held: Held,
    spellings: Vec<Spelling>,
    ending: Option<(Ending, Instant)>,
    /// When the producer said something for the last time.
    touched: Instant,
    pub(super) tally: Tally,
    /// Where producers come and go; none of a run that has one producer of its own.
    pub(super) desk: Option<Desk>,
}

/// What is counted of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// Pieces of thought and answer, as their producer gave them.
    pub(super) tokens: u64,
    /// How many of them came while nobody was reading.
    pub(super) unread: u64,
    pub(super) first: Option<Instant>,
}

impl Story {
    pub(super) fn new(head: &Head, verbatim: Option<&'static dyn Dialect>) -> Self {
        Self {
            parts: VecDeque::new(),
            bytes: 0,
            outgrown: false,
            held: Held::default(),
            spellings: verbatim
                .map(|dialect| Spelling::new(dialect, head, true))
                .into_iter()
                .collect(),
            ending: None,
            touched: Instant::now(),
            tally: Tally::default(),
            desk: None,
        }
    }

    pub(super) fn state(&self) -> State {
        self.ending
            .as_ref()
            .map_or(State::Open, |(ending, _)| ending.state())
    }

    pub(super) fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref().map(|(ending, _)| ending)
    }

    pub(super) fn ended(&self) -> Option<Instant> {
        self.ending.as_ref().map(|(_, at)| *at)
    }

    pub(super) fn silence(&self) -> std::time::Duration {
        self.touched.elapsed()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.held.due()
    }

    /// What was said, without what is still held back.
    pub(super) fn parts(&self) -> impl DoubleEndedIterator<Item = &Part> {
        self.parts.iter()
    }

    /// Takes a part from the producer; nothing once the run is over.
    pub(super) fn take(
        &mut self,
        head: &Head,
        part: Part,
        coalescing: Coalescing,
        unread: bool,
    ) -> Result<(), AppendError> {
        if self.ending.is_some() {
            return Ok(());
        }
        self.touched = Instant::now();
        if part.is_empty() {
            return Ok(());
        }
        if matches!(part, Part::Thinking(_) | Part::Answer(_)) {
            self.tally.tokens += 1;
            self.tally.unread += u64::from(unread);
            self.tally.first.get_or_insert(self.touched);
        }
        for part in self.held.take(part, coalescing).into_iter().flatten() {
            self.say(head, part)?;
        }
        Ok(())
    }

    /// Takes an event of the upstream as it is, for those who read its dialect.
    pub(super) fn repeat(&mut self, event_type: &str, data: &str) -> Result<(), AppendError> {
        if self.ending.is_some() {
            return Ok(());
        }
        self.touched = Instant::now();
        let verbatim = self
            .spellings
            .iter_mut()
            .find(|spelling| spelling.is_verbatim());
        verbatim.map_or(Ok(()), |spelling| spelling.repeat(event_type, data))
    }

    /// Says what was held back.
    pub(super) fn flush(&mut self, head: &Head) -> Result<(), AppendError> {
        match self.held.release() {
            Some(part) => self.say(head, part),
            None => Ok(()),
        }
    }

    /// Whether this was the first end.
    pub(super) fn finish(&mut self, head: &Head, ending: &Ending) -> bool {
        if self.ending.is_some() {
            return false;
        }
        // A part that is too large for some dialect is a failure already, and this the place where it ends.
        let _ = self.flush(head);
        let mut ending = ending.clone();
        if let Ending::Done(summary) = &mut ending
            && summary.usage.is_none()
        {
            summary.usage = self.usage().cloned();
        }
        for spelling in &mut self.spellings {
            let _ = spelling.say(&Said::End(&ending));
            spelling.close();
        }
        self.ending = Some((ending, Instant::now()));
        true
    }

    /// The token counts that were given last.
    pub(super) fn usage(&self) -> Option<&Value> {
        self.parts.iter().rev().find_map(|part| match part {
            Part::Usage(counts) => Some(counts),
            _ => None,
        })
    }

    pub(super) fn read(
        &mut self,
        head: &Head,
        dialect: &'static dyn Dialect,
        from: From,
    ) -> Result<Reader, Outgrown> {
        let index = self.spelled(head, dialect)?;
        let ending = self.ending.as_ref().map(|(ending, _)| ending);
        Ok(self.spellings[index].read(head, from, self.parts.iter(), ending))
    }

    /// How many events there are in one dialect.
    pub(super) fn count(
        &mut self,
        head: &Head,
        dialect: &'static dyn Dialect,
    ) -> Result<u64, Outgrown> {
        let index = self.spelled(head, dialect)?;
        Ok(self.spellings[index].log().tail().next)
    }

    pub(super) fn whole(
        &mut self,
        head: &Head,
        dialect: &'static dyn Dialect,
    ) -> Result<Option<String>, Outgrown> {
        let index = self.spelled(head, dialect)?;
        Ok(self.spellings[index].whole())
    }

    /// The life of the log in one dialect, if it is spelled.
    pub(super) fn epoch(&self, dialect: &'static dyn Dialect) -> Option<Epoch> {
        let spelling = self.spellings.iter().find(|known| known.is(dialect))?;
        Some(spelling.log().epoch())
    }

    /// How many events readers of our own dialect have been given; as many as there are parts.
    pub(super) fn events(&self) -> u64 {
        let native = self
            .spellings
            .iter()
            .find(|known| known.is(dialect::NATIVE));
        native.map_or(
            self.parts.len() as u64 + u64::from(self.ending.is_some()),
            |native| native.log().tail().next,
        )
    }

    fn say(&mut self, head: &Head, part: Part) -> Result<(), AppendError> {
        for spelling in &mut self.spellings {
            spelling.say(&Said::Part(&part))?;
        }
        self.bytes += weight(&part);
        self.parts.push_back(part);
        if self.bytes > BYTES {
            // From its log readers learn what is gone (`gap`); so it has to be there before that.
            let _ = self.spelled(head, dialect::NATIVE);
            self.outgrown = true;
            while self.bytes > BYTES
                && let Some(part) = self.parts.pop_front()
            {
                self.bytes -= weight(&part);
            }
        }
        Ok(())
    }

    /// Where the spelling in one dialect is; it is made from what was said, if it is not there.
    fn spelled(&mut self, head: &Head, dialect: &'static dyn Dialect) -> Result<usize, Outgrown> {
        let known = self.spellings.iter().position(|known| known.is(dialect));
        if let Some(index) = known {
            return Ok(index);
        }
        if self.outgrown {
            return Err(Outgrown);
        }
        let mut spelling = Spelling::new(dialect, head, false);
        // A part that this dialect cannot hold ends the story there, for its readers.
        let mut said = spelling.say(&Said::Beginning);
        for part in &self.parts {
            said = said.and_then(|()| spelling.say(&Said::Part(part)));
        }
        if let Some((ending, _)) = &self.ending {
            let _ = said.and_then(|()| spelling.say(&Said::End(ending)));
            spelling.close();
        }
        self.spellings.push(spelling);
        Ok(self.spellings.len() - 1)
    }
}

fn weight(part: &Part) -> usize {
    size_of::<Part>() + part.len()
}
