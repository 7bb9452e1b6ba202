//! Every protocol on every port.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wellspring_front::{EndReason, Protocol, Scheme};

use crate::{
    application::Server,
    browser::{Browser, config, config_of, connect, connect_tls, next, read},
    soon, until,
};

const ALL: [(Scheme, Protocol); 4] = [
    (Scheme::Http, Protocol::Http1),
    (Scheme::Http, Protocol::Http2),
    (Scheme::Https, Protocol::Http1),
    (Scheme::Https, Protocol::Http2),
];

#[tokio::test]
async fn answers_on_every_port_in_every_protocol() {
    let server = Server::start();
    for (scheme, protocol) in ALL {
        let mut browser = Browser::open(&server, scheme, protocol).await;
        let text = browser.text("/hello").await.unwrap();
        assert_eq!(text, format!("hello over {protocol:?}"), "{scheme}");
    }
}

#[tokio::test]
async fn request_bodies_arrive_whole() {
    let server = Server::start();
    // Larger than a window, so that it must be opened again and again.
    let sent = vec![b'e'; 1_000_000];
    for (scheme, protocol) in ALL {
        let mut browser = Browser::open(&server, scheme, protocol).await;
        let mut response = browser.request("/echo", sent.clone()).await.unwrap();
        assert_eq!(
            read(&mut response, sent.len()).await,
            sent,
            "{scheme} {protocol:?}"
        );
    }
}

#[tokio::test]
async fn a_stream_flows_and_is_known_to_be_long_lived() {
    for (scheme, protocol) in ALL {
        let server = Server::start();
        let mut browser = Browser::open(&server, scheme, protocol).await;
        let mut response = browser.get("/stream").await.unwrap();
        server.application.publish(b"first");
        assert_eq!(next(&mut response).await.unwrap().unwrap(), "first");
        server.application.publish(b"second");
        assert_eq!(next(&mut response).await.unwrap().unwrap(), "second");
        let connection = server.application.connections.lock().unwrap()[0].clone();
        assert_eq!((connection.long_lived(), connection.in_flight()), (1, 1));
        assert_eq!(connection.protocol(), Some(protocol));
        assert_eq!(connection.scheme, scheme);
        assert!(connection.bytes_read() > 0 && connection.bytes_written() > 0);
        drop((response, browser));
        until("the stream to be gone", || connection.long_lived() == 0).await;
    }
}

#[tokio::test]
async fn tls_1_2_is_still_spoken() {
    let server = Server::start();
    let old = config_of(server.directory.path(), &["h2"], &[&rustls::version::TLS12]);
    let stream = connect_tls(server.address(Scheme::Https), &old).await;
    let mut browser = Browser::over(stream, Protocol::Http2).await;
    assert_eq!(browser.text("/hello").await.unwrap(), "hello over Http2");
}

#[tokio::test]
async fn a_client_without_alpn_gets_http_1() {
    let server = Server::start();
    let config = config(server.directory.path(), &[]);
    let stream = connect_tls(server.address(Scheme::Https), &config).await;
    let mut browser = Browser::over(stream, Protocol::Http1).await;
    assert_eq!(browser.text("/hello").await.unwrap(), "hello over Http1");
}

#[tokio::test]
async fn tls_sessions_are_resumed() {
    let server = Server::start();
    let config = config(server.directory.path(), &["http/1.1"]);
    for expected in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let mut stream = connect_tls(server.address(Scheme::Https), &config).await;
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(expected));
        // The ticket comes after the handshake: read something.
        stream
            .write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        soon("a response", stream.read_exact(&mut [0; 12]))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_protocol_is_found_out_however_the_first_bytes_come() {
    let server = Server::start();
    // Begins like HTTP/2's preface, and is not.
    for request in [
        "PRIMED /hello HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut stream = connect(server.address(Scheme::Http)).await;
        for byte in request.bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut response = [0; 15];
        soon("a response", stream.read_exact(&mut response))
            .await
            .unwrap();
        assert_eq!(&response, b"HTTP/1.1 200 OK");
    }
    let mut stream = connect(server.address(Scheme::Http)).await;
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut frame = [0; 9];
    soon("a frame", stream.read_exact(&mut frame))
        .await
        .unwrap();
    assert_eq!(frame[3], 4, "SETTINGS come first (RFC 9113, section 3.4)");
}

#[tokio::test]
async fn a_tls_connection_ends_with_close_notify() {
    let server = Server::start();
    let config = config(server.directory.path(), &["http/1.1"]);
    let mut stream = connect_tls(server.address(Scheme::Https), &config).await;
    stream
        .write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut response = String::new();
    // rustls makes an end without close_notify an error.
    soon("the end", stream.read_to_string(&mut response))
        .await
        .unwrap();
    assert!(response.contains("hello over Http1"), "{response}");
    assert_eq!(server.departure().await, EndReason::Finished);
}

#[tokio::test]
async fn events_of_a_turn_leave_in_one_write_on_http_2() {
    const STREAMS: usize = 100;
    for scheme in [Scheme::Http, Scheme::Https] {
        let server = Server::start();
        let mut browser = Browser::open(&server, scheme, Protocol::Http2).await;
        let mut responses = Vec::new();
        for _ in 0..STREAMS {
            responses.push(browser.get("/stream").await.unwrap());
        }
        let connection = server.application.connections.lock().unwrap()[0].clone();
        // Window updates and settings of the beginning are through when a request is answered.
        browser.text("/hello").await.unwrap();
        let before = connection.writes();
        assert_eq!(browser.text("/publish-300").await.unwrap(), "published");
        for response in &mut responses {
            assert_eq!(read(response, 300).await.len(), 300);
        }
        let writes = connection.writes() - before;
        // 100 events and an answer: each by itself it would be 101.
        assert!(
            writes <= 4,
            "{scheme}: {writes} writes for {STREAMS} events"
        );
    }
}
