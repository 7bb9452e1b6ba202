//! What the playground may do that others may not: cut a stream that it opened itself.
//!
//! A page opens its stream with `?cut=TOKEN`; `POST /playground/cuts/TOKEN` then breaks it without an
//! end, as a dying proxy or a pulled cable would. Nobody can cut a stream that did not ask for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use tokio::sync::oneshot;

use crate::answer::{self, Answer, AnswerBody};
use crate::problem::Problem;

/// The streams that can be cut, by token.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cuts(Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>);

impl Cuts {
    const LONGEST_TOKEN: usize = 64;
    /// More streams than this at once cannot be cut; they stream all the same.
    const MOST: usize = 1024;

    /// Makes the stream one that `token` cuts. A token used twice cuts the later one.
    pub(crate) fn arm(&self, token: &str, body: AnswerBody) -> AnswerBody {
        let mut cuts = self.lock();
        cuts.retain(|_, cut| !cut.is_closed());
        if token.is_empty() || token.len() > Self::LONGEST_TOKEN || cuts.len() >= Self::MOST {
            return body;
        }
        let (cut, receiver) = oneshot::channel();
        cuts.insert(token.to_owned(), cut);
        body.cut_by(receiver)
    }

    /// `POST /playground/cuts/{token}`
    pub(crate) fn cut(&self, token: &str) -> Answer {
        match self.lock().remove(token).map(|cut| cut.send(())) {
            Some(Ok(())) => answer::empty(StatusCode::NO_CONTENT),
            _ => Problem::not_found("no open stream has this token").into_answer(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
