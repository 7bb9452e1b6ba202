//! Who feeds a run.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use super::{Ending, Part, Run};

/// Who feeds a run. Dropping it without an end fails the run: readers are told.
#[derive(Debug)]
pub(crate) struct Producer {
    run: Arc<Run>,
    /// Whether the run goes on without it, for another producer to take over.
    leaves: bool,
}

/// The run is over, however that came: there is nobody left to produce for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

impl Producer {
    /// The one producer of a run.
    pub(crate) fn of(run: &Arc<Run>) -> Self {
        Self {
            run: Arc::clone(run),
            leaves: false,
        }
    }

    /// A producer that may go without an end, as an app that pushes does when its connection breaks.
    pub(crate) fn visiting(run: &Arc<Run>) -> Self {
        Self {
            run: Arc::clone(run),
            leaves: true,
        }
    }

    pub(crate) fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// The next part.
    pub(crate) fn say(&self, part: Part) {
        self.run.say(part);
    }

    /// An event of an upstream, for those who read the upstream's own dialect.
    pub(crate) fn repeat(&self, event_type: &str, data: &str) {
        self.run.repeat(event_type, data);
    }

    pub(crate) fn finish(self, ending: &Ending) {
        self.run.finish(ending);
    }

    /// Waits for `source`, and sees meanwhile to what is held back.
    ///
    /// # Errors
    ///
    /// [`Stopped`] as soon as the run is over; the source is dropped then.
    pub(crate) async fn wait<F: Future>(&self, source: F) -> Result<F::Output, Stopped> {
        let mut source = pin!(source);
        let mut over = pin!(self.run.over());
        loop {
            let due = self.run.due();
            let held = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut over => return Err(Stopped),
                output = &mut source => return Ok(output),
                () = held => self.run.flush(),
            }
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.leaves {
            self.run.flush();
        } else {
            self.run
                .finish(&Ending::failed("the run's producer vanished"));
        }
    }
}

impl Run {
    /// Waits until the run is over.
    pub(super) async fn over(&self) {
        let mut rung = pin!(self.over.notified());
        // Listened to before the look: an end between the two is heard.
        rung.as_mut().enable();
        if !self.is_over() {
            rung.await;
        }
    }
}
