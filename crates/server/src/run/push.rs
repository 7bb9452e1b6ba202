//! Producers that come and go: an app that pushes a run, in as many requests as its connections take.
//!
//! The parts of a run are numbered from 0 by whoever pushes, over all requests. A part whose number was
//! taken is not taken again, so a producer that is not sure what arrived sends it once more. A producer
//! that was started anew has a higher epoch: from its first request on the one before it is fenced off.

use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;

use super::Run;
use super::part::{Ending, Part, State};
use super::story::Story;

/// Which producer this is, and the number of the first part that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) epoch: u64,
    pub(crate) first: u64,
}

/// What one pushed record says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pushed {
    Part(Part),
    End(Ending),
}

/// One request that pushes. When it goes the run stays open, for the next.
#[derive(Debug)]
pub(crate) struct Pusher {
    run: Arc<Run>,
    turn: u64,
    epoch: Option<u64>,
    /// The number of the part that it sends next.
    at: u64,
    /// Whether the run's end is no reason to stop: it was over before, and what comes may be what it
    /// has already; or it was this one that ended it.
    past_end: bool,
}

/// Why a part, or all of a request, is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum PushError {
    #[error("this run is fed by the server itself; begin one without `request` to push into it")]
    Fed,
    #[error(
        "another request pushes into this run; with Producer-Epoch and Producer-Seq a later one takes over"
    )]
    Busy,
    #[error("a producer of epoch {epoch} has taken over")]
    Fenced { epoch: u64 },
    #[error("a later request has taken over")]
    Superseded,
    #[error("part {expected} comes next, and this is part {received}: send what is between, too")]
    Gap { expected: u64, received: u64 },
    #[error("the run is over: it takes no more parts")]
    Over,
}

/// Who pushes into a run, and how far they are.
#[derive(Debug, Default)]
pub(super) struct Desk {
    epoch: Option<u64>,
    /// The number of the next part that is new.
    next: u64,
    /// How many requests have been here; the last of them has the word.
    turns: u64,
    busy: bool,
}

/// How far the producers of a run are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Progress {
    /// Of the producer that came last; none of one that gives none.
    pub(crate) epoch: Option<u64>,
    /// The number of the next part that is new.
    pub(crate) next: u64,
}

impl Pusher {
    /// Begins to push: from now on this request has the word, and any before it has it no longer.
    ///
    /// Without a claim nobody is interrupted, and what comes is taken as new.
    ///
    /// # Errors
    ///
    /// [`PushError`]
    pub(crate) fn begin(run: &Arc<Run>, claim: Option<Claim>) -> Result<Self, PushError> {
        let mut story = run.story();
        let past_end = story.state() != State::Open;
        let desk = story.desk.as_mut().ok_or(PushError::Fed)?;
        let has_it = claim.is_some_and(|claim| claim.first <= desk.next);
        if past_end && !has_it {
            return Err(PushError::Over);
        }
        let (turn, at) = desk.take(claim)?;
        drop(story);
        run.bell.notify_waiters();
        Ok(Self {
            run: Arc::clone(run),
            turn,
            epoch: claim.map(|claim| claim.epoch),
            at,
            past_end,
        })
    }

    /// Takes the next record: whether it is new.
    ///
    /// # Errors
    ///
    /// [`PushError`]; nothing was taken then.
    pub(crate) fn push(&mut self, pushed: Pushed) -> Result<bool, PushError> {
        let mut story = self.run.story();
        let desk = self.desk(&mut story)?;
        if self.at < desk.next {
            self.at += 1;
            return Ok(false);
        }
        if story.state() != State::Open {
            return Err(PushError::Over);
        }
        self.at += 1;
        if let Some(desk) = &mut story.desk {
            desk.next = self.at;
        }
        match pushed {
            Pushed::Part(part) => self.run.take(story, part),
            Pushed::End(ending) => {
                self.past_end = true;
                self.run.end(story, &ending);
            }
        }
        Ok(true)
    }

    /// Waits for `source`, and sees meanwhile to what is held back.
    ///
    /// # Errors
    ///
    /// As soon as there is nothing more to push: [`PushError::Over`], or that another has the word. The
    /// source is dropped then.
    pub(crate) async fn wait<F: Future>(&self, source: F) -> Result<F::Output, PushError> {
        let output = self.run.attend(source, || self.check().is_ok()).await;
        match output {
            Some(output) => Ok(output),
            None => Err(self.check().err().unwrap_or(PushError::Over)),
        }
    }

    /// How far all producers are, and where the run is.
    pub(crate) fn progress(&self) -> (Progress, State) {
        let story = self.run.story();
        let progress = story.desk.as_ref().map(Desk::progress);
        (progress.unwrap_or_default(), story.state())
    }

    fn check(&self) -> Result<(), PushError> {
        let mut story = self.run.story();
        self.desk(&mut story)?;
        if self.past_end || story.state() == State::Open {
            Ok(())
        } else {
            Err(PushError::Over)
        }
    }

    /// Where it stands, while it has the word.
    fn desk<'s>(&self, story: &'s mut Story) -> Result<&'s mut Desk, PushError> {
        let desk = story.desk.as_mut().ok_or(PushError::Fed)?;
        if desk.turns == self.turn {
            return Ok(desk);
        }
        Err(match desk.epoch {
            Some(epoch) if Some(epoch) != self.epoch => PushError::Fenced { epoch },
            _ => PushError::Superseded,
        })
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        let mut story = self.run.story();
        if let Ok(desk) = self.desk(&mut story) {
            desk.busy = false;
            drop(story);
            // Nobody waits with what is held back from now on.
            self.run.flush();
        }
    }
}

impl Desk {
    pub(super) fn progress(&self) -> Progress {
        Progress {
            epoch: self.epoch,
            next: self.next,
        }
    }

    /// Gives the word to a request: its turn, and the number of its first part.
    fn take(&mut self, claim: Option<Claim>) -> Result<(u64, u64), PushError> {
        let first = match (claim, self.epoch) {
            (None, _) if self.busy => return Err(PushError::Busy),
            (None, _) => self.next,
            (Some(claim), Some(epoch)) if claim.epoch < epoch => {
                return Err(PushError::Fenced { epoch });
            }
            (Some(Claim { first, .. }), _) if first > self.next => {
                return Err(PushError::Gap {
                    expected: self.next,
                    received: first,
                });
            }
            (Some(claim), _) => {
                self.epoch = Some(claim.epoch);
                claim.first
            }
        };
        self.turns += 1;
        self.busy = true;
        Ok((self.turns, first))
    }
}
