//! The run on the server.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

use super::SILENCE;
use crate::client::{
    ClientBody, ClientError, HttpClient, Refusal, ServerUrl, Trust, TrustError, empty, full,
};
use crate::runs::RunId;
use crate::uplink::{Uplink, UplinkOptions};

/// A run that waits for what a command says.
#[derive(Debug)]
pub(super) struct Remote {
    client: HttpClient,
    server: ServerUrl,
    id: String,
}

/// Why there is no run.
#[derive(Debug, Error)]
pub(super) enum RemoteError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{url}: {refusal}")]
    Refused { url: Uri, refusal: Refusal },
    #[error("{0} has no runs: is it a Wellspring server's?")]
    NoRun(Uri),
    #[error("there is a run {0} already: give another --id, or none")]
    Taken(String),
}

/// What the server tells of a run.
#[derive(Debug, Deserialize)]
struct Told {
    state: String,
    #[serde(default)]
    producer: Producer,
}

#[derive(Debug, Default, Deserialize)]
struct Producer {
    #[serde(default)]
    next: u64,
}

/// A report repeats what the run said, up to a few MiB.
const LONGEST_REPORT: usize = 64 << 20;

impl Remote {
    /// Begins a run without a word in it.
    pub(super) async fn begin(
        server: ServerUrl,
        id: Option<RunId>,
        trust: &Trust,
    ) -> Result<Self, RemoteError> {
        let id = match id {
            Some(id) => id.as_str().to_owned(),
            None => format!("{:032x}", rand::rng().random::<u128>()),
        };
        let remote = Self {
            client: HttpClient::new(trust)?,
            server,
            id,
        };
        let url = remote.server.join("/v1/runs");
        // Whatever the server does with other runs: who closes the page must not end the command, nor may its silence.
        let wish = json!({
            "id": remote.id,
            "on_disconnect": "continue",
            "expires_in": (SILENCE * 5).as_secs(),
        });
        let told = remote
            .ask(Method::POST, url, full(wish.to_string()))
            .await?;
        match told {
            Ok(told) if told.state == "open" && told.producer.next == 0 => Ok(remote),
            Ok(_) => Err(RemoteError::Taken(remote.id)),
            Err(refusal) if refusal.status == StatusCode::UNPROCESSABLE_ENTITY => {
                Err(RemoteError::Taken(remote.id))
            }
            Err(refusal) => Err(RemoteError::Refused {
                url: remote.server.join("/v1/runs"),
                refusal,
            }),
        }
    }

    /// Where people watch it.
    pub(super) fn page(&self) -> String {
        format!("{}/#run={}", self.server, self.id)
    }

    /// The way up for what the command says. It takes over from any other producer of the run.
    pub(super) fn uplink(&self) -> Uplink {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let epoch = now.map_or(0, |now| {
            now.as_secs() * 1000 + u64::from(now.subsec_millis())
        });
        let options = UplinkOptions {
            wait: true,
            epoch: Some(epoch),
        };
        let url = self.server.join(&format!("/v1/runs/{}/events", self.id));
        Uplink::begin(self.client.clone(), url, options)
    }

    /// Whether somebody has cancelled it.
    pub(super) async fn is_cancelled(&self) -> bool {
        let url = self.server.join(&format!("/v1/runs/{}", self.id));
        let told = self.ask(Method::GET, url, empty()).await;
        matches!(told, Ok(Ok(told)) if told.state == "cancelled")
    }

    async fn ask(
        &self,
        method: Method,
        url: Uri,
        body: ClientBody,
    ) -> Result<Result<Told, Refusal>, RemoteError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = url.clone();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json.clone());
        request.headers_mut().insert(ACCEPT, json);
        let response = self.client.send(request).await?;
        if !response.status().is_success() {
            return Ok(Err(Refusal::read(response).await));
        }
        let body: Bytes = Limited::new(response.into_body(), LONGEST_REPORT)
            .collect()
            .await
            .map_err(|error| ClientError::in_body(&url, &*error))?
            .to_bytes();
        match serde_json::from_slice(&body) {
            Ok(told) => Ok(Ok(told)),
            Err(_) => Err(RemoteError::NoRun(url)),
        }
    }
}
