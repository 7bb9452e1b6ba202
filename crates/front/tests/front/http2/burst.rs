//! Tiny events to clients that defend themselves against small frames: ENHANCE_YOUR_CALM ends the whole connection.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::playground::{Play, Playground, all, get, piece};
use crate::{browser::connect, soon};

const EVENTS: usize = 50_000;

static EVENT: &[u8] = b"data: abc\n\n";

/// Publishes one event after the other, and looks at the client in between: only seldom, or each time.
async fn publish(server: &Playground, look: usize) {
    let live = server.stage.live();
    for event in 0..EVENTS {
        live[0].send(&Bytes::from_static(EVENT));
        if event % look == 0 {
            tokio::task::yield_now().await;
        }
    }
    live[0].end();
}

#[tokio::test]
async fn hypers_client_that_reads_late_is_not_driven_away() {
    let server = Playground::start(vec![("/live", Play::Live), ("/other", Play::Live)]);
    let io = TokioIo::new(connect(server.address()).await);
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut client, connection) = builder.handshake(io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("http://localhost/live");
    let request = request.body(http_body_util::Empty::<Bytes>::new()).unwrap();
    let response = soon("a response", client.send_request(request))
        .await
        .unwrap();
    publish(&server, 1_000).await;
    let body = soon("all events", response.into_body().collect())
        .await
        .unwrap();
    assert!(body.to_bytes() == EVENT.repeat(EVENTS));
    assert!(!connection.is_finished());
}

#[tokio::test]
async fn h2s_client_at_hypers_windows_that_reads_slowly_is_not_driven_away() {
    let server = Playground::start(vec![("/live", Play::Live)]);
    let mut client = server
        .client_with(
            h2::client::Builder::new()
                .initial_window_size(2 * 1024 * 1024)
                .initial_connection_window_size(5 * 1024 * 1024),
        )
        .await;
    let mut body = get(&mut client, "/live").await.unwrap().into_body();
    let reader = async {
        let mut bytes = Vec::new();
        while let Some(data) = piece(&mut body).await {
            bytes.extend_from_slice(&data.unwrap());
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        bytes
    };
    let (bytes, ()) = tokio::join!(reader, publish(&server, 1));
    assert!(bytes == EVENT.repeat(EVENTS), "{} bytes", bytes.len());
}

#[tokio::test]
async fn a_client_whose_window_is_small_gets_a_burst_in_few_frames() {
    let server = Playground::start(vec![("/live", Play::Live)]);
    // At the protocol's default windows it bears 133 such frames.
    let mut client = server.client().await;
    let mut body = get(&mut client, "/live").await.unwrap().into_body();
    publish(&server, usize::MAX).await;
    let (bytes, end) = all(&mut body).await;
    end.unwrap();
    assert!(bytes == EVENT.repeat(EVENTS), "{} bytes", bytes.len());
}
