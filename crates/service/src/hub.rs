//! Named topics under one sequence of numbers, and what publishes to and subscribes from them.
//!
//! Topics are made on first use and go when they are empty and idle. One sequence numbers the events
//! of all of them, so that a reader of a hundred topics carries one id; within a topic the numbers
//! therefore rise, but with holes.

mod topic;

use std::collections::HashMap;
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;
use wellspring_event::Event;

use crate::log::{AppendError, Appended, End, Log, LogOptions, Retention};
use crate::position::{Cursor, Epoch, Position, Start};
use crate::reader::{LogReader, MergedReader, Reader};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

pub use topic::{InvalidTopic, TopicName};

/// Named topics. Clones are handles to the same hub.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Shared>);

/// How a hub is made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubOptions {
    /// How each topic's log is made. Default: 1 MiB, 65,536 events, one hour; slow readers are
    /// disconnected.
    pub topic: LogOptions,
    /// How many topics there may be at once. Default 100,000.
    pub topics: usize,
    /// How many topics one reader may have. Default 100.
    pub topics_per_reader: usize,
    /// How long an empty topic without readers stays. Default one minute.
    pub idle: Duration,
}

/// Why an event was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The event alone is more than a topic keeps.
    #[error("the event takes {bytes} bytes on the wire, and a topic keeps {limit}")]
    TooLarge {
        /// What the event takes on the wire.
        bytes: usize,
        /// What a topic keeps.
        limit: usize,
    },
    /// There are as many topics as there may be.
    #[error("there are {limit} topics, as many as there may be")]
    TooManyTopics {
        /// How many there may be.
        limit: usize,
    },
}

/// Why a reader was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// No topic was named.
    #[error("no topic was named")]
    NoTopic,
    /// More topics than one reader may have.
    #[error("{asked} topics on one connection, and {limit} are allowed")]
    TooManyForReader {
        /// How many were named.
        asked: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// There are as many topics as there may be.
    #[error("there are {limit} topics, as many as there may be")]
    TooManyTopics {
        /// How many there may be.
        limit: usize,
    },
}

#[derive(Debug)]
struct Shared {
    epoch: Epoch,
    options: HubOptions,
    state: Mutex<State>,
    /// All events below this number are in their logs.
    published: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    topics: HashMap<TopicName, Log>,
    /// Everything below this number may have been in a topic that is gone.
    forgotten: u64,
    draining: bool,
    /// When the topics were last looked through.
    swept: Option<Instant>,
}

impl Hub {
    /// An empty hub of a new epoch.
    #[must_use]
    pub fn new(options: HubOptions) -> Self {
        Self(Arc::new(Shared {
            epoch: Epoch::random(),
            options,
            state: Mutex::new(State::default()),
            published: AtomicU64::new(0),
        }))
    }

    /// Publishes one event; resolves to its position once it is accepted. Its `id` becomes that
    /// position, whatever it was before.
    ///
    /// It is `async` because a store (on disk, in Redis) takes time to acknowledge; topics in memory
    /// accept at once.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; the event was then not published.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it resolved may have published.
    pub async fn publish(
        &self,
        topic: &TopicName,
        event: &Event<'_>,
    ) -> Result<Position, PublishError> {
        let published = self.publish_keyed(topic, event, None).await?;
        Ok(published.position)
    }

    /// Publishes one event, unless the topic still keeps one with the same `key`.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    #[expect(
        clippy::unused_async,
        reason = "stores that take time to acknowledge come next"
    )]
    pub async fn publish_keyed(
        &self,
        topic: &TopicName,
        event: &Event<'_>,
        key: Option<&str>,
    ) -> Result<Appended, PublishError> {
        let mut state = self.0.state.lock();
        let Some(log) = self.topic(&mut state, topic) else {
            let limit = self.0.options.topics;
            return Err(PublishError::TooManyTopics { limit });
        };
        let seq = self.0.published.load(Ordering::Relaxed);
        let appended = match log.append_at(seq, event, key) {
            Ok(appended) => appended,
            Err(AppendError::TooLarge { bytes, limit }) => {
                return Err(PublishError::TooLarge { bytes, limit });
            }
            Err(AppendError::Closed) => {
                unreachable!("a hub drains its topics, it never closes them")
            }
        };
        if !appended.repeated {
            // In this order, under the lock: readers of several topics take nothing from `published` on,
            // and look again when a topic's version has risen.
            self.0.published.store(seq + 1, Ordering::Release);
            log.raise();
            drop(state);
            log.wake();
        }
        Ok(appended)
    }

    /// A reader of one or several topics, in publish order.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]
    pub fn subscribe(&self, topics: &[TopicName], start: Start) -> Result<Reader, SubscribeError> {
        let limit = self.0.options.topics_per_reader;
        if topics.len() > limit {
            let asked = topics.len();
            return Err(SubscribeError::TooManyForReader { asked, limit });
        }
        let mut state = self.0.state.lock();
        let mut logs: Vec<Log> = Vec::with_capacity(topics.len());
        for (index, topic) in topics.iter().enumerate() {
            if topics[..index].contains(topic) {
                continue;
            }
            logs.push(
                self.topic(&mut state, topic)
                    .ok_or(SubscribeError::TooManyTopics {
                        limit: self.0.options.topics,
                    })?,
            );
        }
        // The reader joins its topics under the hub's lock: no sweep comes between.
        match logs.len() {
            0 => Err(SubscribeError::NoTopic),
            1 => Ok(LogReader::at(logs.remove(0), start, self.tail().next).into()),
            _ => Ok(MergedReader::new(self.clone(), logs, start).into()),
        }
    }

    /// The same name, as the hub keeps it while the topic is there: many who hold one name for long share its bytes.
    #[must_use]
    pub fn shared_name(&self, topic: &TopicName) -> TopicName {
        let state = self.0.state.lock();
        let (name, _) = state.topics.get_key_value(topic).unzip();
        name.unwrap_or(topic).clone()
    }

    /// The life of this hub.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    /// The place after the newest event of all topics.
    #[must_use]
    pub fn tail(&self) -> Cursor {
        Cursor {
            epoch: self.0.epoch,
            next: self.0.published.load(Ordering::Acquire),
        }
    }

    /// How many topics there are.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.0.state.lock().topics.len()
    }

    /// How many readers there are; one of several topics counts once for each.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.0.state.lock().topics.values().map(Log::readers).sum()
    }

    /// Drops events that are too old, and topics that are empty, unread and idle.
    ///
    /// A hub that is never swept sweeps itself, once a second at most, when it has as many topics as
    /// there may be.
    ///
    /// # Cost
    ///
    /// One look at each topic, under the publisher's lock: call it every few seconds, not more often.
    pub fn sweep(&self) {
        self.sweep_topics(&mut self.0.state.lock());
    }

    /// Ends every reader in good order: each gets what is left, then a jittered `retry:` and a clean
    /// end; new readers get that at once. Resolves when all are gone, or at the deadline; says how
    /// many are left.
    ///
    /// Publishing goes on being accepted.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the drain goes on whether or not it is awaited.
    pub async fn drain(&self, deadline: Duration) -> usize {
        let (logs, tail): (Vec<Log>, u64) = {
            let mut state = self.0.state.lock();
            state.draining = true;
            (state.topics.values().cloned().collect(), self.tail().next)
        };
        for log in logs {
            log.close_at(End::Drained, tail);
        }
        let begun = Instant::now();
        loop {
            let readers = self.readers();
            if readers == 0 || begun.elapsed() >= deadline {
                return readers;
            }
            // A drain happens once in a process's life: looking beats a wake-up on every drop.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn sweep_topics(&self, state: &mut State) {
        let now = Instant::now();
        let idle = self.0.options.idle;
        state.swept = Some(now);
        state.topics.retain(|_, log| {
            log.retain();
            let log_state = log.state();
            let stays = log.readers() > 0
                || log_state.window.events() > 0
                || now.duration_since(log_state.touched) < idle;
            if !stays {
                state.forgotten = state.forgotten.max(log_state.window.floor());
            }
            stays
        });
    }

    /// The topic's log, made if there is room for it.
    fn topic(&self, state: &mut State, name: &TopicName) -> Option<Log> {
        if let Some(log) = state.topics.get(name) {
            return Some(log.clone());
        }
        let full = |state: &State| state.topics.len() >= self.0.options.topics;
        let recently = |swept: Instant| swept.elapsed() < Duration::from_secs(1);
        if full(state) && !state.swept.is_some_and(recently) {
            self.sweep_topics(state);
        }
        if full(state) {
            return None;
        }
        // A topic of this name may have been here and gone: below `forgotten` nothing can be proven.
        let log = Log::at(self.0.epoch, &self.0.options.topic, state.forgotten);
        if state.draining {
            log.close_at(End::Drained, self.tail().next);
        }
        state.topics.insert(name.clone(), log.clone());
        Some(log)
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(HubOptions::default())
    }
}

impl Default for HubOptions {
    fn default() -> Self {
        let hour = Duration::from_secs(60 * 60);
        Self {
            topic: LogOptions::default().with_retention(Retention::default().with_age(hour)),
            topics: 100_000,
            topics_per_reader: 100,
            idle: Duration::from_secs(60),
        }
    }
}

impl HubOptions {
    /// Makes each topic's log like this.
    #[must_use]
    pub fn with_topic(mut self, topic: LogOptions) -> Self {
        self.topic = topic;
        self
    }

    /// Allows so many topics.
    #[must_use]
    pub fn with_topics(mut self, topics: usize) -> Self {
        self.topics = topics;
        self
    }

    /// Allows so many topics per reader.
    #[must_use]
    pub fn with_topics_per_reader(mut self, topics: usize) -> Self {
        self.topics_per_reader = topics;
        self
    }

    /// Keeps empty topics without readers for so long.
    #[must_use]
    pub fn with_idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }
}
