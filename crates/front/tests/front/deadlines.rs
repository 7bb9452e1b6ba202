//! Peers that take their time.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wellspring_front::{EndReason, Limits, Scheme};

use crate::{
    application::Server,
    browser::{config, connect, connect_tls},
    soon,
};

/// For peers who miss it on purpose.
const LIMIT: Duration = Duration::from_millis(300);

/// For peers who must say something within it, also on a busy machine.
const AMPLE: Duration = Duration::from_secs(1);

/// With the deadlines that a test is about; the others are as they always are, and far away.
fn server(deadlines: impl FnOnce(&mut Limits)) -> Server {
    Server::with(1, deadlines)
}

#[tokio::test]
async fn a_head_that_does_not_come_is_cut_at_its_deadline() {
    let server = server(|limits| limits.request_head = LIMIT);
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost: a"] {
        let start = Instant::now();
        let mut stream = connect(server.address(Scheme::Http)).await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = soon("the end", stream.read_to_end(&mut rest)).await;
        assert_eq!(
            server.departure().await,
            EndReason::HeadTimeout,
            "{beginning:?}"
        );
        assert!(start.elapsed() >= LIMIT, "{beginning:?}");
    }
}

#[tokio::test]
async fn a_head_that_trickles_does_not_win_time() {
    let server = server(|limits| limits.request_head = LIMIT);
    let start = Instant::now();
    let mut stream = connect(server.address(Scheme::Http)).await;
    let mut sent = 0;
    while stream.write_all(b"G").await.is_ok() {
        sent += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if start.elapsed() > LIMIT * 20 {
            break;
        }
    }
    assert_eq!(
        server.departure().await,
        EndReason::HeadTimeout,
        "after {sent} bytes"
    );
}

#[tokio::test]
async fn a_handshake_that_does_not_finish_is_cut_at_its_deadline() {
    let server = server(|limits| limits.tls_handshake = LIMIT);
    // A record's header (RFC 8446, section 5.1) that promises a hello of 256 bytes.
    for beginning in [&b""[..], b"\x16\x03\x01\x01\x00"] {
        let start = Instant::now();
        let mut stream = connect(server.address(Scheme::Https)).await;
        stream.write_all(beginning).await.unwrap();
        let mut rest = Vec::new();
        let _ = soon("the end", stream.read_to_end(&mut rest)).await;
        assert_eq!(server.departure().await, EndReason::HandshakeTimeout);
        assert!(start.elapsed() >= LIMIT);
    }
}

#[tokio::test]
async fn silence_after_the_handshake_is_cut_too() {
    let server = server(|limits| limits.request_head = LIMIT);
    for protocol in ["h2", "http/1.1"] {
        let config = config(server.directory.path(), &[protocol]);
        let mut stream = connect_tls(server.address(Scheme::Https), &config).await;
        let mut rest = Vec::new();
        soon("the end", stream.read_to_end(&mut rest))
            .await
            .expect("close_notify");
        assert_eq!(
            server.departure().await,
            EndReason::HeadTimeout,
            "{protocol}"
        );
    }
}

#[tokio::test]
async fn a_kept_alive_connection_may_idle_only_so_long() {
    let server = server(|limits| limits.request_head = AMPLE);
    let mut stream = connect(server.address(Scheme::Http)).await;
    stream
        .write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut rest = Vec::new();
    soon("the end", stream.read_to_end(&mut rest))
        .await
        .unwrap();
    let text = String::from_utf8(rest).unwrap();
    assert!(text.contains("hello over Http1"), "{text}");
    assert_eq!(server.departure().await, EndReason::IdleTimeout);
}

#[tokio::test]
async fn a_stream_may_take_as_long_as_it_likes() {
    let server = server(|limits| limits.request_head = AMPLE);
    let mut stream = connect(server.address(Scheme::Http)).await;
    stream
        .write_all(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    // Twice as long as anything else may take.
    tokio::time::sleep(AMPLE * 2).await;
    server.application.publish(b"still here");
    let mut seen = Vec::new();
    soon("an event", async {
        while !seen.ends_with(b"still here\r\n") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "cut");
        }
    })
    .await;
}

#[tokio::test]
async fn an_http_2_peer_that_answers_no_ping_is_given_up() {
    let server = server(|limits| {
        limits.ping_interval = LIMIT;
        limits.ping_timeout = LIMIT;
    });
    let mut stream = connect(server.address(Scheme::Http)).await;
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    assert_eq!(server.departure().await, EndReason::PingTimeout);
}
