//! Flow control as a peer sees it that counts (RFC 9113, sections 5.2 and 6.9).

use bytes::Bytes;
use http::{HeaderValue, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::playground::{Act, Play, Playground};
use crate::{browser::connect, soon, until};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0x42;
const END_HEADERS: u8 = 4;
const FLOW_CONTROL_ERROR: u32 = 3;
const LARGEST: u32 = (1 << 31) - 1;
const WINDOW: u32 = 65_535;

/// A peer that speaks in frames and counts for itself.
struct Peer(TcpStream);

#[derive(Debug)]
struct Received {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Peer {
    /// Opens a connection on which each stream's window begins with so much.
    async fn open(server: &Playground, initial: u32) -> Self {
        Self::over(connect(server.address()).await, initial).await
    }

    async fn over(socket: TcpStream, initial: u32) -> Self {
        let mut peer = Self(socket);
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        peer.0.write_all(preface).await.unwrap();
        peer.begin_with(initial).await;
        peer
    }

    async fn begin_with(&mut self, initial: u32) {
        let setting = [&[0, 4][..], &initial.to_be_bytes()].concat();
        self.say(&frame(SETTINGS, 0, 0, &setting)).await;
    }

    async fn ask(&mut self, stream: u32, path: &str) {
        self.say(&request(stream, path)).await;
    }

    async fn grant(&mut self, stream: u32, bytes: u32) {
        self.say(&grant(stream, bytes)).await;
    }

    async fn say(&mut self, frames: &[u8]) {
        self.0.write_all(frames).await.unwrap();
    }

    async fn next(&mut self) -> Received {
        let mut head = [0; 9];
        soon("a frame", self.0.read_exact(&mut head)).await.unwrap();
        let [l0, l1, l2, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        self.0.read_exact(&mut payload).await.unwrap();
        let stream = u32::from_be_bytes(stream);
        Received {
            kind,
            flags,
            stream,
            payload,
        }
    }

    /// The next frame of this kind; nobody may have sent DATA before, unless that is the kind.
    async fn next_of(&mut self, kind: u8) -> Received {
        loop {
            let received = self.next().await;
            if received.kind == kind {
                return received;
            }
            assert_ne!(received.kind, DATA, "{received:?}");
        }
    }

    /// How much DATA has come by the answer to a ping: whatever may be sent has been sent then.
    async fn received(&mut self) -> usize {
        let mut bytes = 0;
        // Two: what a ping's turn sets going leaves before the answer to the second.
        for _ in 0..2 {
            self.say(&frame(6, 0, 0, b"are you?")).await;
            loop {
                let received = self.next().await;
                match (received.kind, &received.payload[..]) {
                    (DATA, payload) => bytes += payload.len(),
                    (6, b"are you?") => break,
                    _ => {}
                }
            }
        }
        bytes
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `GET` over plain HTTP, in the words of HPACK's static table (RFC 7541, appendix A), with `host: a`.
fn request(stream: u32, path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x44, path.len() as u8];
    block.extend_from_slice(path.as_bytes());
    block.extend_from_slice(b"\x41\x01a");
    frame(HEADERS, 5, stream, &block)
}

fn grant(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

fn error_code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

fn live() -> Vec<(&'static str, Play)> {
    let short = Play::Frames(
        Response::new(()),
        vec![Act::Data(Bytes::from_static(&[b's'; 1_000]))],
    );
    vec![("/live", Play::Live), ("/short", short)]
}

#[tokio::test]
async fn a_stream_never_gets_more_than_its_window_however_that_changes() {
    let server = Playground::start(live());
    let mut peer = Peer::open(&server, 0).await;
    peer.ask(1, "/live").await;
    peer.next_of(HEADERS).await;
    server.stage.live()[0].send(&Bytes::from(vec![b'x'; 50_000]));
    assert_eq!(peer.received().await, 0, "it begins with nothing");
    peer.begin_with(100).await;
    assert_eq!(peer.received().await, 100, "nor did it begin with less");
    peer.grant(1, 20_000).await;
    assert_eq!(peer.received().await, 20_000);
    // 60 less than it has used: the window is below zero.
    peer.begin_with(40).await;
    peer.grant(1, 60).await;
    assert_eq!(peer.received().await, 0, "exactly zero");
    peer.grant(1, 1).await;
    assert_eq!(peer.received().await, 1);
    peer.begin_with(WINDOW).await;
    assert_eq!(peer.received().await, 50_000 - 20_101);
}

#[tokio::test]
async fn all_streams_together_never_get_more_than_the_connections_window_and_share_it() {
    const STREAMS: u32 = 20;
    let server = Playground::start(live());
    let mut peer = Peer::open(&server, LARGEST).await;
    for stream in 0..STREAMS {
        peer.ask(2 * stream + 1, "/live").await;
    }
    until("all to be open", || server.stage.open() == STREAMS as usize).await;
    for live in server.stage.live() {
        live.send(&Bytes::from(vec![b'x'; 100_000]));
    }
    assert_eq!(peer.received().await, WINDOW as usize);
    // A window of one piece at a time goes around. Some come more than once: who spoke while the others had yet to be
    // told (they are told from another thread) is in the line before them.
    let mut served = Vec::new();
    for _ in 0..2 * STREAMS {
        peer.grant(0, 16_384).await;
        let mut left = 16_384;
        while left > 0 {
            let data = peer.next_of(DATA).await;
            left -= data.payload.len();
            served.push(data.stream);
        }
    }
    let all: Vec<u32> = (0..STREAMS).map(|stream| 2 * stream + 1).collect();
    assert!(
        all.iter().all(|stream| served.contains(stream)),
        "{served:?}"
    );
}

#[tokio::test]
async fn a_window_beyond_31_bits_ends_its_stream_or_the_connection() {
    let server = Playground::start(live());
    let mut peer = Peer::open(&server, WINDOW).await;
    peer.ask(1, "/live").await;
    peer.ask(3, "/live").await;
    until("both to be open", || server.stage.open() == 2).await;
    peer.grant(1, LARGEST).await;
    let reset = peer.next_of(RST_STREAM).await;
    assert_eq!(reset.stream, 1);
    assert_eq!(error_code(&reset.payload), FLOW_CONTROL_ERROR);
    until("its body to be dropped", || server.stage.open() == 1).await;
    // The other one goes on, until what it begins with does not fit what it was granted.
    server.stage.live()[1].send(&Bytes::from_static(b"still here"));
    assert_eq!(peer.next_of(DATA).await.payload, b"still here");
    peer.grant(3, LARGEST - WINDOW).await;
    peer.begin_with(WINDOW + 11).await;
    let goaway = peer.next_of(GOAWAY).await;
    assert_eq!(error_code(&goaway.payload[4..]), FLOW_CONTROL_ERROR);

    let mut peer = Peer::open(&server, WINDOW).await;
    peer.grant(0, LARGEST).await;
    let goaway = peer.next_of(GOAWAY).await;
    assert_eq!(error_code(&goaway.payload[4..]), FLOW_CONTROL_ERROR);
}

#[tokio::test]
async fn windows_that_peers_keep_full_never_overflow() {
    let server = Playground::start(live());
    let mut peer = Peer::open(&server, LARGEST).await;
    peer.grant(0, LARGEST - WINDOW).await;
    peer.ask(1, "/live").await;
    peer.next_of(HEADERS).await;
    // Given back at once, again and again: to who does not count what was sent, more than there can be.
    for _ in 0..20 {
        server.stage.live()[0].send(&Bytes::from(vec![b'x'; 10_000]));
        assert_eq!(peer.received().await, 10_000);
        peer.grant(0, 10_000).await;
        peer.grant(1, 10_000).await;
    }
    peer.ask(3, "/short").await;
    assert_eq!(peer.next_of(DATA).await.payload.len(), 1_000);
}

#[tokio::test]
async fn answers_that_are_reset_before_they_left_cost_no_window() {
    let server = Playground::start(live());
    let mut peer = Peer::open(&server, WINDOW).await;
    // The connection reads 512 bytes at a time: it has answered when it reads that nobody wants it.
    let padding = frame(UNKNOWN, 0, 0, &[0; 1_100]);
    let cancel = |stream| frame(RST_STREAM, 0, stream, &8u32.to_be_bytes());
    let mut received = 0;
    for turn in 0..200 {
        let stream = 2 * turn + 1;
        let frames = [request(stream, "/short"), padding.clone(), cancel(stream)];
        peer.say(&frames.concat()).await;
        // Here and there one is faster.
        let bytes = peer.received().await;
        if bytes > 0 {
            peer.grant(0, bytes as u32).await;
        }
        received += bytes;
    }
    assert!(received < 100_000, "few were answered: {received}");
    // 200 of them would be three windows.
    peer.ask(1001, "/live").await;
    until("it to be open", || server.stage.open() == 1).await;
    server.stage.live()[0].send(&Bytes::from(vec![b'x'; WINDOW as usize]));
    assert_eq!(peer.received().await, WINDOW as usize);
}

#[tokio::test]
async fn streams_never_speak_within_another_ones_head() {
    const ROUNDS: u32 = 20;
    let mut wide = Response::new(());
    for name in ["x-one", "x-two", "x-three"] {
        let value = HeaderValue::from_str(&"w".repeat(14_000)).unwrap();
        wide.headers_mut().append(name, value);
    }
    let server = Playground::start(vec![
        ("/live", Play::Live),
        ("/wide", Play::Frames(wide, vec![])),
    ]);
    // Little fits between the two: heads of three frames each leave one after the other, and in parts.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let socket = socket.connect(server.address()).await.unwrap();
    let mut peer = Peer::over(socket, LARGEST).await;
    peer.grant(0, LARGEST - WINDOW).await;
    peer.ask(1, "/live").await;
    until("it to be open", || server.stage.open() == 1).await;
    let live = server.stage.live();
    let connection = server.stage.connection();
    let mut sent = 0;
    for round in 1..=ROUNDS {
        let event = Bytes::from(vec![b'x'; 25_000]);
        live[0].send(&event);
        sent += event.len();
        peer.ask(2 * round + 1, "/wide").await;
        until("it to be asked", || connection.requests() > round.into()).await;
    }
    let (mut received, mut heads, mut within) = (0, 0, None);
    while received < sent || heads < ROUNDS {
        let next = peer.next().await;
        if let Some(head) = within {
            assert_eq!((next.kind, next.stream), (CONTINUATION, head));
        }
        match next.kind {
            DATA => received += next.payload.len(),
            HEADERS | CONTINUATION => {
                let ends = next.flags & END_HEADERS != 0;
                within = (!ends).then_some(next.stream);
                heads += u32::from(ends && next.stream > 1);
            }
            _ => {}
        }
    }
}
