//! What every route answers with.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;
use thiserror::Error;
use tokio::sync::oneshot;
use wellspring::EventBody;

/// The body of every response: an event stream, or bytes.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    events: EventBody,
    /// Breaks the stream when the playground asks for it.
    cut: Option<oneshot::Receiver<()>>,
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
        self.cut = Some(cut);
        self
    }
}

impl From<EventBody> for AnswerBody {
    fn from(events: EventBody) -> Self {
        Self { events, cut: None }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(cut) = &mut self.cut
            && let Poll::Ready(sent) = Pin::new(cut).poll(cx)
        {
            self.cut = None;
            if sent.is_ok() {
                return Poll::Ready(Some(Err(Cut::Playground)));
            }
        }
        Pin::new(&mut self.events)
            .poll_frame(cx)
            .map_err(Cut::Broken)
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
