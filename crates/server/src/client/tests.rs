//! The client against real sockets.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use wellspring_front::{
    Application, Connection, Front, RequestBody, RequestBodyError, Running, Scheme, Tls,
};

use super::*;

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Gives back what it is sent, and redirects `/moved`.
struct Echo;

impl Application for Echo {
    type Body = BoxBody<Bytes, RequestBodyError>;
    type Service = Self;

    fn connect(&self, _: &Arc<Connection>) -> Self {
        Self
    }
}

impl hyper::service::Service<Request<RequestBody>> for Echo {
    type Response = Response<BoxBody<Bytes, RequestBodyError>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        let moved = request.uri().path() == "/moved";
        let mut response = Response::new(request.into_body().boxed());
        if moved {
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        }
        ready(Ok(response))
    }
}

struct Server {
    _running: Running,
    plain: SocketAddr,
    tls: SocketAddr,
    certificates: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let certificates = tempfile::tempdir().unwrap();
        let tls = Tls::self_signed(certificates.path(), &[]).unwrap();
        let running = Front::builder()
            .plain(LOCAL)
            .tls(LOCAL, tls)
            .bind()
            .unwrap()
            .serve(Arc::new(Echo))
            .unwrap();
        let at = |scheme| {
            let mut addresses = running.addresses().iter();
            addresses.find(|address| address.0 == scheme).unwrap().1
        };
        Self {
            plain: at(Scheme::Http),
            tls: at(Scheme::Https),
            _running: running,
            certificates,
        }
    }

    fn believed(&self) -> HttpClient {
        client(&Trust {
            authority: Some(self.certificates.path().join("ca.pem")),
            insecure: false,
        })
    }
}

fn client(trust: &Trust) -> HttpClient {
    HttpClient::new(trust).unwrap()
}

fn post(url: impl std::fmt::Display, body: ClientBody) -> Request<ClientBody> {
    Request::builder()
        .method(Method::POST)
        .uri(url.to_string())
        .body(body)
        .unwrap()
}

async fn refused(client: &HttpClient, url: impl std::fmt::Display) -> String {
    let error = client.send(post(url, empty())).await.unwrap_err();
    error.to_string()
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().into()).unwrap()
}

#[tokio::test]
async fn the_protocol_is_the_best_that_the_peer_speaks() {
    let server = Server::start();
    let client = server.believed();
    for (url, version) in [
        (format!("http://{}/", server.plain), Version::HTTP_11),
        (format!("https://{}/", server.tls), Version::HTTP_2),
        (
            format!("https://localhost:{}/", server.tls.port()),
            Version::HTTP_2,
        ),
    ] {
        let response = client.send(post(&url, full("drop"))).await.unwrap();
        assert_eq!(response.version(), version, "{url}");
        assert_eq!(text(response).await, "drop");
    }
}

#[tokio::test]
async fn chunks_are_on_the_wire_as_soon_as_they_are_written() {
    let server = Server::start();
    let client = server.believed();
    for url in [
        format!("http://{}/", server.plain),
        format!("https://{}/", server.tls),
    ] {
        let (chunks, body) = chunks(1);
        let mut echo = client.send(post(url, body)).await.unwrap().into_body();
        for chunk in ["one", "two", "three"] {
            chunks.send(chunk.into()).await.unwrap();
            let frame = tokio::time::timeout(Duration::from_secs(10), echo.frame());
            let frame = frame.await.expect("an echo before the body ends").unwrap();
            assert_eq!(frame.unwrap().into_data().unwrap(), chunk);
        }
        drop(chunks);
        let rest = echo.collect().await.expect("the body ends in good order");
        assert_eq!(rest.to_bytes(), "");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start();
    let url = format!("http://{}/moved", server.plain);
    let response = server.believed().send(post(url, empty())).await.unwrap();
    assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
}

#[tokio::test]
async fn a_certificate_is_believed_when_somebody_vouches_for_it() {
    let server = Server::start();
    let url = format!("https://{}/", server.tls);
    let stranger = refused(&client(&Trust::default()), &url).await;
    assert_eq!(
        stranger,
        format!(
            "certificate of {} is not trusted: its authority is unknown; give its CA with --cacert FILE (for an upstream: --upstream-cacert FILE)",
            server.tls
        )
    );
    let insecure = client(&Trust {
        insecure: true,
        ..Trust::default()
    });
    let response = insecure.send(post(&url, full("drop"))).await.unwrap();
    assert_eq!(text(response).await, "drop");
}

#[tokio::test]
async fn a_closed_port_is_named() {
    let closed = TcpListener::bind(LOCAL).unwrap().local_addr().unwrap();
    assert_eq!(
        refused(&client(&Trust::default()), format!("http://{closed}/")).await,
        format!("cannot connect to {closed}: connection refused (is the server running?)")
    );
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    let line = refused(&client(&Trust::default()), "http://nowhere.invalid/").await;
    assert!(
        line.starts_with("cannot connect to nowhere.invalid:80: "),
        "{line}"
    );
    assert!(!line.contains("os error") && !line.contains('\n'), "{line}");
}

#[tokio::test]
async fn the_wrong_scheme_is_suspected() {
    let server = Server::start();
    let client = server.believed();
    assert_eq!(
        refused(&client, format!("https://{}/", server.plain)).await,
        format!(
            "{} does not speak TLS (is it an http:// address?)",
            server.plain
        )
    );
    assert_eq!(
        refused(&client, format!("http://{}/", server.tls)).await,
        format!(
            "{} does not speak HTTP (is it an https:// address?)",
            server.tls
        )
    );
}

#[tokio::test]
async fn a_handshake_that_nobody_answers_ends_in_time() {
    // Connections are taken up by the kernel, and nobody says a word.
    let silent = TcpListener::bind(LOCAL).unwrap();
    let address = silent.local_addr().unwrap();
    let client = client(&Trust::default());
    tokio::time::pause();
    let url = format!("https://{address}/");
    assert_eq!(
        refused(&client, url).await,
        format!("cannot connect to {address}: no answer within 10 s")
    );
}

#[test]
fn a_file_that_is_no_authority_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let line = |path: &Path| {
        let trust = Trust {
            authority: Some(path.to_owned()),
            insecure: false,
        };
        HttpClient::new(&trust).unwrap_err().to_string()
    };
    let absent = directory.path().join("absent.pem");
    assert_eq!(
        line(&absent),
        format!(
            "cannot read {}: No such file or directory (os error 2)",
            absent.display()
        )
    );
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "no certificate at all").unwrap();
    assert!(
        line(&text).contains("notes.txt holds no PEM certificate"),
        "{}",
        line(&text)
    );
    let broken = directory.path().join("broken.pem");
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&broken, pem).unwrap();
    assert!(line(&broken).contains("broken.pem holds a certificate that cannot be used"));
}
