//! A server's "no", read with care: how it is answered is up to the server, or to a proxy before it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;

/// A response other than the one hoped for, as one line: `403 Forbidden: the token has expired`.
///
/// What the server says of it is taken from a problem document (RFC 9457), or from a short text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The status of the response.
    pub status: StatusCode,
    /// What the server says of it.
    pub detail: Option<String>,
    /// The line of the request's body at which the server stopped, from 1.
    pub line: Option<u64>,
    /// How long the server wants to be left alone, where it says so in seconds (RFC 9110, section 10.2.3).
    pub retry_after: Option<Duration>,
}

/// A problem document's members that say something to people, and ours.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
    line: Option<u64>,
}

/// More of a refusal's body is not read...
const LONGEST: usize = 64 << 10;
/// ...nor is it waited for longer: its status is known.
const PATIENCE: Duration = Duration::from_secs(5);
/// A text is repeated to the user up to this length, in characters.
const SHORT: usize = 200;

impl Refusal {
    /// Reads a response that is a refusal.
    pub(crate) async fn read(response: http::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST).collect();
        let body = match tokio::time::timeout(PATIENCE, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
        Self::new(head.status, &head.headers, &body)
    }

    /// Whether the same request may be taken another time: the server is at fault, or busy (RFC 9110, section 15).
    pub(crate) fn is_transient(&self) -> bool {
        self.status.is_server_error()
            || matches!(
                self.status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
            )
    }

    fn new(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let kind = text(CONTENT_TYPE).unwrap_or_default();
        let mut problem = Problem::default();
        if kind.starts_with("application/problem+json") || kind.starts_with("application/json") {
            problem = serde_json::from_slice(body).unwrap_or_default();
        } else if kind.starts_with("text/plain") {
            problem.detail = std::str::from_utf8(body).ok().map(str::to_owned);
        }
        let moved = text(LOCATION)
            .filter(|_| status.is_redirection())
            .map(|location| format!("it is at {location}"));
        Self {
            status,
            detail: problem
                .detail
                .or(problem.title)
                .or(moved)
                .map(|detail| one_line(&detail))
                .filter(|detail| !detail.is_empty()),
            line: problem.line,
            retry_after: text(RETRY_AFTER)
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.status)?;
        match &self.detail {
            Some(detail) => write!(formatter, ": {detail}"),
            None => Ok(()),
        }
    }
}

/// A server's words as one line that cannot steer a terminal.
fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words
        .join(" ")
        .chars()
        .filter(|character| !character.is_control())
        .take(SHORT)
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn refusal(status: u16, headers: &[(http::HeaderName, &'static str)], body: &str) -> Refusal {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new(status, &headers, body.as_bytes())
    }

    #[test]
    fn a_problem_says_its_detail_and_its_line() {
        let refusal = refusal(
            413,
            &[(CONTENT_TYPE, "application/problem+json")],
            r#"{"type":"about:blank","title":"Content Too Large","detail":"larger than 1 MiB","line":17}"#,
        );
        assert_eq!(
            refusal.to_string(),
            "413 Payload Too Large: larger than 1 MiB"
        );
        assert_eq!(refusal.line, Some(17));
        assert!(!refusal.is_transient());
    }

    #[test]
    fn a_page_of_a_proxy_says_its_status() {
        let refusal = refusal(
            502,
            &[(CONTENT_TYPE, "text/html"), (RETRY_AFTER, "7")],
            "<h1>Bad Gateway</h1>",
        );
        assert_eq!(refusal.to_string(), "502 Bad Gateway");
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(7)));
        assert!(refusal.is_transient());
    }

    #[test]
    fn a_redirect_says_where_to() {
        let refusal = refusal(308, &[(LOCATION, "https://example.org/")], "");
        assert_eq!(
            refusal.to_string(),
            "308 Permanent Redirect: it is at https://example.org/"
        );
    }

    #[test]
    fn a_text_stays_one_line_and_cannot_steer_the_terminal() {
        let refusal = refusal(
            400,
            &[(CONTENT_TYPE, "text/plain; charset=utf-8")],
            "no\n  such\u{1b}[2J topic\r\n",
        );
        assert_eq!(refusal.to_string(), "400 Bad Request: no such[2J topic");
    }

    #[test]
    fn broken_json_is_no_reason_to_say_nothing() {
        let refusal = refusal(404, &[(CONTENT_TYPE, "application/problem+json")], "{");
        assert_eq!(refusal.to_string(), "404 Not Found");
    }
}
