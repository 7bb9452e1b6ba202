//! Who feeds a run.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use super::{Ending, Part, Run};

/// The one producer of a run. Dropping it without an end fails the run: readers are told.
#[derive(Debug)]
pub(crate) struct Producer(Arc<Run>);

/// The run is over, however that came: there is nobody left to produce for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

impl Producer {
    pub(crate) fn of(run: &Arc<Run>) -> Self {
        Self(Arc::clone(run))
    }

    /// The next part.
    pub(crate) fn say(&self, part: Part) {
        self.0.say(part);
    }

    /// An event of an upstream, for those who read the upstream's own dialect.
    pub(crate) fn repeat(&self, event_type: &str, data: &str) {
        self.0.repeat(event_type, data);
    }

    pub(crate) fn finish(self, ending: &Ending) {
        self.0.finish(ending);
    }

    /// Waits for `source`, and sees meanwhile to what is held back.
    ///
    /// # Errors
    ///
    /// [`Stopped`] as soon as the run is over; the source is dropped then.
    pub(crate) async fn wait<F: Future>(&self, source: F) -> Result<F::Output, Stopped> {
        let run = &self.0;
        run.attend(source, || !run.is_over()).await.ok_or(Stopped)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.0
            .finish(&Ending::failed("the run's producer vanished"));
    }
}

impl Run {
    /// Waits for `source`, and sees meanwhile to what is held back; none as soon as it is not `wanted`,
    /// which is asked whenever the bell rings.
    pub(super) async fn attend<F: Future>(
        &self,
        source: F,
        wanted: impl Fn() -> bool,
    ) -> Option<F::Output> {
        let mut source = pin!(source);
        loop {
            let mut rung = pin!(self.bell.notified());
            // Listened to before the look: a bell between the two is heard.
            rung.as_mut().enable();
            if !wanted() {
                return None;
            }
            let due = self.due();
            let held = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = rung => {}
                output = &mut source => return Some(output),
                () = held => self.flush(),
            }
        }
    }

    /// Waits until the run is over.
    pub(super) async fn over(&self) {
        loop {
            let mut rung = pin!(self.bell.notified());
            rung.as_mut().enable();
            if self.is_over() {
                return;
            }
            rung.await;
        }
    }
}
