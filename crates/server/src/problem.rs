//! What is wrong with a request, as JSON (RFC 9457).

use std::borrow::Cow;

use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use wellspring::Refusal;

use crate::answer::{self, Answer};

/// A problem: `application/problem+json`, with what a publisher needs to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// What kind of problem, in words that do not change.
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    /// What exactly, and what to do about it.
    detail: Cow<'static, str>,
    /// The line of the request body that is wrong, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// How many events of this request were published before it; they stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<u64>,
    /// The id of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_id: Option<String>,
    #[serde(skip)]
    allow: Option<Box<str>>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            title: status.canonical_reason().unwrap_or("Problem"),
            status,
            detail: detail.into(),
            line: None,
            published: None,
            last_id: None,
            allow: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 404 for a run that is not there.
    pub(crate) fn no_run() -> Self {
        Self::not_found(
            "there is no such run: it may have ended long ago, or the server began anew",
        )
    }

    /// 405, with the methods that are answered.
    pub(crate) fn not_allowed<'a>(methods: impl Iterator<Item = &'a Method>) -> Self {
        let mut methods: Vec<_> = methods.map(Method::as_str).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        Self::method(methods.join(", "))
    }

    pub(crate) fn method(allow: impl Into<Box<str>>) -> Self {
        let allow = allow.into();
        let mut problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("only {allow} is answered here"),
        );
        problem.allow = Some(allow);
        problem
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    pub(crate) fn after(mut self, published: u64, last_id: Option<String>) -> Self {
        self.published = Some(published);
        self.last_id = last_id;
        self
    }

    pub(crate) fn into_answer(self) -> Answer {
        let mut answer = answer::typed_json(self.status, "application/problem+json", &self);
        let headers = answer.headers_mut();
        if let Some(allow) = self.allow {
            let allow = HeaderValue::from_str(&allow).expect("methods are ASCII");
            headers.insert(ALLOW, allow);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        answer
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Method => Self::method("GET, HEAD"),
            refusal => Self::new(refusal.status(), refusal.to_string()),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
