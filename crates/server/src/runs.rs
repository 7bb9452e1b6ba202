//! Runs: finite logs with a producer and an end. A run outlives the request that began it, can be
//! read by anyone who knows its id, and stays for a while after its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;
use wellspring::{AppendError, Cursor, End, Log, Reader, Retention, Start};

use crate::dialect::{Dialect, Head, Part};

/// The runs there are. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Runs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// How long a run stays after its end.
    age: Duration,
    runs: Mutex<HashMap<String, Arc<Run>>>,
}

/// One run, in every dialect.
#[derive(Debug)]
pub(crate) struct Run {
    head: Head,
    logs: [Log; Dialect::ALL.len()],
    ended: OnceLock<Instant>,
}

/// Who feeds a run. Dropping it without an end fails the run: readers are told.
#[derive(Debug)]
pub(crate) struct Producer(Arc<Run>);

/// There are as many runs as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyRuns;

impl Runs {
    /// How many there may be at once, those that ended and can still be read among them.
    const MOST: usize = 10_000;
    /// What a run keeps: enough for any answer, in each dialect.
    const BYTES: usize = 4 * 1024 * 1024;

    pub(crate) fn new(age: Duration) -> Self {
        Self(Arc::new(Shared {
            age,
            runs: Mutex::default(),
        }))
    }

    /// Begins a run of `model`.
    ///
    /// # Errors
    ///
    /// When there are too many; those that ended go after a while.
    pub(crate) fn begin(
        &self,
        model: &str,
        include_usage: bool,
    ) -> Result<(Arc<Run>, Producer), TooManyRuns> {
        let run = Arc::new(Run {
            head: Head {
                id: new_id(),
                model: model.to_owned(),
                created: std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(0, |since| since.as_secs()),
                include_usage,
            },
            logs: Dialect::ALL.map(|dialect| {
                let retention = Retention::default().with_bytes(Self::BYTES);
                Log::new(dialect.log_options().with_retention(retention))
            }),
            ended: OnceLock::new(),
        });
        let mut runs = self.lock();
        if runs.len() >= Self::MOST {
            return Err(TooManyRuns);
        }
        runs.insert(run.head.id.clone(), Arc::clone(&run));
        Ok((Arc::clone(&run), Producer(run)))
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Run>> {
        self.lock().get(id).cloned()
    }

    /// Forgets runs that ended long ago.
    pub(crate) fn sweep(&self) {
        let age = self.0.age;
        self.lock()
            .retain(|_, run| run.ended.get().is_none_or(|ended| ended.elapsed() < age));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Run>>> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    pub(crate) fn id(&self) -> &str {
        &self.head.id
    }

    /// Before the first event of one spelling: a reader from here is told when the run has outgrown
    /// what is kept of it, where one from the earliest event would not notice.
    pub(crate) fn beginning(&self, dialect: Dialect) -> Start {
        Start::After(Cursor::start(self.log(dialect).epoch()))
    }

    /// A reader of this run in one spelling.
    pub(crate) fn read(&self, dialect: Dialect, start: Start) -> Reader {
        self.log(dialect).read(start).into()
    }

    fn log(&self, dialect: Dialect) -> &Log {
        &self.logs[dialect as usize]
    }

    fn tell(&self, part: &Part<'_>) -> Result<(), AppendError> {
        for dialect in Dialect::ALL {
            for event in dialect.spell(&self.head, part) {
                self.log(dialect).append(&event)?;
            }
        }
        Ok(())
    }

    fn close(&self, end: End) {
        let _ = self.ended.set(Instant::now());
        for log in &self.logs {
            log.close(end);
        }
    }
}

impl Producer {
    /// The next part of the answer.
    pub(crate) fn tell(&self, part: &Part<'_>) {
        if let Err(error) = self.0.tell(part) {
            // A chunk above 4 MiB: what cannot be kept must not be hidden.
            self.fail(&error.to_string());
        }
    }

    /// The end: [`Part::Done`] or [`Part::Failed`].
    pub(crate) fn finish(self, part: &Part<'_>) {
        self.tell(part);
        // A told failure is a whole story too: its readers need not come back.
        self.0.close(End::Complete);
    }

    fn fail(&self, message: &str) {
        if self.0.tell(&Part::Failed { message }).is_ok() {
            self.0.close(End::Complete);
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.fail("the run's producer vanished");
    }
}

/// 128 bits that nobody guesses: who knows the id may read the run.
fn new_id() -> String {
    format!("run_{:032x}", rand::rng().random::<u128>())
}

#[cfg(test)]
mod tests {
    use wellspring::Next;

    use super::*;
    use crate::dialect::Summary;

    async fn read(run: &Run, dialect: Dialect) -> (String, End) {
        let mut reader = run.read(dialect, Start::Earliest);
        let mut text = String::new();
        loop {
            match reader.next().await {
                Next::Events { bytes, .. } => text.push_str(std::str::from_utf8(&bytes).unwrap()),
                Next::End(end) => return (text, end),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_run_is_one_story_in_every_dialect() {
        let runs = Runs::new(Duration::from_secs(1));
        let (run, producer) = runs.begin("m", false).unwrap();
        producer.tell(&Part::Begin);
        producer.tell(&Part::Answer("Hel"));
        producer.tell(&Part::Answer("lo"));
        producer.finish(&Part::Done(Summary::default()));
        let (native, end) = read(&run, Dialect::Native).await;
        assert_eq!(end, End::Complete);
        assert_eq!(native.matches("event: answer").count(), 2);
        assert_eq!(native.matches("\nid: ").count(), 3);
        let (chat, _) = read(&run, Dialect::OpenAiChat).await;
        assert!(
            chat.ends_with("data: [DONE]\n\n") && !chat.contains("id: "),
            "{chat}"
        );
    }

    #[tokio::test]
    async fn a_run_that_outgrew_its_log_says_so() {
        let runs = Runs::new(Duration::from_secs(1));
        let (run, producer) = runs.begin("m", false).unwrap();
        for _ in 0..3 * Runs::BYTES / (64 * 1024) {
            producer.tell(&Part::Answer(&"x".repeat(64 * 1024)));
        }
        let native = run.beginning(Dialect::Native);
        let next = run.read(Dialect::Native, native).next().await;
        assert!(matches!(next, Next::Gap(_)), "{next:?}");
        let chat = run.beginning(Dialect::OpenAiChat);
        let next = run.read(Dialect::OpenAiChat, chat).next().await;
        assert_eq!(next, Next::End(End::Failed));
    }

    #[tokio::test]
    async fn a_producer_that_vanishes_fails_its_run_aloud() {
        let runs = Runs::new(Duration::from_secs(1));
        let (run, producer) = runs.begin("m", false).unwrap();
        producer.tell(&Part::Answer("Hel"));
        drop(producer);
        let (native, end) = read(&run, Dialect::Native).await;
        assert!(native.contains("event: error"), "{native}");
        assert_eq!(end, End::Complete);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_goes_a_while_after_its_end() {
        let runs = Runs::new(Duration::from_secs(10));
        let (run, producer) = runs.begin("m", false).unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        runs.sweep();
        assert!(runs.find(run.id()).is_some(), "it still runs");
        producer.finish(&Part::Done(Summary::default()));
        tokio::time::advance(Duration::from_secs(9)).await;
        runs.sweep();
        assert!(runs.find(run.id()).is_some());
        tokio::time::advance(Duration::from_secs(2)).await;
        runs.sweep();
        assert!(runs.find(run.id()).is_none());
    }
}
