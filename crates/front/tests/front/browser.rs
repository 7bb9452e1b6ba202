//! Clients: hyper's over plain sockets and TLS, and sockets by hand.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use wellspring_front::{Protocol, Scheme};

use crate::{application::Server, soon};

/// One client connection.
pub(crate) struct Browser {
    requests: Requests,
    connection: JoinHandle<Result<(), hyper::Error>>,
}

enum Requests {
    Http1(conn::http1::SendRequest<Full<Bytes>>),
    Http2(conn::http2::SendRequest<Full<Bytes>>),
}

impl Browser {
    pub(crate) async fn open(server: &Server, scheme: Scheme, protocol: Protocol) -> Self {
        let address = server.address(scheme);
        match scheme {
            Scheme::Http => Self::over(connect(address).await, protocol).await,
            Scheme::Https => {
                let alpn = match protocol {
                    Protocol::Http1 => "http/1.1",
                    Protocol::Http2 => "h2",
                };
                let stream = connect_tls(address, &config(server.directory.path(), &[alpn])).await;
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn.as_bytes()));
                Self::over(stream, protocol).await
            }
        }
    }

    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        protocol: Protocol,
    ) -> Self {
        let io = TokioIo::new(stream);
        match protocol {
            Protocol::Http1 => {
                let (requests, connection) = conn::http1::handshake(io).await.unwrap();
                Self {
                    requests: Requests::Http1(requests),
                    connection: tokio::spawn(connection),
                }
            }
            Protocol::Http2 => {
                let (requests, connection) = conn::http2::handshake(TokioExecutor::new(), io)
                    .await
                    .unwrap();
                Self {
                    requests: Requests::Http2(requests),
                    connection: tokio::spawn(connection),
                }
            }
        }
    }

    pub(crate) async fn request(
        &mut self,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let request = Request::post(format!("http://localhost{path}"))
            .body(Full::new(body.into()))
            .unwrap();
        soon("a response", async {
            match &mut self.requests {
                Requests::Http1(requests) => {
                    requests.ready().await?;
                    requests.send_request(request).await
                }
                Requests::Http2(requests) => {
                    requests.ready().await?;
                    requests.send_request(request).await
                }
            }
        })
        .await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Response<Incoming>, hyper::Error> {
        self.request(path, "").await
    }

    /// The text of a whole response.
    pub(crate) async fn text(&mut self, path: &str) -> Result<String, hyper::Error> {
        let body = soon("a body", self.get(path).await?.into_body().collect()).await?;
        Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }

    /// Waits for the server to end the connection.
    pub(crate) async fn closed(self) -> Result<(), hyper::Error> {
        // hyper's client would end the connection itself once nobody can send requests.
        let Self {
            requests,
            connection,
        } = self;
        let end = soon("the server to end the connection", connection).await;
        drop(requests);
        end.unwrap()
    }

    /// Vanishes: the socket is dropped with whatever is under way.
    pub(crate) fn vanish(self) {
        self.connection.abort();
    }
}

/// The next piece of a streamed response.
pub(crate) async fn next(response: &mut Response<Incoming>) -> Option<Result<Bytes, hyper::Error>> {
    let frame = soon("a piece of the stream", response.body_mut().frame()).await?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

/// Collects a streamed response until it has this many bytes.
pub(crate) async fn read(response: &mut Response<Incoming>, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        bytes.extend_from_slice(&next(response).await.unwrap().unwrap());
    }
    bytes
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    let stream = soon("to connect", TcpStream::connect(address))
        .await
        .unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) async fn connect_tls(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> TlsStream<TcpStream> {
    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connect(address).await;
    soon("a TLS handshake", connector.connect(name, stream))
        .await
        .unwrap()
}

/// A client that trusts nothing but the authority of a directory.
pub(crate) fn config(directory: &Path, protocols: &[&str]) -> Arc<ClientConfig> {
    config_of(directory, protocols, rustls::DEFAULT_VERSIONS)
}

pub(crate) fn config_of(
    directory: &Path,
    protocols: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(directory.join("ca.pem")).unwrap())
        .unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    Arc::new(config)
}
