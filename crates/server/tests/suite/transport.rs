//! The ways to the program: a socket, and HTTP over it.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::request::{Builder, Parts};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::program::{Program, soon};

/// What browsers and others speak with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTP/1.1.
    Http1,
    /// HTTP/1.1 over TLS, by ALPN.
    Http1Tls,
    /// HTTP/2 over TLS, by ALPN.
    Http2,
    /// HTTP/2 with prior knowledge.
    H2c,
}

/// A connected socket, encrypted or not.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    sender: Sender,
    base: String,
    connection: JoinHandle<()>,
}

/// The body of a request.
pub(crate) type ClientBody = BoxBody<Bytes, Infallible>;

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<ClientBody>),
    Http2(http2::SendRequest<ClientBody>),
}

/// A response that has arrived.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Transport {
    pub(crate) const ALL: [Self; 4] = [Self::Http1, Self::Http1Tls, Self::Http2, Self::H2c];

    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Self::Http1Tls | Self::Http2)
    }

    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::H2c)
    }

    /// A connected socket; over TLS the certificate is verified, and the protocol agreed.
    pub(crate) async fn dial(self, program: &Program) -> Box<dyn Socket> {
        let tcp = TcpStream::connect(program.address(self.is_secure()))
            .await
            .unwrap();
        tcp.set_nodelay(true).unwrap();
        if !self.is_secure() {
            return Box::new(tcp);
        }
        let protocol: &[u8] = if self.is_http2() { b"h2" } else { b"http/1.1" };
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(program.authority()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let tls = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), tcp)
            .await
            .unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(protocol));
        Box::new(tls)
    }
}

impl Client {
    pub(crate) async fn connect(program: &Program, transport: Transport) -> Self {
        let base = if transport.is_secure() {
            program.https()
        } else {
            program.http()
        };
        let base = base.to_owned();
        let io = TokioIo::new(soon("a connection", transport.dial(program)).await);
        if transport.is_http2() {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            Self {
                sender: Sender::Http2(sender),
                base,
                connection: tokio::spawn(async move { drop(connection.await) }),
            }
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            Self {
                sender: Sender::Http1(sender),
                base,
                connection: tokio::spawn(async move { drop(connection.await) }),
            }
        }
    }

    /// Sends a request whose URI is a path, and waits for the head of the response.
    pub(crate) async fn send(
        &mut self,
        request: Request<ClientBody>,
    ) -> hyper::Result<Response<Incoming>> {
        let (mut parts, body) = request.into_parts();
        self.address(&mut parts);
        let request = Request::from_parts(parts, body);
        let response = async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::Http2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            }
        };
        soon("a response", response).await
    }

    /// The same, to the response's last byte.
    pub(crate) async fn exchange(&mut self, request: Request<ClientBody>) -> Whole {
        let response = self.send(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = soon("a response's end", body.collect()).await.unwrap();
        Whole {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        }
    }

    /// Vanishes without a word.
    pub(crate) async fn cut(self) {
        self.connection.abort();
        let _ = self.connection.await;
    }

    /// HTTP/1.1 names the host in a header, HTTP/2 in the URI.
    fn address(&self, request: &mut Parts) {
        let whole = format!("{}{}", self.base, request.uri);
        let whole: Uri = whole.parse().unwrap();
        match self.sender {
            Sender::Http1(_) => {
                let host = whole.authority().unwrap().as_str().parse().unwrap();
                request.headers.insert(HOST, host);
            }
            Sender::Http2(_) => request.uri = whole,
        }
    }
}

impl Whole {
    /// The answer to one request on a connection of its own.
    pub(crate) async fn of(
        program: &Program,
        transport: Transport,
        request: Request<ClientBody>,
    ) -> Self {
        Client::connect(program, transport)
            .await
            .exchange(request)
            .await
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A header's text; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }
}

/// A header's text; empty when there is none.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// Where the run of this response is read natively.
pub(crate) fn run_of(headers: &HeaderMap) -> String {
    format!("/v1/runs/{}/events", header(headers, "x-run-id"))
}

/// Ends a request without a body.
pub(crate) fn bare(request: Builder) -> Request<ClientBody> {
    request.body(Empty::new().boxed()).unwrap()
}

pub(crate) fn get(path: &str) -> Request<ClientBody> {
    bare(Request::get(path))
}

pub(crate) fn post(path: &str, content_type: &str, body: impl Into<Bytes>) -> Request<ClientBody> {
    Request::post(path)
        .header(CONTENT_TYPE, content_type)
        .body(Full::new(body.into()).boxed())
        .unwrap()
}

/// Publishes one event; its id.
pub(crate) async fn publish(program: &Program, topic: &str, data: &str) -> String {
    let request = post(&format!("/topics/{topic}"), "text/plain", data.to_owned());
    let receipt = Whole::of(program, Transport::Http1, request).await;
    assert_eq!(receipt.status, StatusCode::OK, "{receipt:?}");
    receipt.json()["last_id"].as_str().unwrap().to_owned()
}
