//! What every route answers with.

use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use memchr::memmem;
use serde::Serialize;
use thiserror::Error;
use tokio::sync::oneshot;
use wellspring::{End, EventBody, Outcome};

use crate::ledger::Ledger;
use crate::run::Presence;

/// The body of every response: an event stream, or bytes.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    events: EventBody,
    /// What ends the stream before its source does. Boxed: few streams have it.
    before: Option<Box<Before>>,
    /// Where what was delivered is entered in the end.
    ledger: Option<Arc<Ledger>>,
    /// That it reads a run.
    presence: Option<Presence>,
}

#[derive(Debug, Default)]
struct Before {
    /// Breaks the stream when the playground asks for it.
    cut: Option<oneshot::Receiver<()>>,
    /// Ends it in good order.
    quota: Option<Quota>,
}

/// How many events a stream may still deliver.
#[derive(Debug)]
pub(crate) struct Quota {
    left: u64,
    limit: NonZeroU64,
}

/// The stream was cut without an end.
#[derive(Debug, Error)]
pub(crate) enum Cut {
    /// Its producer failed.
    #[error(transparent)]
    Broken(#[from] wellspring::Broken),
    /// Somebody pressed the button.
    #[error("the playground cut this stream")]
    Playground,
}

pub(crate) type Answer = Response<AnswerBody>;

impl AnswerBody {
    /// The same stream, which breaks when `cut` is sent to.
    pub(crate) fn cut_by(mut self, cut: oneshot::Receiver<()>) -> Self {
        self.before.get_or_insert_default().cut = Some(cut);
        self
    }

    /// The same stream, entered in the ledger when it is over.
    pub(crate) fn settled_with(mut self, ledger: Arc<Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// The same stream, which counts as a reader of a run.
    pub(crate) fn read_by(mut self, presence: Presence) -> Self {
        self.presence = Some(presence);
        self
    }

    /// The same stream, which ends when the quota is used up.
    pub(crate) fn within(mut self, quota: Quota) -> Self {
        self.before.get_or_insert_default().quota = Some(quota);
        self
    }
}

impl Quota {
    pub(crate) fn new(limit: NonZeroU64) -> Self {
        Self {
            left: limit.get(),
            limit,
        }
    }

    /// How many events were delivered, if that is all of them.
    pub(crate) fn used_up(&self) -> Option<u64> {
        (self.left == 0).then_some(self.limit.get())
    }

    /// As much of a frame as may still be delivered. A frame holds whole events, and an event ends at its blank line:
    /// the only one, since heartbeats have none and empty lines of data are `data:` lines.
    fn take(&mut self, frame: Bytes) -> Bytes {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let (events, end) = memmem::find_iter(&frame, b"\n\n")
            .take(left)
            .fold((0, 0), |(events, _), at| (events + 1, at + 2));
        self.left -= events;
        if self.used_up().is_some() {
            frame.slice(..end)
        } else {
            frame
        }
    }
}

impl From<EventBody> for AnswerBody {
    fn from(events: EventBody) -> Self {
        Self {
            events,
            before: None,
            ledger: None,
            presence: None,
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            ledger.settle(self.events.delivered());
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let Self {
            events,
            before,
            ledger,
            presence: _,
        } = &mut *self;
        let mut quota = None;
        if let Some(before) = before {
            if let Some(cut) = &mut before.cut
                && let Poll::Ready(sent) = Pin::new(cut).poll(cx)
            {
                before.cut = None;
                if sent.is_ok() {
                    return Poll::Ready(Some(Err(Cut::Playground)));
                }
            }
            quota = before.quota.as_mut();
        }
        let polled = Pin::new(&mut *events).poll_frame(cx).map_err(Cut::Broken);
        let (Some(quota), Poll::Ready(Some(Ok(frame)))) = (quota, &polled) else {
            return polled;
        };
        let Some(frame) = frame.data_ref().cloned() else {
            return polled;
        };
        let frame = quota.take(frame);
        if let Some(limit) = quota.used_up() {
            // The reader goes now, as with every other end; of what it handed out, this much is delivered.
            let mut delivered = events.delivered();
            delivered.events = limit;
            delivered.outcome = Outcome::Ended(End::Complete);
            if let Some(ledger) = ledger.take() {
                ledger.settle(delivered);
            }
            *events = EventBody::full("");
        }
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.events.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.events.size_hint()
    }
}

/// Bytes of this type.
pub(crate) fn bytes(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = empty(status);
    *answer.body_mut() = EventBody::full(body).into();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// A JSON document.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    typed_json(status, "application/json", value)
}

/// A JSON document of a type of its own.
pub(crate) fn typed_json(
    status: StatusCode,
    content_type: &'static str,
    value: &impl Serialize,
) -> Answer {
    let mut body = serde_json::to_vec(value).expect("our own structs have string keys");
    body.push(b'\n');
    bytes(status, content_type, body)
}

/// What a `HEAD` request gets of an answer (RFC 9110, section 9.3.2). hyper drops the body on HTTP/1.1,
/// but sends it on HTTP/2, where clients take that for a broken protocol.
pub(crate) fn head(mut answer: Answer) -> Answer {
    let length = answer
        .body()
        .size_hint()
        .exact()
        .filter(|&length| length > 0);
    if let Some(length) = length {
        answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    answer.map(|_| EventBody::full("").into())
}

/// No body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(EventBody::full("").into());
    *answer.status_mut() = status;
    answer
}
