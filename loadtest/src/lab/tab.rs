//! A tab: one `EventSource`, from the moment at which it asks until it is closed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wellspring_event::Decoder;

use super::LabError;
use super::browser::{Asked, Browser};
use crate::latency::Latency;
use crate::stamp::{Clock, RunId, Stamp};
use crate::target::Target;

/// An open tab. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Tab {
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

/// What a tab's user sees of its stream.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// CONNECTING, and nothing was sent: no place is free.
    Queued,
    /// CONNECTING or OPEN, without an event yet.
    Opening,
    /// Events come; the first came so long after the tab had asked.
    Live(Duration),
    /// It is over, which nobody wanted.
    Over(Arc<LabError>),
}

/// The events that count for the measurement, and where their latency goes.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) run: RunId,
    pub(crate) clock: Clock,
    pub(crate) latency: Arc<Mutex<Latency>>,
}

#[derive(Debug)]
struct Seen {
    stage: Mutex<Stage>,
    /// Events of the run.
    received: AtomicU64,
}

impl Tab {
    /// Opens a tab: its request has its turn in the queue before this returns.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub(crate) fn open(browser: &Browser, target: &Target, measured: Measured) -> Self {
        let asked = browser.ask(target);
        let stage = if asked.has_place() {
            Stage::Opening
        } else {
            Stage::Queued
        };
        let seen = Arc::new(Seen {
            stage: Mutex::new(stage),
            received: AtomicU64::new(0),
        });
        let (told, target) = (Arc::clone(&seen), target.clone());
        let task = tokio::spawn(async move {
            let over = follow(asked, &target, &measured, &told).await;
            told.enter(Stage::Over(Arc::new(over)));
        });
        Self { seen, task }
    }

    pub(crate) fn stage(&self) -> Stage {
        self.seen
            .stage
            .lock()
            .expect("nothing panics in it")
            .clone()
    }

    pub(crate) fn received(&self) -> u64 {
        self.seen.received.load(Relaxed)
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    fn enter(&self, stage: Stage) {
        *self.stage.lock().expect("nothing panics in it") = stage;
    }
}

/// Reads the stream to its end, which is never what was wanted.
async fn follow(asked: Asked, target: &Target, measured: &Measured, seen: &Seen) -> LabError {
    let asked_at = Instant::now();
    let mut answered = match asked.answer(|| seen.enter(Stage::Opening)).await {
        Ok(answered) => answered,
        Err(error) => return error,
    };
    let status = answered.response.status();
    if status != StatusCode::OK {
        return LabError::refused(target, status);
    }
    let (mut decoder, mut live) = (Decoder::new(), false);
    while let Some(frame) = answered.response.body_mut().frame().await {
        let chunk = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => return LabError::broken(target, &error),
        };
        let arrived = measured.clock.now();
        let mut rest = &chunk[..];
        while let Ok(Some(message)) = decoder.decode(&mut rest) {
            if !live {
                live = true;
                seen.enter(Stage::Live(asked_at.elapsed()));
            }
            let stamp = Stamp::parse(message.data());
            if let Some(stamp) = stamp.filter(|stamp| stamp.run == measured.run) {
                let late = arrived.saturating_sub(stamp.due);
                let mut latency = measured.latency.lock().expect("recording does not panic");
                latency.record(late);
                seen.received.fetch_add(1, Relaxed);
            }
        }
    }
    LabError::ended(target)
}
