//! The program as a client: one pooled client for HTTP/1.1 and HTTP/2, with and without TLS, which the upstream relay,
//! `wellspring publish` and `wellspring tail` share.

mod backoff;
mod body;
mod error;
mod refusal;
mod trust;
mod url;

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};

pub(crate) use self::backoff::Backoff;
pub(crate) use self::body::{Chunks, ClientBody, chunks, empty, full};
pub(crate) use self::error::ClientError;
pub(crate) use self::refusal::Refusal;
pub(crate) use self::trust::{Trust, TrustError};
pub(crate) use self::url::{ServerUrl, path_segment};

/// The time for finding the host, connecting and shaking hands over TLS, together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer that vanished without a word (a laptop's lid, a pulled cable) is noticed after 15 + 3 x 5 s. A stream may be
/// silent for longer than any timeout of ours, so the kernel has to ask.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;

/// A client whose clones share one pool of connections. TLS peers choose the protocol by ALPN; plain ones speak
/// HTTP/1.1.
///
/// A connection is driven by the runtime on which it was opened and ends with it.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    connector: HttpsConnector<HttpConnector>,
    inner: Arc<Client<HttpsConnector<HttpConnector>, ClientBody>>,
}

impl HttpClient {
    /// A client that believes whom `trust` names.
    ///
    /// A machine without certificates of its own is no error: `http://` works there, and so does an authority that
    /// `trust` names.
    ///
    /// # Errors
    ///
    /// [`TrustError`] when the file of authorities cannot be used.
    ///
    /// # Cost
    ///
    /// Reads the system's certificates: some milliseconds of blocking. Make one client and clone it.
    pub(crate) fn new(trust: &Trust) -> Result<Self, TrustError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEPALIVE_IDLE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
        // The same for bytes of ours that nobody acknowledges, of which keepalive knows nothing.
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_PROBES));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(trust.configuration()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        Ok(Self::over(connector))
    }

    /// A client that believes the same, with connections of its own.
    pub(crate) fn apart(&self) -> Self {
        Self::over(self.connector.clone())
    }

    fn over(connector: HttpsConnector<HttpConnector>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .build(connector.clone());
        Self {
            connector,
            inner: Arc::new(client),
        }
    }

    /// Sends a request with an absolute URL and waits for the head of the response, for as long as that takes once the
    /// connection stands. Redirects are responses like others.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: one clear line that names the peer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the request up: on HTTP/1.1 its connection is closed, on HTTP/2 its stream is reset.
    pub(crate) async fn send(
        &self,
        mut request: Request<ClientBody>,
    ) -> Result<Response<Incoming>, ClientError> {
        let url = request.uri().clone();
        let mut connection = capture_connection(&mut request);
        let mut response = std::pin::pin!(self.inner.request(request));
        let connected = async {
            tokio::select! {
                biased;
                response = &mut response => Some(response),
                _ = connection.wait_for_connection_metadata() => None,
            }
        };
        let response = match tokio::time::timeout(CONNECT_TIMEOUT, connected).await {
            Ok(Some(response)) => response,
            Ok(None) => response.await,
            Err(_) => return Err(ClientError::timed_out(&url, CONNECT_TIMEOUT)),
        };
        response.map_err(|error| ClientError::new(&url, &error))
    }
}

#[cfg(test)]
mod tests;
