//! What every event stream of the program has, whatever it is a stream of.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http::request::Parts;
use wellspring::{EventBody, StreamOptions, query};
use wellspring_front::LongLived;

use crate::answer::{Answer, AnswerBody, Quota};
use crate::ledger::Ledger;
use crate::playground::Cuts;
use crate::problem::Problem;

/// How streams behave: the operator's heartbeat, and what the request asks for.
///
/// `?retry=N`, in milliseconds, is the reconnection time that a client wants to be told: a page that
/// watches one stream need not wait as long as ten thousand that come back together.
pub(crate) fn options(request: &Parts, heartbeat: Duration) -> StreamOptions {
    let options = StreamOptions::default().with_heartbeat(heartbeat);
    match query(request, "retry").and_then(|retry| retry.parse().ok()) {
        Some(retry @ 100..=600_000) => {
            let retry = Duration::from_millis(retry);
            options.with_retry(retry..=retry)
        }
        _ => options,
    }
}

/// `?limit=N`: the stream ends in good order after so many events, a gap among them. An `EventSource` would come back for
/// more; this is for load tools, which count requests that end.
///
/// # Errors
///
/// When it is no number from 1: a limit that is ignored would be a request that never ends.
pub(crate) fn limit(request: &Parts) -> Result<Option<NonZeroU64>, Problem> {
    query(request, "limit")
        .map(|limit| limit.parse())
        .transpose()
        .map_err(|_| Problem::bad_request("limit is the number of events to end after, from 1"))
}

/// Sends a stream on its way: counted in the connection's ledger under `names`, known to the front
/// end as one that does not end soon, and open to be cut if the playground asked for it. With a
/// `limit` it ends after so many events.
pub(crate) fn send(
    request: &Parts,
    response: Response<EventBody>,
    ledger: &Arc<Ledger>,
    cuts: &Cuts,
    names: impl IntoIterator<Item = Arc<str>>,
    limit: Option<NonZeroU64>,
) -> Answer {
    ledger.begin(names);
    let mut answer = response.map(|events| {
        let body = AnswerBody::from(events).settled_with(Arc::clone(ledger));
        match limit {
            Some(limit) => body.within(Quota::new(limit)),
            None => body,
        }
    });
    if let Some(token) = query(request, "cut") {
        answer = answer.map(|body| cuts.arm(&token, body));
    }
    answer.extensions_mut().insert(LongLived);
    answer
}
