//! An OpenAI-compatible upstream, relayed into runs.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use thiserror::Error;
use wellspring::event::{DecodeError, Decoder};

use crate::client::{ClientBody, ClientError, HttpClient, Trust, TrustError, empty, full};
use crate::config;
use crate::dialect::{Chunk, Part, Summary};
use crate::runs::Producer;

/// Who answers chats for us.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    client: HttpClient,
    completions: Uri,
    models: Uri,
    authorization: Option<HeaderValue>,
}

/// An answer of the upstream that is not a stream, to be passed on as it is.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) retry_after: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

/// What the upstream makes of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It streams.
    Stream(Response<Incoming>),
    /// It does not: an error, or an answer in one piece.
    Whole(Whole),
}

/// Why the upstream gave no answer.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("the upstream's answer broke off: {0}")]
    Broken(String),
    #[error("the upstream sent an event that cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("the upstream sent something that is no chat chunk: {0}")]
    Chunk(#[from] serde_json::Error),
    #[error("the upstream ended without its [DONE]")]
    Truncated,
    #[error("{0}")]
    Told(String),
    #[error("the upstream said nothing for {} s", .0.as_secs())]
    Silent(Duration),
}

impl Upstream {
    /// The longest answer in one piece.
    const WHOLE: usize = 16 * 1024 * 1024;
    /// The longest event.
    const EVENT: usize = 1024 * 1024;
    /// The longest silence within an answer: models think for minutes, dead peers for ever.
    const SILENCE: Duration = Duration::from_secs(600);

    /// # Errors
    ///
    /// When its certificate authority cannot be read.
    pub(crate) fn new(config: &config::Upstream) -> Result<Self, TrustError> {
        let trust = Trust {
            authority: config.authority.clone(),
            ..Trust::default()
        };
        Ok(Self {
            client: HttpClient::new(&trust)?,
            completions: config.url.join("/chat/completions"),
            models: config.url.join("/models"),
            authorization: config.key.as_ref().map(|key| {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                    .expect("a secret is made of visible ASCII");
                value.set_sensitive(true);
                value
            }),
        })
    }

    /// Sends a chat request as the client wrote it, with our key if we have one, or else the client's.
    ///
    /// # Errors
    ///
    /// When the upstream cannot be reached or breaks off.
    pub(crate) async fn ask(
        &self,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Reply, UpstreamError> {
        let request = Request::post(self.completions.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream, application/json")
            .body(full(body))
            .expect("all of it was checked before");
        let response = self.send(request, headers).await?;
        let streams = response.headers().get(CONTENT_TYPE).is_some_and(|given| {
            given
                .as_bytes()
                .to_ascii_lowercase()
                .starts_with(b"text/event-stream")
        });
        if response.status() == StatusCode::OK && streams {
            return Ok(Reply::Stream(response));
        }
        whole(response).await.map(Reply::Whole)
    }

    /// What models the upstream offers, in its own words.
    ///
    /// # Errors
    ///
    /// When the upstream cannot be reached or breaks off.
    pub(crate) async fn models(&self, headers: &HeaderMap) -> Result<Whole, UpstreamError> {
        let request = Request::get(self.models.clone())
            .header(ACCEPT, "application/json")
            .body(empty())
            .expect("all of it was checked before");
        whole(self.send(request, headers).await?).await
    }

    async fn send(
        &self,
        mut request: Request<ClientBody>,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let authorization = self.authorization.as_ref();
        if let Some(authorization) = authorization.or_else(|| headers.get(AUTHORIZATION)) {
            request
                .headers_mut()
                .insert(AUTHORIZATION, authorization.clone());
        }
        Ok(self.client.send(request).await?)
    }
}

async fn whole(response: Response<Incoming>) -> Result<Whole, UpstreamError> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, Upstream::WHOLE)
        .collect()
        .await
        .map_err(|error| UpstreamError::Broken(error.to_string()))?
        .to_bytes();
    Ok(Whole {
        status: head.status,
        content_type: head.headers.get(CONTENT_TYPE).cloned(),
        retry_after: head.headers.get("retry-after").cloned(),
        body,
    })
}

/// Feeds a run with the upstream's stream, to its end.
///
/// Its comments are swallowed: the run's readers have heartbeats of their own. An end without `[DONE]`
/// is a failure, never an end.
pub(crate) async fn relay(response: Response<Incoming>, producer: Producer) {
    match follow(response, &producer).await {
        Ok(summary) => producer.finish(&Part::Done(summary)),
        Err(error) => {
            let message = error.to_string();
            tracing::warn!(error = message, "run failed");
            producer.finish(&Part::Failed { message: &message });
        }
    }
}

async fn follow(
    response: Response<Incoming>,
    producer: &Producer,
) -> Result<Summary, UpstreamError> {
    let mut body = response.into_body();
    let mut decoder = Decoder::with_limit(Upstream::EVENT);
    let mut summary = Summary {
        relayed: true,
        ..Summary::default()
    };
    loop {
        let frame = tokio::time::timeout(Upstream::SILENCE, body.frame())
            .await
            .map_err(|_| UpstreamError::Silent(Upstream::SILENCE))?
            .ok_or(UpstreamError::Truncated)?
            .map_err(|error| UpstreamError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let mut input = &data[..];
        while let Some(message) = decoder.decode(&mut input)? {
            if message.data() == "[DONE]" {
                return Ok(summary);
            }
            let chunk: Chunk = serde_json::from_str(message.data())?;
            if let Some(error) = chunk.error() {
                return Err(UpstreamError::Told(error));
            }
            chunk.summarise(&mut summary);
            producer.tell(&Part::Relayed {
                chunk: message.data(),
                answer: chunk.answer(),
            });
        }
    }
}
