//! A run: a finite log with an owner, a producer, an end and a lifetime. It is what an answer of a
//! language model, an agent's work or a long job is.
//!
//! ```text
//!   producer ──▶ coalescing ──▶ parts ──▶ spelling: native      ──▶ readers
//!                                    └──▶ spelling: AI SDK      ──▶ readers     made when first read
//!   upstream's own words ───────────────▶ spelling: its dialect ──▶ readers
//! ```
//!
//! A run outlives the request that began it. Its readers come and go; what their going means is the
//! run's policy ([`OnDisconnect`]). Its end is an event like others, so that who comes late gets all
//! of it, and then the end.

mod coalesce;
mod part;
mod presence;
mod producer;
mod push;
mod report;
mod spelling;
mod story;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use wellspring::Reader;

use crate::dialect::{Dialect, Head};
use push::Desk;
use story::Story;

pub(crate) use coalesce::Coalescing;
pub(crate) use part::{Ending, Part, State, Summary, ToolCall};
pub(crate) use presence::Presence;
pub(crate) use producer::{Producer, Stopped};
pub(crate) use push::{Claim, PushError, Pushed, Pusher};
pub(crate) use report::{Outline, Report, now};
pub(crate) use spelling::From;

/// What a run keeps, in bytes: enough for any answer. Of a job that says more the oldest goes.
const BYTES: usize = 4 * 1024 * 1024;

/// One run, in every dialect.
#[derive(Debug)]
pub(crate) struct Run {
    head: Head,
    options: RunOptions,
    born: Instant,
    readers: AtomicUsize,
    /// How many readers there have been.
    visits: AtomicUsize,
    /// Rung when the run is over, or another pushes, for who waits to say more.
    bell: Notify,
    story: Mutex<Story>,
}

/// How a run behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RunOptions {
    pub(crate) coalescing: Coalescing,
    pub(crate) on_disconnect: OnDisconnect,
    /// The longest silence of its producer; none for as long as it likes.
    pub(crate) expires: Option<Duration>,
}

/// What happens to a run whose last reader has left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnDisconnect {
    /// It goes on, for whoever comes back.
    #[default]
    Continue,
    /// It is cancelled at once: nobody pays for tokens that nobody reads.
    Cancel,
    /// It is cancelled unless somebody comes back within so many seconds.
    CancelAfter(u32),
}

/// The beginning of the run is no longer kept, and this dialect was never read before it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outgrown;

impl Run {
    /// A run that nobody has said anything in. `verbatim` is the dialect that its upstream speaks.
    pub(crate) fn new(
        head: Head,
        options: RunOptions,
        verbatim: Option<&'static dyn Dialect>,
    ) -> Self {
        let story = Story::new(&head, verbatim);
        Self::begin(head, options, story)
    }

    /// The same, of a run that waits for whoever pushes.
    pub(crate) fn pushed(head: Head, options: RunOptions) -> Self {
        let mut story = Story::new(&head, None);
        story.desk = Some(Desk::default());
        Self::begin(head, options, story)
    }

    fn begin(head: Head, options: RunOptions, story: Story) -> Self {
        Self {
            story: Mutex::new(story),
            head,
            options,
            born: Instant::now(),
            readers: AtomicUsize::new(0),
            visits: AtomicUsize::new(0),
            bell: Notify::new(),
        }
    }

    pub(crate) fn id(&self) -> &Arc<str> {
        &self.head.id
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn state(&self) -> State {
        self.story().state()
    }

    /// How long ago it ended; none while it is open.
    pub(crate) fn ended(&self) -> Option<Duration> {
        self.story().ended().map(|ended| ended.elapsed())
    }

    /// A reader of this run in one dialect.
    ///
    /// # Errors
    ///
    /// When the run has outgrown what is kept of it, and was never read in this dialect before.
    pub(crate) fn read(
        &self,
        dialect: &'static dyn Dialect,
        from: From,
    ) -> Result<Reader, Outgrown> {
        self.story().read(&self.head, dialect, from)
    }

    /// How many events it has in one dialect so far.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) fn count(&self, dialect: &'static dyn Dialect) -> Result<u64, Outgrown> {
        self.story().count(&self.head, dialect)
    }

    /// All that was said so far in one JSON document, if the dialect has one.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) fn whole(&self, dialect: &'static dyn Dialect) -> Result<Option<String>, Outgrown> {
        self.story().whole(&self.head, dialect)
    }

    /// Whether a cursor of this dialect is of this run, and no other.
    pub(crate) fn gave_out(&self, dialect: &'static dyn Dialect, epoch: wellspring::Epoch) -> bool {
        self.story().epoch(dialect) == Some(epoch)
    }

    /// Ends it as cancelled, unless it is over. Its producer stops, and lets go of its upstream.
    pub(crate) fn cancel(&self) {
        self.finish(&Ending::Cancelled);
    }

    /// Ends it as expired, if its producer was silent for too long.
    pub(crate) fn expire(&self) {
        let silence = self.story().silence();
        if self
            .options
            .expires
            .is_some_and(|longest| silence > longest)
        {
            self.finish(&Ending::Expired);
        }
    }

    /// What there is to tell of it.
    pub(crate) fn report(&self) -> Report {
        let story = self.story();
        Report::of(self.outlined(&story), &story)
    }

    /// The same without what it said, which may be much.
    pub(crate) fn outline(&self) -> Outline {
        self.outlined(&self.story())
    }

    fn outlined(&self, story: &Story) -> Outline {
        let readers = self.readers.load(Ordering::Acquire);
        Outline::of(&self.head, self.born, readers, story)
    }

    fn say(&self, part: Part) {
        self.take(self.story(), part);
    }

    fn take(&self, mut story: MutexGuard<'_, Story>, part: Part) {
        let unread = self.readers.load(Ordering::Acquire) == 0;
        let said = story.take(&self.head, part, self.options.coalescing, unread);
        drop(story);
        self.check(said);
    }

    fn repeat(&self, event_type: &str, data: &str) {
        let said = self.story().repeat(event_type, data);
        self.check(said);
    }

    fn flush(&self) {
        let said = self.story().flush(&self.head);
        self.check(said);
    }

    /// When what is held back is to be said.
    fn due(&self) -> Option<Instant> {
        self.story().due()
    }

    fn is_over(&self) -> bool {
        self.state() != State::Open
    }

    /// The first end counts.
    fn finish(&self, ending: &Ending) {
        self.end(self.story(), ending);
    }

    fn end(&self, mut story: MutexGuard<'_, Story>, ending: &Ending) {
        let first = story.finish(&self.head, ending);
        drop(story);
        if first {
            self.bell.notify_waiters();
            if let Some(message) = ending.message() {
                tracing::warn!(run = &*self.head.id, state = ?ending.state(), message, "run ended early");
            }
        }
    }

    /// What cannot be kept must not be hidden.
    fn check(&self, said: Result<(), wellspring::AppendError>) {
        if let Err(error @ wellspring::AppendError::TooLarge { .. }) = said {
            self.finish(&Ending::failed(error.to_string()));
        }
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
