//! Sending everybody home.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wellspring_front::{EndReason, Protocol, Scheme};

use crate::{
    PATIENCE,
    application::Server,
    browser::{Browser, connect, next},
    soon, until,
};

#[tokio::test]
async fn idle_connections_end_at_once_and_in_good_order() {
    let server = Server::with(2, |_| {});
    let mut browsers = Vec::new();
    for scheme in [Scheme::Http, Scheme::Https] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut browser = Browser::open(&server, scheme, protocol).await;
            browser.text("/hello").await.unwrap();
            browsers.push(browser);
        }
    }
    // Chrome opens connections ahead of need.
    let _preconnected = connect(server.address(Scheme::Http)).await;
    until("all to be served", || {
        server.running.connections().iter().sum::<usize>() == 5
    })
    .await;
    let drained = soon("the drain", server.running.drain(PATIENCE * 10)).await;
    assert_eq!((drained.ended, drained.cut), (5, 0));
    for browser in browsers {
        browser.closed().await.unwrap();
    }
    for _ in 0..5 {
        assert_eq!(server.departure().await, EndReason::Drained);
    }
    assert_eq!(server.further_departures().await, 0);
    let refused = TcpStream::connect(server.address(Scheme::Http)).await;
    refused.expect_err("the listeners are closed");
}

#[tokio::test]
async fn what_is_under_way_may_end_before_the_deadline() {
    let server = Server::start();
    let mut one = Browser::open(&server, Scheme::Https, Protocol::Http1).await;
    let mut other = Browser::open(&server, Scheme::Https, Protocol::Http2).await;
    let mut one_stream = one.get("/stream").await.unwrap();
    let mut other_stream = other.get("/stream").await.unwrap();
    let drain = server.running.drain(PATIENCE * 10);
    let goodbye = async {
        server.application.publish(b"goodbye");
        assert_eq!(next(&mut one_stream).await.unwrap().unwrap(), "goodbye");
        assert_eq!(next(&mut other_stream).await.unwrap().unwrap(), "goodbye");
        server.application.end_streams();
        for stream in [one_stream, other_stream] {
            let rest = soon("the end", stream.into_body().collect()).await;
            assert!(rest.expect("a clean end").to_bytes().is_empty());
        }
    };
    let (drained, ()) = soon("the drain", async { tokio::join!(drain, goodbye) }).await;
    assert_eq!((drained.ended, drained.cut), (2, 0));
}

#[tokio::test]
async fn what_does_not_end_is_cut_at_the_deadline_and_looks_cut() {
    for scheme in [Scheme::Http, Scheme::Https] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let server = Server::start();
            let mut browser = Browser::open(&server, scheme, protocol).await;
            let mut stream = browser.get("/stream").await.unwrap();
            let drained = soon(
                "the drain",
                server.running.drain(Duration::from_millis(100)),
            )
            .await;
            assert_eq!((drained.ended, drained.cut), (0, 1));
            assert_eq!(server.departure().await, EndReason::Cut);
            next(&mut stream)
                .await
                .unwrap()
                .expect_err("a truncated body");
        }
    }
}

#[tokio::test]
async fn a_second_thought_cuts_at_once() {
    let server = Server::start();
    let mut browser = Browser::open(&server, Scheme::Http, Protocol::Http1).await;
    let _stream = browser.get("/stream").await.unwrap();
    let drain = server.running.drain(PATIENCE * 10);
    let impatience = async {
        tokio::task::yield_now().await;
        server.running.cut();
    };
    let (drained, ()) = soon("the end", async { tokio::join!(drain, impatience) }).await;
    assert_eq!((drained.ended, drained.cut), (0, 1));
    assert_eq!(server.running.ended().await, drained);
}

#[tokio::test]
async fn http_2_peers_are_told_by_goaway() {
    let server = Server::start();
    let mut stream = connect(server.address(Scheme::Http)).await;
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let (kind, _) = frame(&mut stream).await.unwrap();
    assert_eq!(kind, SETTINGS);
    let drain = server.running.drain(PATIENCE * 10);
    let peer = async {
        let mut goaways = 0;
        while let Some((kind, payload)) = frame(&mut stream).await {
            if kind == GOAWAY {
                assert_eq!(payload[4..8], [0; 4], "NO_ERROR (RFC 9113, section 7)");
                goaways += 1;
            }
            if kind == PING {
                let mut acknowledged = vec![0, 0, 8, PING, 1, 0, 0, 0, 0];
                acknowledged.extend(payload);
                stream.write_all(&acknowledged).await.unwrap();
            }
        }
        goaways
    };
    let (drained, goaways) = soon("the drain", async { tokio::join!(drain, peer) }).await;
    // One that warns, one that names the last request (RFC 9113, section 6.8).
    assert_eq!(goaways, 2);
    assert_eq!((drained.ended, drained.cut), (1, 0));
}

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// The type and payload of the next frame (RFC 9113, section 4.1).
async fn frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 9];
    soon("a frame", stream.read_exact(&mut header)).await.ok()?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.ok()?;
    Some((header[3], payload))
}
