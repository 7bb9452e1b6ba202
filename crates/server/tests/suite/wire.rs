//! The bytes that cross the wire, whatever carries them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use http::{Request, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::program::{Program, soon};
use crate::stream::Events;
use crate::transport::{Client, Socket, Transport, Whole, bare, get, header, post, publish};

/// Of every kind of event, one: several lines, empty data, a type, a reconnection time, text beyond ASCII, much of it.
fn kinds_of_events() -> Vec<String> {
    let event = |json: &str| json.to_owned();
    vec![
        event(r#"{"data":"plain"}"#),
        event(r#"{"data":"two\nlines\n"}"#),
        event(r#"{"data":""}"#),
        event(r#"{"event":"note","data":" a space before, and a: colon"}"#),
        event(r#"{"data":{"any":["json",1.50]},"retry":2500}"#),
        event(r#"{"data":"Grüße \u2028 \ud83c\udf0a"}"#),
        format!(r#"{{"data":"{}"}}"#, "0123456789".repeat(10_000)),
        event(r#"{"event":"last","data":"last"}"#),
    ]
}

#[tokio::test]
async fn headers_leave_before_the_first_event() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let mut events = Events::open(&program, transport, "/topics/silent").await;
        events.read_until(|text| text.starts_with(":\n")).await;
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache, no-transform"),
            ("x-accel-buffering", "no"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(header(&events.headers, name), value, "{transport:?}");
        }
        assert!(is_good_id(header(&events.headers, "last-event-id")));
        if transport.is_http2() {
            for name in ["connection", "transfer-encoding", "keep-alive"] {
                assert_eq!(header(&events.headers, name), "", "{transport:?}");
            }
        }
    }
}

#[tokio::test]
async fn http_1_1_is_framed_in_chunks_that_leave_at_once() {
    let program = Program::start(&["--heartbeat", "1h"]);
    for transport in [Transport::Http1, Transport::Http1Tls] {
        let topic = format!("raw-{transport:?}");
        let mut socket = transport.dial(&program).await;
        let request = format!("GET /topics/{topic}?retry=700 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        // A heartbeat, and what to obey later; then nothing until there is something.
        let opening = chunk(":\nretry: 700\n");
        let begun = read_until(&mut socket, |text| text.to_lowercase().ends_with(&opening)).await;
        let (head, body) = begun.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(body.to_lowercase(), opening);
        let id = publish(&program, &topic, "water").await;
        let event = chunk(&format!("data: water\nid: {id}\n\n"));
        read_until(&mut socket, |text| text.to_lowercase() == event).await;
    }
}

#[tokio::test]
async fn silence_is_broken_by_a_line_that_is_no_event() {
    let program = Program::start(&["--heartbeat", "1s"]);
    for transport in Transport::ALL {
        // Before the stream exists: what is measured can be longer than what was, not shorter.
        let begun = Instant::now();
        let mut events = Events::open(&program, transport, "/topics/quiet?retry=1000").await;
        let opening = ":\nretry: 1000\n";
        events
            .read_until(|text| text.len() >= opening.len() + 3 * 2)
            .await;
        let lasted = begun.elapsed();
        assert_eq!(
            events.text(),
            format!("{opening}:\n:\n:\n"),
            "{transport:?}"
        );
        // Each is shortened by up to a quarter; the default would take 22 s at least.
        let bounds = Duration::from_millis(2_200)..Duration::from_secs(15);
        assert!(bounds.contains(&lasted), "{transport:?}: {lasted:?}");
    }
}

#[tokio::test]
async fn every_transport_carries_the_same_bytes_live_and_again() {
    let program = Program::start(&["--heartbeat", "1h"]);
    let path = "/topics/kinds?retry=1234";
    let mut streams = Vec::new();
    for transport in Transport::ALL {
        streams.push((transport, Events::open(&program, transport, path).await));
    }
    let mut publisher = Client::connect(&program, Transport::Http2).await;
    for event in kinds_of_events() {
        let request = post("/topics/kinds", "application/json", event);
        let receipt = publisher.exchange(request).await;
        assert_eq!(receipt.status, 200, "{receipt:?}");
    }
    for transport in Transport::ALL {
        let again = Events::resume(&program, transport, path, "earliest").await;
        streams.push((transport, again));
    }
    let mut first = None;
    for (transport, mut events) in streams {
        let seen = events.take(kinds_of_events().len()).await;
        assert_eq!(seen[1].data, "two\nlines\n");
        assert_eq!(seen[5].data, "Grüße \u{2028} \u{1f30a}");
        assert_eq!(seen[7].event, "last");
        assert_keeps_the_rules(events.text());
        let first = first.get_or_insert_with(|| events.text().to_owned());
        assert!(events.text() == first, "{transport:?} differs:\n{events:?}");
    }
}

#[tokio::test]
async fn curl_shows_events_the_moment_they_are_published() {
    let program = Program::start(&[]);
    let authority = program.authority();
    let authority = authority.to_str().unwrap();
    let secure = format!("https://localhost:{}", program.address(true).port());
    for (base, arguments) in [
        (program.http(), &["--http1.1"][..]),
        (&secure, &["--http1.1", "--cacert", authority]),
        (&secure, &["--http2", "--cacert", authority]),
    ] {
        let mut curl = Command::new("curl")
            .args(["-sSN", &format!("{base}/topics/curl")])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl must be installed (apt-get install curl)");
        let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), ":", "{arguments:?}");
        for text in ["one", "two", "three"] {
            publish(&program, "curl", text).await;
            let wanted = format!("data: {text}");
            let mut lines = lines.by_ref().map(Result::unwrap);
            assert!(lines.any(|line| line == wanted), "{arguments:?}");
        }
        curl.kill().unwrap();
        curl.wait().unwrap();
    }
}

#[tokio::test]
async fn an_http_1_0_client_gets_a_stream_that_its_connection_ends() {
    let program = Program::start(&[]);
    let mut socket = Transport::Http1.dial(&program).await;
    let request = "GET /topics/old HTTP/1.0\r\nHost: localhost\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let head = read_until(&mut socket, |text| text.contains("retry:")).await;
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    publish(&program, "old", "still here").await;
    read_until(&mut socket, |text| text.contains("data: still here\n")).await;
}

#[tokio::test]
async fn head_answers_with_the_headers_alone() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let mut client = Client::connect(&program, transport).await;
        for path in ["/topics/head", "/topics?topic=a&topic=b", "/", "/healthz"] {
            let head = client.exchange(bare(Request::head(path))).await;
            assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
            assert!(!head.header("content-type").is_empty(), "{path}");
            // A stream has no length; a page has that which GET tells.
            let length = head.header("content-length");
            assert_eq!(
                length.is_empty(),
                path.starts_with("/topics"),
                "{path}: {length}"
            );
            assert_ne!(length, "0", "{path}");
        }
        let alive = client.exchange(get("/healthz")).await;
        assert_eq!(alive.text(), "ok\n", "the connection goes on");
    }
}

#[tokio::test]
async fn many_streams_share_one_http_2_connection() {
    let program = Program::start(&[]);
    let mut client = Client::connect(&program, Transport::Http2).await;
    let mut streams = Vec::new();
    for _ in 0..200 {
        let response = client.send(get("/topics/shared")).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        streams.push(Events::of(response));
    }
    publish(&program, "shared", "to all").await;
    for events in &mut streams {
        assert_eq!(events.next().await.data, "to all");
    }
    let health = Whole::of(&program, Transport::Http2, get("/healthz")).await;
    assert_eq!(health.text(), "ok\n");
}

/// What follows the rules of the wire: see the design's section 4.
fn assert_keeps_the_rules(text: &str) {
    assert!(!text.contains('\r') && !text.starts_with('\u{feff}'));
    let (blocks, open) = text.rsplit_once("\n\n").unwrap();
    assert_eq!(open, "", "the last block is whole");
    for block in blocks.split("\n\n") {
        let fields: Vec<(&str, &str)> = block
            .lines()
            .map(|line| line.split_once(':').unwrap_or((line, "")))
            .collect();
        let values = |name: &str| {
            let values = fields.iter().filter(|(field, _)| *field == name);
            values
                .map(|(_, value)| value.trim_start())
                .collect::<Vec<_>>()
        };
        assert!(
            !values("data").is_empty(),
            "a block without data: {block:?}"
        );
        assert!(values("event").len() <= 1, "{block:?}");
        let ids = values("id");
        assert!(ids.len() == 1 && is_good_id(ids[0]), "{block:?}");
        for (name, value) in &fields {
            let known = ["", "data", "event", "id", "retry"].contains(name);
            assert!(known && (!name.is_empty() || value.is_empty()), "{block:?}");
        }
    }
}

/// Longer or stranger ones make browsers send a CORS preflight, or not come back at all.
fn is_good_id(id: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_graphic() && byte != b'<';
    (1..=64).contains(&id.len()) && id.bytes().all(good)
}

/// One chunk, with its length in lower case (RFC 9112, section 7.1, allows both).
fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// Reads until what was read is what is wanted.
async fn read_until(socket: &mut Box<dyn Socket>, wanted: impl Fn(&str) -> bool) -> String {
    let mut seen = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = soon("bytes", socket.read(&mut buffer)).await.unwrap();
        assert!(count > 0, "ended: {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&seen);
        if wanted(&text) {
            return text.into_owned();
        }
    }
}
