//! The hyper service: a request in, a stream out.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use crate::body::{EventBody, StreamOptions};
use crate::hub::{Hub, SubscribeError, TopicName};
use crate::negotiate::{LAST_EVENT_ID, Refusal, check_host, check_subscribe, last_event_id};
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

    fn answer(&self, request: &Parts) -> Result<Response<EventBody>, Refusal> {
        check_host(request)?;
        let topics = topics(request)?;
        subscribe(request, (*self.options).clone(), Start::Tail, |start| {
            self.hub.subscribe(&topics, start)
        })
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
    let id = reader.cursor().id();
    let body = match request.method {
        Method::HEAD => EventBody::full(""),
        _ => EventBody::new(reader, options),
    };
    let mut response = event_stream(body);
    let id =
        HeaderValue::from_str(id.as_str()).expect("a cursor is ASCII without control characters");
    response.headers_mut().insert(LAST_EVENT_ID, id);
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
        ready(Ok(self
            .answer(&parts)
            .unwrap_or_else(|refusal| refuse(&refusal))))
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

fn refuse(refusal: &Refusal) -> Response<EventBody> {
    let mut response = plain(refusal.status(), &format!("{refusal}\n"));
    if *refusal == Refusal::Method {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
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
