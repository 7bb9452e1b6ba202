//! The hyper service: a request in, a stream out.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use crate::body::{EventBody, StreamOptions};
use crate::hub::{Hub, SubscribeError, TopicName};
use crate::negotiate::{
    LAST_EVENT_ID, Refusal, check_host, check_subscribe, is_event_source, last_event_id,
};
use crate::position::Start;
use crate::reader::Reader;

/// Serves a hub's topics: `GET /{topic}`, or `GET /?topic=a&topic=b` for several on one connection.
///
/// The same service works on HTTP/1.1 and HTTP/2, on hyper and (nested under a path) in axum. It
/// keeps nothing of the request: the request's buffers are free as soon as the stream begins.
///
/// | request | answer |
/// | --- | --- |
/// | `GET`, with `Last-Event-ID` or `?last_event_id=` or neither | 200, the stream |
/// | `HEAD` | 200, the headers |
/// | a finished stream, by a client that has all of it | 204: stay away |
/// | an `Accept` without `text/event-stream` | 406 |
/// | another method | 405 with `Allow` |
/// | no `Host`, or two; a bad topic | 400 |
/// | no topic | 404 |
/// | one topic more than the hub has room for, by an `EventSource` | 200, `retry:` and a clean end: any other status would keep it away for good |
/// | the same, by another client | 503 with `Retry-After` |
#[derive(Debug, Clone)]
pub struct SseService {
    hub: Hub,
    options: Arc<StreamOptions>,
}

impl SseService {
    /// Serves the topics of `hub` with the default options.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        Self {
            hub,
            options: Arc::default(),
        }
    }

    /// The same with these options for each stream.
    #[must_use]
    pub fn with_options(mut self, options: StreamOptions) -> Self {
        self.options = Arc::new(options);
        self
    }

    fn respond(&self, request: &Parts) -> Response<EventBody> {
        match self.answer(request) {
            Ok(response) => response,
            Err(Refusal::Subscribe(SubscribeError::TooManyTopics { .. }))
                if is_event_source(&request.headers) =>
            {
                event_stream(EventBody::full(
                    self.options.retry_line().unwrap_or_default(),
                ))
            }
            Err(refusal) => self.refuse(&refusal),
        }
    }

    fn answer(&self, request: &Parts) -> Result<Response<EventBody>, Refusal> {
        check_host(request)?;
        check_subscribe(request)?;
        let topics = topics(request)?;
        subscribe(request, (*self.options).clone(), Start::Tail, |start| {
            self.hub.subscribe(&topics, start)
        })
    }

    fn refuse(&self, refusal: &Refusal) -> Response<EventBody> {
        let mut response = plain(refusal.status(), &format!("{refusal}\n"));
        let headers = response.headers_mut();
        match refusal.status() {
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                let latest = self.options.retry.as_ref().map(|retry| *retry.end());
                let seconds = latest.map_or(1, |latest| latest.as_secs().max(1));
                headers.insert(RETRY_AFTER, seconds.into());
            }
            _ => {}
        }
        response
    }
}

/// Answers a request with a stream: checks method and `Accept`, finds out where to begin (`start`,
/// unless the request says), and lets `reader` make the reader. For services with routes of their own.
///
/// # Errors
///
/// [`Refusal`], which knows its status.
pub fn subscribe(
    request: &Parts,
    options: StreamOptions,
    start: Start,
    reader: impl FnOnce(Start) -> Result<Reader, SubscribeError>,
) -> Result<Response<EventBody>, Refusal> {
    check_subscribe(request)?;
    let resumed = last_event_id(request);
    let returning = resumed.is_some();
    let reader = reader(resumed.unwrap_or(start))?;
    if returning && reader.is_finished() {
        // The one answer after which an `EventSource` does not come back (WHATWG HTML, 9.2.3).
        return Ok(plain(StatusCode::NO_CONTENT, ""));
    }
    // A reader whose continuity is lost learns from its `gap` where it stands, and not before: a client
    // that was cut before the gap and came back with an id of ours would never be told.
    let id = (!reader.is_lost()).then(|| reader.cursor().id());
    let body = match request.method {
        Method::HEAD => EventBody::full(""),
        _ => EventBody::new(reader, options),
    };
    let mut response = event_stream(body);
    if let Some(id) = id {
        let id = HeaderValue::from_str(id.as_str())
            .expect("a cursor is ASCII without control characters");
        response.headers_mut().insert(LAST_EVENT_ID, id);
    }
    Ok(response)
}

/// The response around an event stream: 200 and the headers without which proxies would hold it
/// back, transform it or guess its type.
#[must_use]
pub fn event_stream<B>(body: B) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache, no-transform"),
        // nginx and its kin buffer a proxied response unless told so.
        (HeaderName::from_static("x-accel-buffering"), "no"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

impl<B> hyper::service::Service<Request<B>> for SseService {
    type Response = Response<EventBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let (parts, _) = request.into_parts();
        ready(Ok(self.respond(&parts)))
    }
}

/// The same for axum and everything else that is built on tower: `Router::nest_service("/events", …)`.
impl<B> tower_service::Service<Request<B>> for SseService {
    type Response = Response<EventBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        hyper::service::Service::call(self, request)
    }
}

/// The topics that the request names: `topic` parameters, or else its path.
fn topics(request: &Parts) -> Result<Vec<TopicName>, Refusal> {
    let query = request.uri.query().unwrap_or_default();
    let mut topics = form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == "topic")
        .map(|(_, name)| TopicName::new(&name))
        .collect::<Result<Vec<_>, _>>()?;
    let path = request.uri.path().trim_start_matches('/');
    if !path.is_empty() {
        topics.insert(
            0,
            TopicName::new(&percent_decode_str(path).decode_utf8_lossy())?,
        );
    }
    if topics.is_empty() {
        return Err(Refusal::NoTopic);
    }
    Ok(topics)
}

fn plain(status: StatusCode, text: &str) -> Response<EventBody> {
    let mut response = Response::new(EventBody::full(text.to_owned()));
    *response.status_mut() = status;
    if !text.is_empty() {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, text);
    }
    response
}
