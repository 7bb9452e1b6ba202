//! What every event stream of the program has, whatever it is a stream of.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http::request::Parts;
use wellspring::{EventBody, StreamOptions, query};
use wellspring_front::LongLived;

use crate::answer::{Answer, AnswerBody};
use crate::ledger::Ledger;
use crate::playground::Cuts;

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

/// Sends a stream on its way: counted in the connection's ledger under `names`, known to the front
/// end as one that does not end soon, and open to be cut if the playground asked for it.
pub(crate) fn send<'a>(
    request: &Parts,
    response: Response<EventBody>,
    ledger: &Arc<Ledger>,
    cuts: &Cuts,
    names: impl IntoIterator<Item = &'a str>,
) -> Answer {
    ledger.begin(names);
    let ledger = Arc::clone(ledger);
    let mut answer = response
        .map(|events| AnswerBody::from(events.on_end(move |delivered| ledger.settle(delivered))));
    if let Some(token) = query(request, "cut") {
        answer = answer.map(|body| cuts.arm(&token, body));
    }
    answer.extensions_mut().insert(LongLived);
    answer
}
