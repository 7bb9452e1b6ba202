//! What goes wrong stays where it went wrong.

use std::{net::SocketAddr, sync::Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wellspring_front::{EndReason, Front, Protocol, Scheme};

use crate::{
    application::Server,
    browser::{Browser, connect, next},
    soon, until,
};

#[tokio::test]
async fn a_panic_ends_its_http_1_connection_only() {
    let log = log();
    let server = Server::start();
    let mut bystander = Browser::open(&server, Scheme::Http, Protocol::Http1).await;
    let mut stream = bystander.get("/stream").await.unwrap();
    let mut browser = Browser::open(&server, Scheme::Http, Protocol::Http1).await;
    browser.get("/panic").await.expect_err("no response");
    assert_eq!(
        server.departure().await,
        EndReason::Panicked("asked to panic".to_owned())
    );
    let mut browser = Browser::open(&server, Scheme::Http, Protocol::Http1).await;
    browser
        .text("/panic-in-body")
        .await
        .expect_err("a truncated body");
    assert_eq!(
        server.departure().await,
        EndReason::Panicked("asked to panic in the body".to_owned())
    );
    server.application.publish(b"unharmed");
    assert_eq!(next(&mut stream).await.unwrap().unwrap(), "unharmed");
    assert!(
        log.contains("ERROR") && log.contains("asked to panic"),
        "{}",
        log.text()
    );
}

#[tokio::test]
async fn a_panic_ends_its_http_2_stream_only() {
    let server = Server::start();
    let mut browser = Browser::open(&server, Scheme::Https, Protocol::Http2).await;
    browser.get("/panic").await.expect_err("a reset stream");
    browser
        .text("/panic-in-body")
        .await
        .expect_err("a reset stream");
    assert_eq!(browser.text("/hello").await.unwrap(), "hello over Http2");
}

#[tokio::test]
async fn a_peer_that_vanishes_is_reported_once() {
    for scheme in [Scheme::Http, Scheme::Https] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let server = Server::start();
            let mut browser = Browser::open(&server, scheme, protocol).await;
            let stream = browser.get("/stream").await.unwrap();
            drop(stream);
            browser.vanish();
            let reason = server.departure().await;
            assert!(
                matches!(reason, EndReason::PeerClosed | EndReason::PeerReset),
                "{scheme} {protocol:?}: {reason}"
            );
            until("its stream to be dropped", || {
                server.application.open_streams() == 0
            })
            .await;
            soon("the end", server.running.drain(crate::PATIENCE)).await;
            assert_eq!(server.further_departures().await, 0);
        }
    }
}

#[tokio::test]
async fn plain_text_on_the_tls_port_fails_the_handshake() {
    let server = Server::start();
    let mut stream = connect(server.address(Scheme::Https)).await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = soon("the end", stream.read_to_end(&mut rest)).await;
    assert!(matches!(
        server.departure().await,
        EndReason::HandshakeFailed(_)
    ));
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let server = Server::start();
    let mut stream = connect(server.address(Scheme::Http)).await;
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "x".repeat(100_000));
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = [0; 12];
    soon("an answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}

#[test]
fn a_busy_port_is_named_with_what_to_do() {
    let first = Front::builder()
        .plain(SocketAddr::from(([127, 0, 0, 1], 0)))
        .bind()
        .unwrap();
    let (_, address) = first.addresses()[0];
    let text = Front::builder()
        .plain(address)
        .bind()
        .unwrap_err()
        .to_string();
    assert!(text.contains(&address.to_string()), "{text}");
    assert!(
        text.contains("taken") && text.contains("choose another port"),
        "{text}"
    );
}

#[test]
fn an_address_of_another_machine_is_named_with_what_to_do() {
    // TEST-NET-1 (RFC 5737): nobody's.
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
    let text = Front::builder()
        .plain(elsewhere)
        .bind()
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("192.0.2.1:0") && text.contains("127.0.0.1"),
        "{text}"
    );
}

/// What the front end has logged in this process so far.
pub(crate) struct Log(&'static Mutex<Vec<u8>>);

/// Starts recording the log, once for all tests.
pub(crate) fn log() -> Log {
    static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let _ = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(|| Lines(&LINES))
        .try_init();
    Log(&LINES)
}

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        self.text().contains(text)
    }
}

struct Lines(&'static Mutex<Vec<u8>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
