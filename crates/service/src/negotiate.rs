//! What a request must be before it becomes a stream.

use std::borrow::Cow;

use http::header::{ACCEPT, HOST, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Method, StatusCode, Version};
use thiserror::Error;

use crate::hub::{InvalidTopic, SubscribeError};
use crate::position::Start;

/// The header in which an `EventSource` says where it was (WHATWG HTML, section 9.2.4), and in which
/// our answer says from where it goes on, so that a client that is cut before its first event can
/// resume too.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The query parameter of the same meaning, for clients that cannot set headers.
const LAST_EVENT_ID_QUERY: &str = "last_event_id";

/// Why a request was not answered with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// 405: only `GET` and `HEAD` subscribe.
    #[error("only GET and HEAD are answered here")]
    Method,
    /// 406: the client does not take `text/event-stream`.
    #[error("this is a text/event-stream, which the request's Accept header does not take")]
    NotAcceptable,
    /// 400: HTTP/1.1 asks for exactly one `Host` (RFC 9112, section 3.2).
    #[error("the request must have exactly one Host header, and it had {count}")]
    Host {
        /// How many it had.
        count: usize,
    },
    /// 404: the request names no topic.
    #[error("the request names no topic")]
    NoTopic,
    /// 400: the request names a topic that cannot be.
    #[error(transparent)]
    Topic(#[from] InvalidTopic),
    /// 400 or 503: the hub refused.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
}

impl Refusal {
    /// The status that says so.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::NoTopic | Self::Subscribe(SubscribeError::NoTopic) => StatusCode::NOT_FOUND,
            Self::Subscribe(SubscribeError::TooManyTopics { .. }) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Host { .. } | Self::Topic(_) | Self::Subscribe(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Refuses an HTTP/1.1 request without `Host`, or with two: hyper lets both pass, and what is behind
/// us might take the other one.
///
/// # Errors
///
/// [`Refusal::Host`]
pub fn check_host(request: &Parts) -> Result<(), Refusal> {
    let count = request.headers.get_all(HOST).iter().count();
    let fits = match request.version {
        Version::HTTP_11 => count == 1,
        // `:authority` stands for it on HTTP/2 (RFC 9113, section 8.3.1), and 1.0 had none.
        _ => count <= 1,
    };
    if fits {
        Ok(())
    } else {
        Err(Refusal::Host { count })
    }
}

/// Refuses what cannot be answered with a stream: other methods, and clients that would not take it.
///
/// # Errors
///
/// [`Refusal::Method`], [`Refusal::NotAcceptable`]
pub fn check_subscribe(request: &Parts) -> Result<(), Refusal> {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(Refusal::Method);
    }
    if !accepts_event_stream(&request.headers) {
        return Err(Refusal::NotAcceptable);
    }
    Ok(())
}

/// Where the client says it was: the `Last-Event-ID` header, or else the `last_event_id` query
/// parameter. An `EventSource` keeps the query of its first request for ever, so the header is newer.
#[must_use]
pub fn last_event_id(request: &Parts) -> Option<Start> {
    let header = request
        .headers
        .get(LAST_EVENT_ID)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    header
        .or_else(|| query(request, LAST_EVENT_ID_QUERY))
        // An empty one is what a stream without ids leaves behind.
        .filter(|id| !id.is_empty())
        .map(|id| match &*id {
            "earliest" => Start::Earliest,
            id => Start::from_last_event_id(id),
        })
}

/// The first query parameter of this name, decoded.
#[must_use]
pub fn query<'a>(request: &'a Parts, name: &str) -> Option<Cow<'a, str>> {
    let query = request.uri.query()?;
    form_urlencoded::parse(query.as_bytes()).find_map(|(key, value)| (key == name).then_some(value))
}

/// Whether `Accept` names `text/event-stream`, as every `EventSource` does and hardly anybody else.
pub(crate) fn is_event_source(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|range| range.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// Whether `Accept` takes `text/event-stream` (RFC 9110, section 12.5.1): the most specific range
/// that matches decides, and a weight of 0 refuses.
fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let mut ranges = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .peekable();
    if ranges.peek().is_none() {
        return true;
    }
    ranges
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next()?;
            let specificity = ["*/*", "text/*", "text/event-stream"]
                .iter()
                .position(|known| media.eq_ignore_ascii_case(known))?;
            let refused = parts.any(|parameter| {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                name.trim().eq_ignore_ascii_case("q")
                    && value
                        .trim()
                        .parse::<f32>()
                        .is_ok_and(|weight| weight <= 0.0)
            });
            Some((specificity, !refused))
        })
        .max_by_key(|(specificity, _)| *specificity)
        .is_some_and(|(_, accepted)| accepted)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn accept_is_read_as_rfc_9110_says() {
        let takes = |accept: &str| {
            check_subscribe(&parts(Request::get("/").header(ACCEPT, accept))).is_ok()
        };
        assert!(takes(""));
        assert!(takes("text/event-stream"));
        assert!(takes("Text/Event-Stream;q=0.1"));
        assert!(takes("application/json, text/*;q=0.5"));
        assert!(takes("*/*"));
        assert!(takes("text/*;q=0, text/event-stream"));
        assert!(!takes("application/json"));
        assert!(!takes("text/html, text/event-stream;q=0, */*"));
        assert!(!takes("*/*; q=0.0"));
        assert!(check_subscribe(&parts(Request::get("/"))).is_ok());
    }

    #[test]
    fn only_get_and_head_subscribe() {
        assert_eq!(
            check_subscribe(&parts(Request::post("/"))),
            Err(Refusal::Method)
        );
        assert_eq!(check_subscribe(&parts(Request::head("/"))), Ok(()));
    }

    #[test]
    fn http_1_1_has_exactly_one_host() {
        assert_eq!(
            check_host(&parts(Request::get("/"))),
            Err(Refusal::Host { count: 0 })
        );
        let two = Request::get("/").header(HOST, "a").header(HOST, "b");
        assert_eq!(check_host(&parts(two)), Err(Refusal::Host { count: 2 }));
        assert_eq!(
            check_host(&parts(Request::get("/").header(HOST, "a"))),
            Ok(())
        );
        let two = Request::get("/").version(Version::HTTP_2);
        assert_eq!(check_host(&parts(two)), Ok(()));
    }

    #[test]
    fn the_header_is_newer_than_the_query() {
        let both = Request::get("/?last_event_id=abcdef-1").header(LAST_EVENT_ID, "abcdef-2");
        assert_eq!(
            last_event_id(&parts(both)),
            Some(Start::from_last_event_id("abcdef-2"))
        );
        let query = Request::get("/?x=1&last_event_id=abcdef%2D1");
        assert_eq!(
            last_event_id(&parts(query)),
            Some(Start::from_last_event_id("abcdef-1"))
        );
        assert_eq!(
            last_event_id(&parts(Request::get("/?last_event_id="))),
            None
        );
        let foreign = Request::get("/").header(LAST_EVENT_ID, &b"\xff7"[..]);
        assert_eq!(
            last_event_id(&parts(foreign)),
            Some(Start::Foreign("\u{fffd}7".to_owned()))
        );
    }
}
