//! HTTP/1.1 streams that are marked as long-lived, beside the same ones that are not: nobody can tell them apart.

mod stage;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::ETAG};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wellspring_front::{EndReason, Limits, Scheme};

use self::stage::{Act, Client, Said, Stage};
use crate::{soon, until};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST: &str = "GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

fn data(bytes: &'static [u8]) -> Result<Said, &'static str> {
    Ok(Said::Data(Bytes::from_static(bytes)))
}

fn trailers() -> Result<Said, &'static str> {
    let tag = (ETAG, HeaderValue::from_static("e"));
    Ok(Said::Trailers(HeaderMap::from_iter([tag])))
}

fn plain(response: &mut Response<()>) {
    let headers = response.headers_mut();
    headers.insert("content-type", "text/event-stream".parse().unwrap());
    headers.append("x-twice", "one".parse().unwrap());
    headers.append("x-twice", "two".parse().unwrap());
}

/// A stream from its request to the end of the connection.
struct Play {
    name: &'static str,
    request: &'static str,
    response: fn(&mut Response<()>),
    /// What the body says, turn by turn.
    acts: Vec<Act>,
    /// What the client sends after the stream has begun.
    afterwards: &'static str,
    end: EndReason,
}

impl Play {
    fn new(name: &'static str, request: &'static str) -> Self {
        Self {
            name,
            request,
            response: plain,
            acts: vec![
                Act::Say(vec![data(b":\n")]),
                Act::Say(vec![
                    data(b"data: one\n\n"),
                    data(b""),
                    data(b"data: two\n\n"),
                ]),
                Act::Say(vec![data(&[b'x'; 3000]), data(&[b'y'; 3000])]),
                Act::End,
            ],
            afterwards: "",
            end: EndReason::Finished,
        }
    }

    fn answered(mut self, response: fn(&mut Response<()>)) -> Self {
        self.response = response;
        self
    }

    fn with(mut self, acts: impl Into<Vec<Act>>) -> Self {
        self.acts = acts.into();
        self
    }

    fn then(mut self, request: &'static str) -> Self {
        self.afterwards = request;
        self
    }

    fn ends(mut self, reason: EndReason) -> Self {
        self.end = reason;
        self
    }
}

fn plays() -> Vec<Play> {
    let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody";
    let pipelined = "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    vec![
        Play::new("kept alive, with a request behind it", GET).then(LAST),
        Play::new("kept alive, with a request right behind it", pipelined),
        Play::new(
            "the last by the request",
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: x\r\nconnection: TE, Close\r\n\r\n",
        ),
        Play::new("the last by the response", GET).answered(|response| {
            plain(response);
            let headers = response.headers_mut();
            headers.insert("connection", "close".parse().unwrap());
        }),
        Play::new("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"),
        Play::new(
            "HTTP/1.0 that would stay",
            "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        ),
        Play::new("an answer to HEAD", "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
            .with([])
            .then(LAST),
        Play::new("an answer to POST", post).then(LAST),
        Play::new("a status of its own", GET)
            .answered(|response| *response.status_mut() = http::StatusCode::CREATED)
            .then(LAST),
        Play::new("an error that goes on", GET)
            .answered(|response| *response.status_mut() = http::StatusCode::BAD_GATEWAY)
            .then(LAST),
        Play::new("a date of its own", GET)
            .answered(|response| {
                let headers = response.headers_mut();
                headers.insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
            })
            .then(LAST),
        Play::new("a length of its own", GET)
            .answered(|response| {
                let headers = response.headers_mut();
                headers.insert("content-length", "6".parse().unwrap());
            })
            .with([Act::Say(vec![data(b"abc")]), Act::Say(vec![data(b"def")])])
            .then(LAST),
        Play::new("an encoding of its own", GET)
            .answered(|response| {
                let headers = response.headers_mut();
                headers.insert("transfer-encoding", "gzip".parse().unwrap());
            })
            .then(LAST),
        Play::new("answered as HTTP/1.0", GET)
            .answered(|response| *response.version_mut() = http::Version::HTTP_10),
        Play::new("trailers that were not announced", GET)
            .with([Act::Say(vec![data(b"data")]), Act::Say(vec![trailers()])])
            .then(LAST),
        Play::new(
            "trailers that were",
            "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n",
        )
        .answered(|response| {
            let headers = response.headers_mut();
            headers.insert("trailer", "etag".parse().unwrap());
        })
        .with([Act::Say(vec![data(b"data")]), Act::Say(vec![trailers()])])
        .then(LAST),
        Play::new("a body that fails", GET)
            .with([
                Act::Say(vec![data(b"data")]),
                Act::Say(vec![Err("no more")]),
            ])
            .ends(EndReason::Error(
                "error from user's Body stream: no more".to_owned(),
            )),
    ]
}

/// What a client gets to see of a play.
async fn perform(scheme: Scheme, play: &Play, long_lived: bool) -> Vec<u8> {
    let mut stage = Stage::new(play.response, long_lived);
    let mut client = stage.connect(scheme).await;
    client.write_all(play.request.as_bytes()).await.unwrap();
    let actor = stage.actor().await;
    let mut seen = client.until(b"\r\n\r\n").await;
    let connection = stage.connection();
    for act in &play.acts {
        let before = connection.bytes_written();
        actor.perform(act.clone());
        if matches!(act, Act::Say(said) if said.iter().all(|said| matches!(said, Ok(Said::Data(_)))))
        {
            until("an act", || connection.bytes_written() > before).await;
        }
    }
    drop(actor);
    client.write_all(play.afterwards.as_bytes()).await.unwrap();
    seen.extend(rest(client).await);
    mask_date(&mut seen);
    assert_eq!(stage.departure().await, play.end, "{}", play.name);
    assert_eq!((connection.in_flight(), connection.long_lived()), (0, 0));
    seen
}

/// Everything up to the end, however that comes; then leaves.
async fn rest(mut client: Client) -> Vec<u8> {
    let mut seen = Vec::new();
    let _ = soon("the end", client.read_to_end(&mut seen)).await;
    seen
}

/// The clock may tick between two runs.
fn mask_date(bytes: &mut [u8]) {
    let name = b"\r\ndate: ";
    let mut at = 0;
    while let Some(found) = find(&bytes[at..], name) {
        at += found + name.len();
        bytes[at..at + 29].fill(b'-');
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[tokio::test]
async fn the_bytes_are_those_of_the_ordinary_path() {
    for scheme in [Scheme::Http, Scheme::Https] {
        for play in plays() {
            let ordinary = perform(scheme, &play, false).await;
            let lean = perform(scheme, &play, true).await;
            assert!(ordinary.starts_with(b"HTTP/1."), "{}", play.name);
            assert_eq!(
                String::from_utf8_lossy(&lean),
                String::from_utf8_lossy(&ordinary),
                "{scheme}: {}",
                play.name
            );
        }
    }
}

#[tokio::test]
async fn what_a_turn_has_leaves_in_one_write() {
    for scheme in [Scheme::Http, Scheme::Https] {
        let mut stage = Stage::new(plain, true);
        let mut client = stage.connect(scheme).await;
        client.write_all(GET.as_bytes()).await.unwrap();
        let actor = stage.actor().await;
        client.until(b"\r\n\r\n").await;
        let turns = [
            (Act::Say(vec![data(b":\n")]), "2\r\n:\n\r\n"),
            (
                Act::Say(vec![data(b"a"), data(b"b"), data(b"c")]),
                "1\r\nc\r\n",
            ),
            (
                Act::Say(vec![data(b"two"), data(b""), data(b"three")]),
                "5\r\nthree\r\n",
            ),
            // By `writev`, where it is not encrypted.
            (
                Act::Say(vec![data(&[b'x'; 6000]), data(b"end")]),
                "3\r\nend\r\n",
            ),
            (Act::End, "0\r\n\r\n"),
        ];
        let count = turns.len() as u64;
        for (act, end) in turns {
            actor.perform(act);
            client.until(end.as_bytes()).await;
        }
        client.write_all(LAST.as_bytes()).await.unwrap();
        rest(client).await;
        stage.departure().await;
        let streamed = stage.connection().writes();
        // The same connection, but for the stream: handshake, one answer, goodbye.
        assert_eq!(
            streamed - writes_without_stream(&mut stage, scheme).await,
            1 + count,
            "{scheme}: the head, and one for each turn"
        );
    }
}

#[tokio::test]
async fn what_is_ready_with_the_head_leaves_with_it() {
    for scheme in [Scheme::Http, Scheme::Https] {
        let mut stage = Stage::new(plain, true);
        stage.begin_with(Act::Say(vec![data(b":\n")]));
        let mut client = stage.connect(scheme).await;
        client.write_all(GET.as_bytes()).await.unwrap();
        client.until(b"\r\n\r\n2\r\n:\n\r\n").await;
        stage.actor().await.perform(Act::End);
        client.write_all(LAST.as_bytes()).await.unwrap();
        rest(client).await;
        stage.departure().await;
        let streamed = stage.connection().writes();
        let without = writes_without_stream(&mut stage, scheme).await;
        assert_eq!(
            streamed - without,
            2,
            "{scheme}: the beginning, and the end"
        );
    }
}

/// System calls of a connection with the last request alone.
async fn writes_without_stream(stage: &mut Stage, scheme: Scheme) -> u64 {
    let mut client = stage.connect(scheme).await;
    client.write_all(LAST.as_bytes()).await.unwrap();
    rest(client).await;
    stage.departure().await;
    stage.connection().writes()
}

#[tokio::test]
async fn a_frame_larger_than_every_buffer_arrives_whole() {
    const LENGTH: usize = 5_000_000;
    let frame: Bytes = (0..LENGTH).map(|index| (index % 251) as u8).collect();
    for scheme in [Scheme::Http, Scheme::Https] {
        let mut stage = Stage::new(plain, true);
        let mut client = stage.connect(scheme).await;
        client.write_all(GET.as_bytes()).await.unwrap();
        let actor = stage.actor().await;
        client.until(b"\r\n\r\n").await;
        actor.perform(Act::Say(vec![
            Ok(Said::Data(frame.clone())),
            data(b"small"),
            Ok(Said::Data(frame.clone())),
        ]));
        actor.perform(Act::End);
        client.write_all(LAST.as_bytes()).await.unwrap();
        let seen = rest(client).await;
        let mut expected = b"4C4B40\r\n".to_vec();
        expected.extend_from_slice(&frame);
        expected.extend_from_slice(b"\r\n5\r\nsmall\r\n4C4B40\r\n");
        expected.extend_from_slice(&frame);
        expected.extend_from_slice(b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n");
        assert!(seen.starts_with(&expected), "{scheme}");
    }
}

#[tokio::test]
async fn a_body_is_not_asked_while_its_peer_does_not_read() {
    const FRAME: usize = 16 * 1024;
    for scheme in [Scheme::Http, Scheme::Https] {
        let mut stage = Stage::new(plain, true);
        let mut client = stage.connect(scheme).await;
        client.write_all(GET.as_bytes()).await.unwrap();
        let actor = stage.actor().await;
        client.until(b"\r\n\r\n").await;
        // Far more than the kernel takes.
        const FRAMES: usize = 2_000;
        for _ in 0..FRAMES {
            actor.perform(Act::Say(vec![data(&[b'z'; FRAME])]));
        }
        let connection = stage.connection();
        let mut written = 0;
        // Nothing moves any more: the kernel is full.
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if connection.bytes_written() == written {
                break;
            }
            written = connection.bytes_written();
        }
        let taken = FRAMES - actor.waiting();
        assert!(
            taken <= written as usize / FRAME + 20,
            "{scheme}: {taken} frames taken, {written} bytes written"
        );
        assert!(taken < FRAMES, "{scheme}: it never stalled");
        actor.perform(Act::End);
        client.write_all(LAST.as_bytes()).await.unwrap();
        let seen = rest(client).await;
        assert!(seen.len() > FRAMES * FRAME, "{scheme}: {}", seen.len());
        assert_eq!(stage.departure().await, EndReason::Finished);
    }
}

/// How a peer can go.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Close,
    HalfClose,
    Reset,
}

#[tokio::test]
async fn a_peer_that_leaves_is_missed_at_once_also_behind_what_it_sent_last() {
    for scheme in [Scheme::Http, Scheme::Https] {
        for leave in [Leave::Close, Leave::HalfClose, Leave::Reset] {
            for stray in ["", "GE", LAST] {
                let mut stage = Stage::new(plain, true);
                let mut client = stage.connect(scheme).await;
                client.write_all(GET.as_bytes()).await.unwrap();
                let actor = stage.actor().await;
                client.until(b"\r\n\r\n").await;
                client.write_all(stray.as_bytes()).await.unwrap();
                match leave {
                    Leave::Close => drop(client),
                    // On TLS: close_notify, then FIN.
                    Leave::HalfClose => {
                        client.shutdown().await.unwrap();
                        assert!(rest(client).await.is_empty(), "no goodbye");
                    }
                    Leave::Reset => client.reset(),
                }
                let reason = stage.departure().await;
                let expected = match leave {
                    Leave::Reset => EndReason::PeerReset,
                    _ => EndReason::PeerClosed,
                };
                assert_eq!(reason, expected, "{scheme} {leave:?} {stray:?}");
                assert!(actor.is_gone(), "the body is dropped");
            }
        }
    }
}

#[tokio::test]
async fn a_peer_that_never_stops_sending_is_cut() {
    for scheme in [Scheme::Http, Scheme::Https] {
        let mut stage = Stage::new(plain, true);
        let mut client = stage.connect(scheme).await;
        client.write_all(GET.as_bytes()).await.unwrap();
        let _actor = stage.actor().await;
        client.until(b"\r\n\r\n").await;
        let _ = client.write_all(&vec![b'G'; 100_000]).await;
        let reason = stage.departure().await;
        assert!(
            matches!(&reason, EndReason::Error(why) if why.contains("16384 bytes")),
            "{scheme}: {reason}"
        );
    }
}

#[tokio::test]
async fn requests_sent_during_a_stream_are_answered_after_it() {
    for scheme in [Scheme::Http, Scheme::Https] {
        let mut stage = Stage::new(plain, true);
        let mut client = stage.connect(scheme).await;
        client.write_all(GET.as_bytes()).await.unwrap();
        let actor = stage.actor().await;
        client.until(b"\r\n\r\n").await;
        // More than hyper reads at once, and in pieces.
        let request = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
            "x".repeat(5_000)
        );
        client.write_all(request.as_bytes()).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        client.write_all(&LAST.as_bytes()[..20]).await.unwrap();
        actor.perform(Act::End);
        for _ in 0..2 {
            let actor = stage.actor().await;
            client.until(b"\r\n\r\n").await;
            actor.perform(Act::Say(vec![data(b"here")]));
            client.until(b"4\r\nhere\r\n").await;
            actor.perform(Act::End);
        }
        client.write_all(&LAST.as_bytes()[20..]).await.unwrap();
        let seen = rest(client).await;
        assert!(
            String::from_utf8_lossy(&seen).ends_with("\r\n\r\nlast"),
            "{scheme}"
        );
        assert_eq!(stage.connection().requests(), 4);
        assert_eq!(stage.departure().await, EndReason::Finished);
    }
}

#[tokio::test]
async fn a_connection_that_stays_quiet_after_its_stream_is_idle_for_too_long() {
    let mut limits = Limits::default();
    // The first head has to come within it, too, on a busy machine.
    limits.request_head = Duration::from_secs(1);
    let mut stage = Stage::with_limits(plain, true, limits);
    let mut client = stage.connect(Scheme::Http).await;
    client.write_all(GET.as_bytes()).await.unwrap();
    let actor = stage.actor().await;
    client.until(b"\r\n\r\n").await;
    actor.perform(Act::End);
    client.until(b"0\r\n\r\n").await;
    assert_eq!(stage.departure().await, EndReason::IdleTimeout);
}

#[tokio::test]
async fn a_panic_of_the_body_cuts_its_stream() {
    let mut stage = Stage::new(plain, true);
    let mut client = stage.connect(Scheme::Http).await;
    client.write_all(GET.as_bytes()).await.unwrap();
    let actor = stage.actor().await;
    client.until(b"\r\n\r\n").await;
    actor.perform(Act::Panic);
    assert!(rest(client).await.is_empty(), "no last chunk");
    assert_eq!(
        stage.departure().await,
        EndReason::Panicked("asked to panic".to_owned())
    );
}

#[tokio::test]
async fn a_drain_lets_a_stream_end_and_then_the_connection() {
    for scheme in [Scheme::Http, Scheme::Https] {
        let mut stage = Stage::new(plain, true);
        let mut client = stage.connect(scheme).await;
        client.write_all(GET.as_bytes()).await.unwrap();
        let actor = stage.actor().await;
        client.until(b"\r\n\r\n").await;
        let running = &stage.running;
        let drain = running.drain(crate::PATIENCE * 10);
        let (drained, seen) = soon("the drain", async {
            tokio::join!(drain, async {
                actor.perform(Act::Say(vec![data(b"goodbye")]));
                client.until(b"goodbye\r\n").await;
                actor.perform(Act::End);
                let mut seen = Vec::new();
                // rustls makes an end without close_notify an error.
                client.read_to_end(&mut seen).await.unwrap();
                seen
            })
        })
        .await;
        assert_eq!(seen, b"0\r\n\r\n", "{scheme}");
        assert_eq!((drained.ended, drained.cut), (1, 0));
        assert_eq!(stage.departure().await, EndReason::Drained);
    }
}

#[tokio::test]
async fn a_cut_leaves_a_stream_without_its_end() {
    for scheme in [Scheme::Http, Scheme::Https] {
        let mut stage = Stage::new(plain, true);
        let mut client = stage.connect(scheme).await;
        client.write_all(GET.as_bytes()).await.unwrap();
        let _actor = stage.actor().await;
        client.until(b"\r\n\r\n").await;
        stage.running.cut();
        assert!(rest(client).await.is_empty(), "{scheme}");
        assert_eq!(stage.departure().await, EndReason::Cut);
    }
}
