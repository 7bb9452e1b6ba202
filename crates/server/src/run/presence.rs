//! That somebody reads a run: from the request on, before the first byte, until the stream is dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{OnDisconnect, Run};

/// One reader of a run. When the last one goes, the run does what its policy says.
#[derive(Debug)]
pub(crate) struct Presence(Option<Arc<Run>>);

impl Presence {
    pub(crate) fn of(run: &Arc<Run>) -> Self {
        run.readers.fetch_add(1, Ordering::AcqRel);
        run.visits.fetch_add(1, Ordering::AcqRel);
        Self(Some(Arc::clone(run)))
    }

    /// Leaves without being missed: whoever asked for the run did not come to read it.
    pub(crate) fn retract(mut self) {
        if let Some(run) = self.0.take() {
            run.readers.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let Some(run) = &self.0 else {
            return;
        };
        if run.readers.fetch_sub(1, Ordering::AcqRel) > 1 || run.is_over() {
            return;
        }
        match run.options.on_disconnect {
            OnDisconnect::Continue => {}
            OnDisconnect::Cancel => run.cancel(),
            OnDisconnect::CancelAfter(seconds) => {
                // A program that is going down ends its runs anyway.
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    let patience = Duration::from_secs(seconds.into());
                    runtime.spawn(cancel_unless_visited(Arc::clone(run), patience));
                }
            }
        }
    }
}

async fn cancel_unless_visited(run: Arc<Run>, patience: Duration) {
    let visits = run.visits.load(Ordering::Acquire);
    tokio::select! {
        () = tokio::time::sleep(patience) => {}
        () = run.over() => return,
    }
    if run.readers.load(Ordering::Acquire) == 0 && run.visits.load(Ordering::Acquire) == visits {
        run.cancel();
    }
}
