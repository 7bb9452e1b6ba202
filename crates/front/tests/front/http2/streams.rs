//! Many streams on one connection: one write per turn, and fairness.

use bytes::Bytes;

use super::playground::{Play, Playground, all, get, piece};
use crate::until;

const STREAMS: usize = 100;

#[tokio::test]
async fn a_turn_is_one_write_however_many_streams_speak_and_however_long() {
    // What exceeds the gathering buffer (64 KiB) is one write for each time, and the socket may take one in parts.
    for (length, most) in [(100, 1), (300, 1), (600, 1), (900, 2), (4_000, 14)] {
        let event = Bytes::from(vec![b'x'; length]);
        let server = Playground::start(vec![("/live", Play::Live), ("/cue", Play::Cue(event))]);
        let mut client = server
            .client_with(h2::client::Builder::new().initial_connection_window_size(1 << 24))
            .await;
        let mut bodies = Vec::new();
        for _ in 0..STREAMS {
            bodies.push(get(&mut client, "/live").await.unwrap().into_body());
        }
        let connection = server.stage.connection();
        let before = connection.writes();
        let mut cue = get(&mut client, "/cue").await.unwrap();
        assert_eq!(all(cue.body_mut()).await.0, b"sent");
        for body in &mut bodies {
            let mut received = 0;
            while received < length {
                received += piece(body).await.unwrap().unwrap().len();
            }
        }
        // The answer to the cue comes in the turn before its echo, or with it; an acknowledgement may come between.
        let writes = connection.writes() - before;
        assert!(writes <= most + 2, "{length} bytes: {writes} writes");
    }
}

#[tokio::test]
async fn idle_streams_are_not_looked_at() {
    let server = Playground::start(vec![("/live", Play::Live)]);
    let mut client = server.client().await;
    let mut bodies = Vec::new();
    for _ in 0..STREAMS {
        bodies.push(get(&mut client, "/live").await.unwrap().into_body());
    }
    let live = server.stage.live();
    let polls = |of: usize| live[of].polls.load(std::sync::atomic::Ordering::Relaxed);
    until("all to be idle", || (0..STREAMS).all(|of| polls(of) == 1)).await;
    for _ in 0..10 {
        live[7].send(&Bytes::from_static(b"event"));
        assert_eq!(piece(&mut bodies[7]).await.unwrap().unwrap(), "event");
    }
    for of in (0..STREAMS).filter(|of| *of != 7) {
        assert_eq!(polls(of), 1, "stream {of} was idle");
    }
    assert_eq!(polls(7), 21, "with what it has, and then with nothing");
}

#[tokio::test]
async fn a_stalled_stream_starves_no_other() {
    let server = Playground::start(vec![("/live", Play::Live)]);
    // Three windows of a stream fit into the connection's.
    let mut client = server
        .client_with(h2::client::Builder::new().initial_connection_window_size(3 * 65_535))
        .await;
    let mut stalled = [
        get(&mut client, "/live").await.unwrap().into_body(),
        get(&mut client, "/live").await.unwrap().into_body(),
    ];
    let mut reading = get(&mut client, "/live").await.unwrap().into_body();
    let live = server.stage.live();
    let large = Bytes::from(vec![b'x'; 16 * 1024]);
    for _ in 0..64 {
        live[0].send(&large);
        live[1].send(&large);
    }
    for _ in 0..200 {
        live[2].send(&large);
        let mut received = 0;
        while received < large.len() {
            received += piece(&mut reading).await.unwrap().unwrap().len();
        }
    }
    // And nothing is lost of those that were stalled.
    live[0].end();
    live[1].end();
    for stalled in &mut stalled {
        let (bytes, end) = all(stalled).await;
        assert_eq!(bytes.len(), 64 * large.len());
        end.unwrap();
    }
}

#[tokio::test]
async fn a_reset_of_a_stalled_stream_drops_its_body_at_once() {
    let server = Playground::start(vec![("/live", Play::Live)]);
    let mut client = server.client().await;
    let stalled = get(&mut client, "/live").await.unwrap();
    let live = server.stage.live();
    for _ in 0..64 {
        live[0].send(&Bytes::from(vec![b'x'; 16 * 1024]));
    }
    drop(live);
    until("the window to be full", || {
        server.stage.connection().bytes_written() > 65_000
    })
    .await;
    assert_eq!(server.stage.open(), 1);
    drop(stalled);
    until("the body to be dropped", || server.stage.open() == 0).await;
}

#[tokio::test]
async fn all_streams_go_when_the_peer_goes() {
    let server = Playground::start(vec![("/live", Play::Live)]);
    let mut client = server.client().await;
    let mut bodies = Vec::new();
    for _ in 0..STREAMS {
        bodies.push(get(&mut client, "/live").await.unwrap());
    }
    assert_eq!(server.stage.open(), STREAMS);
    drop((bodies, client));
    until("the bodies to be dropped", || server.stage.open() == 0).await;
    until("the account to be even", || {
        server.stage.connection().in_flight() == 0
    })
    .await;
}
