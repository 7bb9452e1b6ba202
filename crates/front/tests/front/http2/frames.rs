//! The very frames.

use bytes::Bytes;
use http::Response;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::playground::{Act, Play, Playground, get};
use crate::{browser::connect, soon};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const END_STREAM: u8 = 1;

/// `GET /` over plain HTTP, in the words of HPACK's static table (RFC 7541, appendix A), with `host: a`.
const GET: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";

fn data(bytes: &'static [u8]) -> Act {
    Act::Data(Bytes::from_static(bytes))
}

/// Asks for `/` by hand.
async fn ask(server: &Playground) -> TcpStream {
    let mut stream = connect(server.address()).await;
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    stream.write_all(GET).await.unwrap();
    stream
}

/// The frames of the response to a request: type, flags, length.
async fn frames_of(acts: Vec<Act>) -> Vec<(u8, u8, usize)> {
    let server = Playground::start(vec![("/", Play::Frames(Response::new(()), acts))]);
    let mut stream = ask(&server).await;
    let mut frames = Vec::new();
    loop {
        let frame @ (kind, flags, _) = next(&mut stream).await;
        if matches!(kind, DATA | HEADERS) {
            frames.push(frame);
            if flags & END_STREAM != 0 {
                return frames;
            }
        }
    }
}

/// The next frame (RFC 9113, section 4.1).
async fn next(stream: &mut TcpStream) -> (u8, u8, usize) {
    let mut header = [0; 9];
    soon("a frame", stream.read_exact(&mut header))
        .await
        .unwrap();
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
    stream.read_exact(&mut vec![0; length]).await.unwrap();
    (header[3], header[4], length)
}

#[tokio::test]
async fn empty_pieces_are_not_sent() {
    let frames = frames_of(vec![
        data(b""),
        data(b"one"),
        data(b""),
        data(b""),
        data(b"two"),
        data(b""),
    ])
    .await;
    assert_eq!(frames[0].0, HEADERS);
    assert_eq!(frames[1..], [(DATA, END_STREAM, 6)]);
}

#[tokio::test]
async fn the_last_frame_ends_the_stream() {
    let whole = Bytes::from(vec![b'x'; 40_000]);
    let frames = frames_of(vec![Act::Data(whole)]).await;
    assert_eq!(
        frames[1..],
        [
            (DATA, 0, 16_384),
            (DATA, 0, 16_384),
            (DATA, END_STREAM, 7_232)
        ]
    );
}

#[tokio::test]
async fn small_pieces_leave_together() {
    let frames = frames_of(vec![data(b"token"); 1_000]).await;
    let data = &frames[1..];
    assert_eq!(data.iter().map(|frame| frame.2).sum::<usize>(), 5_000);
    assert!(
        data[..data.len() - 1].iter().all(|frame| frame.2 >= 256),
        "{data:?}"
    );
}

#[tokio::test]
async fn a_peer_that_does_not_say_that_it_keeps_up_gets_no_more_small_frames() {
    let calm = ("/calm", Play::Frames(Response::new(()), vec![]));
    let server = Playground::start(vec![("/", Play::Live), calm]);
    let mut stream = ask(&server).await;
    while next(&mut stream).await.0 != HEADERS {}
    let live = server.stage.live();
    let event = Bytes::from_static(b":\n");
    let mut pings = 0;
    for _ in 0..4096 {
        live[0].send(&event);
        loop {
            match next(&mut stream).await {
                (DATA, _, 2) => break,
                (PING, ..) => pings += 1,
                _ => {}
            }
        }
    }
    assert_eq!(pings, 1, "it was asked");
    // The shard is one thread: who was answered has seen it take note of the event.
    let mut bystander = server.client().await;
    for _ in 0..3 {
        live[0].send(&event);
        get(&mut bystander, "/calm").await.unwrap();
    }
    stream
        .write_all(b"\0\0\x08\x06\x01\0\0\0\0\x3b\x7c\xdb\x7a\x0b\x87\x16\xb4")
        .await
        .unwrap();
    let length = loop {
        if let (DATA, _, length) = next(&mut stream).await {
            break length;
        }
    };
    assert_eq!(length, 6, "all three in one frame");
}
