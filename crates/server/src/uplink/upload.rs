//! One request that carries lines up.

use std::pin::Pin;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use tokio::time::Instant;

use super::unacknowledged::Chunk;
use crate::client::{Chunks, ClientError, HttpClient, Refusal, chunks};

/// A request that is open for further chunks, or ended and waiting for its answer.
pub(super) struct Upload {
    answer: Pin<Box<dyn Future<Output = Result<Receipt, UploadError>>>>,
    /// None once the body has ended.
    chunks: Option<Chunks>,
    due: Instant,
}

/// What the server has taken of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Receipt {
    /// Lines that are new to the topic, or to the run.
    #[serde(alias = "published", alias = "accepted")]
    pub new: u64,
    /// Lines whose key, or number, was there before.
    #[serde(default)]
    pub repeated: u64,
}

/// Why a request was not acknowledged.
#[derive(Debug)]
pub(super) enum UploadError {
    Client(ClientError),
    Refused(Refusal),
    /// A success that says nothing of lines.
    NoReceipt,
    /// The server does not say a word.
    Silent,
}

/// What happens on a request.
#[derive(Debug)]
pub(super) enum Exchange {
    /// So many more lines are on their way. None when nobody takes chunks any more, which the answer will explain.
    Sent(usize),
    /// The request is over.
    Answer(Result<Receipt, UploadError>),
}

/// A receipt is some 60 bytes.
const LONGEST_RECEIPT: usize = 64 << 10;

impl Upload {
    /// Opens a request, which is due to be ended after `lifetime`.
    pub(super) fn begin(
        client: &HttpClient,
        url: Uri,
        headers: HeaderMap,
        lifetime: Duration,
    ) -> Self {
        // Room for one: what waits here has left the queue, but not the process.
        let (chunks, body) = chunks(1);
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers;
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            "application/x-ndjson".parse().expect("plain ASCII"),
        );
        headers.insert(ACCEPT, "application/json".parse().expect("plain ASCII"));
        let client = client.clone();
        let answer = async move {
            let response = client.send(request).await.map_err(UploadError::Client)?;
            if !response.status().is_success() {
                return Err(UploadError::Refused(Refusal::read(response).await));
            }
            let body = Limited::new(response.into_body(), LONGEST_RECEIPT);
            let body = body
                .collect()
                .await
                .map_err(|error| UploadError::Client(ClientError::in_body(&url, &*error)))?;
            serde_json::from_slice(&body.to_bytes()).map_err(|_| UploadError::NoReceipt)
        };
        Self {
            answer: Box::pin(answer),
            chunks: Some(chunks),
            due: Instant::now() + lifetime,
        }
    }

    /// Whether the request takes further chunks.
    pub(super) fn is_open(&self) -> bool {
        self.chunks.is_some()
    }

    /// When the request should be ended, or else its answer be there.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Ends the body: the server answers within `patience`, or never.
    pub(super) fn end(&mut self, patience: Duration) {
        self.chunks = None;
        self.due = Instant::now() + patience;
    }

    /// Sends a chunk when there is one, and waits for what happens first: that it is sent, or the answer.
    ///
    /// # Cancel safety
    ///
    /// The chunk is either reported as sent or not sent.
    pub(super) async fn exchange(&mut self, chunk: Option<Chunk>) -> Exchange {
        let Self { answer, chunks, .. } = self;
        let sending = async {
            match (chunks.as_ref(), chunk) {
                (Some(chunks), Some(chunk)) => {
                    chunks.send(chunk.bytes).await.map(|()| chunk.lines).ok()
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = answer => Exchange::Answer(answer),
            sent = sending => {
                if sent.is_none() {
                    *chunks = None;
                }
                Exchange::Sent(sent.unwrap_or(0))
            }
        }
    }
}
