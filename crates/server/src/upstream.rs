//! The upstreams: who answers for us. Only those that are configured are ever asked.

mod lanes;
pub(crate) mod language;
mod relay;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use thiserror::Error;
use wellspring::event::DecodeError;

use crate::answer::{self, Answer};
use crate::client::{ClientBody, ClientError, HttpClient, Trust, TrustError, empty, full};
use crate::config;
use crate::dialect::{KeyHeader, Language, Misheard};
use lanes::{Lanes, Place};
pub(crate) use relay::relay;

/// The upstreams that are configured, the default one first.
#[derive(Debug, Clone)]
pub(crate) struct Upstreams {
    lanes: Lanes,
    all: Vec<config::Upstream>,
}

/// One upstream, and the client to ask it with.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    lanes: Lanes,
    config: config::Upstream,
}

/// The request names an upstream that is not configured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no upstream is called {0:?}; the names are those of --upstream NAME=URL")]
pub(crate) struct UnknownUpstream(String);

/// An answer of the upstream that is not a stream, to be passed on as it is.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What the upstream makes of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It streams.
    Stream(Streaming),
    /// It does not: an error, or an answer in one piece.
    Whole(Whole),
}

/// An answer that streams. It has its place among all that do until it is dropped.
#[derive(Debug)]
pub(crate) struct Streaming {
    body: Incoming,
    _place: Place,
}

/// Why the upstream gave no answer, or no whole one.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("the upstream's answer broke off: {0}")]
    Broken(String),
    #[error("the upstream redirects to {0}; name that address with --upstream")]
    Moved(String),
    #[error("the upstream sent an event that cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Misheard(#[from] Misheard),
    #[error("the upstream answered {0}")]
    Refused(String),
    #[error("the upstream ended before its answer did")]
    Truncated,
    #[error("the upstream said nothing for {} s", .0.as_secs())]
    Silent(Duration),
}

impl Upstreams {
    /// The request header by which a client picks one.
    const PICK: &str = "x-upstream";

    /// # Errors
    ///
    /// When the certificate authority that they may have cannot be read.
    pub(crate) fn new(config: &config::Upstreams) -> Result<Self, TrustError> {
        let trust = Trust {
            authority: config.authority.clone(),
            ..Trust::default()
        };
        Ok(Self {
            lanes: Lanes::new(HttpClient::new(&trust)?),
            all: config.all.clone(),
        })
    }

    /// Who is to answer this request: the one that it names, or else the one that is called like the
    /// dialect, or else the first. None when none is configured.
    ///
    /// # Errors
    ///
    /// When it names one that is not configured.
    pub(crate) fn choose(
        &self,
        request: &Parts,
        language: &Language,
    ) -> Result<Option<Upstream>, UnknownUpstream> {
        let named = |name: &str| {
            let mut all = self.all.iter();
            all.find(|upstream| upstream.name.as_deref() == Some(name))
        };
        let chosen = match request.headers.get(Self::PICK) {
            Some(name) => {
                let name = String::from_utf8_lossy(name.as_bytes());
                Some(named(&name).ok_or_else(|| UnknownUpstream(name.into_owned()))?)
            }
            None => named(language.dialect.name()).or(self.all.first()),
        };
        Ok(chosen.map(|config| Upstream {
            lanes: self.lanes.clone(),
            config: config.clone(),
        }))
    }
}

impl Upstream {
    /// The longest answer in one piece.
    const WHOLE: usize = 16 * 1024 * 1024;

    /// Sends a request as the client wrote it, with our key if we have one, or else the client's.
    ///
    /// # Errors
    ///
    /// When the upstream cannot be reached, breaks off, or sends us elsewhere.
    pub(crate) async fn ask(
        &self,
        language: &Language,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Reply, UpstreamError> {
        self.post(language.path, language, headers, body).await
    }

    /// The same, with a path of its own.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub(crate) async fn post(
        &self,
        path: &str,
        language: &Language,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Reply, UpstreamError> {
        let request = Request::post(self.config.url.join(path))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream, application/json")
            .body(full(body))
            .expect("all of it was checked before");
        let (response, place) = self.send(request, language, headers).await?;
        let streams = response.headers().get(CONTENT_TYPE).is_some_and(|given| {
            given
                .as_bytes()
                .to_ascii_lowercase()
                .starts_with(b"text/event-stream")
        });
        if response.status() == StatusCode::OK && streams {
            return Ok(Reply::Stream(Streaming {
                body: response.into_body(),
                _place: place,
            }));
        }
        Whole::read(response).await.map(Reply::Whole)
    }

    /// Reads something of the upstream, in its own words.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask).
    pub(crate) async fn get(
        &self,
        path: &str,
        language: &Language,
        headers: &HeaderMap,
    ) -> Result<Whole, UpstreamError> {
        let request = Request::get(self.config.url.join(path))
            .header(ACCEPT, "application/json")
            .body(empty())
            .expect("all of it was checked before");
        let (response, _place) = self.send(request, language, headers).await?;
        Whole::read(response).await
    }

    async fn send(
        &self,
        mut request: Request<ClientBody>,
        language: &Language,
        given: &HeaderMap,
    ) -> Result<(Response<Incoming>, Place), UpstreamError> {
        let headers = request.headers_mut();
        for name in language.passed {
            for value in given.get_all(*name) {
                headers.append(*name, value.clone());
            }
        }
        // Only one of them: two keys would leave it to the upstream whose account is charged.
        if let Some(key) = &self.config.key {
            for header in [KeyHeader::Bearer, KeyHeader::XApiKey] {
                headers.remove(header.name());
            }
            headers.insert(language.key.name(), language.key.value(key));
        }
        let (client, place) = self.lanes.enter();
        Ok((client.send(request).await?, place))
    }
}

impl Whole {
    async fn read(response: Response<Incoming>) -> Result<Self, UpstreamError> {
        let (mut head, body) = response.into_parts();
        if head.status.is_redirection() {
            // A client that followed it would send its key, and ours would be missing.
            let location = head.headers.get(LOCATION).map(HeaderValue::as_bytes);
            let location = String::from_utf8_lossy(location.unwrap_or(b"another address"));
            return Err(UpstreamError::Moved(location.into_owned()));
        }
        let body = Limited::new(body, Upstream::WHOLE)
            .collect()
            .await
            .map_err(|error| UpstreamError::Broken(error.to_string()))?
            .to_bytes();
        Ok(Self {
            status: head.status,
            headers: head
                .headers
                .drain()
                .scan(None, |last, (name, value)| {
                    *last = name.or(last.take());
                    Some((last.clone()?, value))
                })
                .filter(|(name, _)| is_passed_back(name.as_str()))
                .collect(),
            body,
        })
    }

    pub(crate) fn into_answer(self) -> Answer {
        let mut answer = answer::bytes(self.status, "application/json", self.body);
        answer.headers_mut().extend(self.headers);
        answer
    }
}

/// What of an upstream's head concerns the client: SDKs retry by these, and show them to people.
fn is_passed_back(name: &str) -> bool {
    matches!(
        name,
        "content-type"
            | "retry-after"
            | "retry-after-ms"
            | "x-should-retry"
            | "x-request-id"
            | "request-id"
    ) || name.contains("ratelimit")
}
