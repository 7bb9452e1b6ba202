//! Publishing: in one piece, or as a long request whose events arrive while it goes on.

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::program::{Program, soon};
use crate::stream::{Events, data};
use crate::transport::{Client, ClientBody, Transport, Whole, get, post, publish};

#[tokio::test]
async fn every_type_of_body_becomes_the_events_it_spells() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let topic = format!("/topics/types-{transport:?}");
        let mut events = Events::open(&program, transport, &topic).await;
        let mut client = Client::connect(&program, transport).await;
        for (content_type, body, published) in [
            ("text/plain", "some text\r\nin two lines", 1),
            ("application/json", r#"{"event":"note","data":{"a":1}}"#, 1),
            (
                "application/x-ndjson",
                "{\"data\":\"x\"}\n\n{\"data\":\"y\"}",
                2,
            ),
            (
                "text/event-stream",
                "\u{feff}: hi\nid: 7\nevent: e\ndata: z\n\ndata: cut",
                1,
            ),
        ] {
            let receipt = client.exchange(post(&topic, content_type, body)).await;
            assert_eq!(receipt.status, 200, "{receipt:?}");
            assert_eq!(
                receipt.json()["published"],
                json!(published),
                "{content_type}"
            );
        }
        let seen = events.take(5).await;
        let texts = ["some text\nin two lines", "{\"a\":1}", "x", "y", "z"];
        assert_eq!(data(&seen), texts, "{transport:?}");
        let kinds: Vec<&str> = seen.iter().map(|event| event.event.as_str()).collect();
        assert_eq!(kinds, ["message", "note", "message", "message", "e"]);
        assert!(seen[4].id > seen[3].id, "ids are the server's: {seen:?}");
    }
}

#[tokio::test]
async fn each_line_reaches_a_reader_before_the_next_is_sent() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let topic = format!("/topics/slow-{transport:?}");
        let mut events = Events::open(&program, transport, &topic).await;
        let (lines, body) = written();
        let request = Request::post(&topic).header("content-type", "application/x-ndjson");
        let request = request.body(body).unwrap();
        let mut publisher = Client::connect(&program, transport).await;
        let answer = tokio::spawn(async move { publisher.exchange(request).await });
        let mut last = String::new();
        for number in 0..5 {
            // In two parts: a line is an event only when it is whole.
            lines.send(format!("{{\"data\":\"{number}").into()).unwrap();
            lines.send("\"}\n".into()).unwrap();
            let event = events.next().await;
            assert_eq!(event.data, number.to_string(), "{transport:?}");
            last = event.id;
        }
        assert!(!answer.is_finished());
        drop(lines);
        let receipt = answer.await.unwrap().json();
        assert_eq!(
            receipt,
            json!({ "published": 5, "last_id": last }),
            "{transport:?}"
        );
    }
}

#[tokio::test]
async fn what_came_before_a_producer_vanished_stays() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let topic = format!("/topics/vanish-{transport:?}");
        let mut events = Events::open(&program, transport, &topic).await;
        let (lines, body) = written();
        let request = Request::post(&topic).header("content-type", "application/x-ndjson");
        let request = request.body(body).unwrap();
        let mut publisher = Client::connect(&program, transport).await;
        lines
            .send("{\"data\":\"1\"}\n{\"data\":\"2\"}\n{\"data\":\"3\"}".into())
            .unwrap();
        tokio::select! {
            // Answered only when the request ends, and it does not.
            response = publisher.send(request) => panic!("{response:?}"),
            seen = events.take(2) => assert_eq!(data(&seen), ["1", "2"]),
        }
        publisher.cut().await;
        publish(&program, &topic["/topics/".len()..], "4").await;
        let mut again = Events::resume(&program, transport, &topic, "earliest").await;
        assert_eq!(data(&again.take(3).await), ["1", "2", "4"], "{transport:?}");
        assert_eq!(data(&events.take(1).await), ["4"], "{transport:?}");
        drop(lines);
    }
}

#[tokio::test]
async fn a_chunk_that_breaks_off_publishes_what_came_before() {
    let program = Program::start(&[]);
    let mut events = Events::open(&program, Transport::Http1, "/topics/chunk").await;
    let mut socket = Transport::Http1.dial(&program).await;
    let head = "POST /topics/chunk HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
                Content-Type: application/x-ndjson\r\n\r\n";
    let chunk = "ff\r\n{\"data\":\"whole\"}\n{\"data\":\"half";
    socket
        .write_all(format!("{head}{chunk}").as_bytes())
        .await
        .unwrap();
    assert_eq!(events.next().await.data, "whole");
    drop(socket);
    publish(&program, "chunk", "next").await;
    assert_eq!(events.next().await.data, "next");
}

#[tokio::test]
async fn the_same_key_counts_once() {
    let program = Program::start(&[]);
    let mut events = Events::open(&program, Transport::Http1, "/topics/keys").await;
    let mut client = Client::connect(&program, Transport::Http1).await;
    let mut published = Vec::new();
    for _ in 0..2 {
        let lines = "{\"data\":\"a\",\"key\":\"1\"}\n{\"data\":\"b\",\"key\":\"2\"}\n";
        let request = post("/topics/keys", "application/x-ndjson", lines);
        published.push(client.exchange(request).await.json());
    }
    assert_eq!(published[0]["published"], json!(2));
    assert_eq!(
        (&published[1]["published"], &published[1]["repeated"]),
        (&json!(0), &json!(2)),
    );
    assert_eq!(published[0]["last_id"], published[1]["last_id"]);
    publish(&program, "keys", "c").await;
    assert_eq!(data(&events.take(3).await), ["a", "b", "c"]);
}

#[tokio::test]
async fn the_line_that_is_wrong_is_named_and_those_before_it_stay() {
    let program = Program::start(&["--event-bytes", "1000"]);
    let long = format!(
        "{{\"data\":\"1\"}}\n{{\"data\":\"{}\"}}\n",
        "x".repeat(1_001)
    );
    let endless = format!(
        "{{\"data\":\"1\"}}\n\n\n{{\"data\":\"{}",
        "x".repeat(100_000)
    );
    let cases: [(&str, &str, Bytes, u16, u64, u64); 9] = [
        (
            "json",
            "application/x-ndjson",
            "{\"data\":\"1\"}\n{\"data\":\"2\"}\n{oops}\n".into(),
            400,
            3,
            2,
        ),
        (
            "last",
            "application/x-ndjson",
            "{\"data\":\"1\"}\n{\"data\":".into(),
            400,
            2,
            1,
        ),
        (
            "field",
            "application/x-ndjson",
            "{\"data\":\"1\"}\n{\"dada\":\"2\"}\n".into(),
            400,
            2,
            1,
        ),
        (
            "type",
            "application/x-ndjson",
            "{\"data\":\"1\",\"event\":\"a\\nb\"}\n".into(),
            400,
            1,
            0,
        ),
        (
            "utf-8",
            "application/x-ndjson",
            Bytes::from_static(b"{\"data\":\"1\"}\n\n{\"data\":\"\xff\"}\n"),
            400,
            3,
            1,
        ),
        ("long", "application/x-ndjson", long.into(), 413, 2, 1),
        ("endless", "application/x-ndjson", endless.into(), 413, 4, 1),
        (
            "text",
            "text/plain",
            Bytes::from_static(b"gr\xfc\xdfe"),
            400,
            0,
            0,
        ),
        ("large", "text/plain", "x".repeat(1_001).into(), 413, 0, 0),
    ];
    for transport in Transport::ALL {
        for (name, content_type, body, status, line, published) in cases.clone() {
            let topic = format!("/topics/{name}-{transport:?}");
            let problem = Whole::of(&program, transport, post(&topic, content_type, body)).await;
            let context = format!("{name} over {transport:?}: {problem:?}");
            assert_eq!(problem.status, status, "{context}");
            assert_eq!(
                problem.header("content-type"),
                "application/problem+json",
                "{context}"
            );
            let told = problem.json();
            assert_eq!(told["status"], json!(status), "{context}");
            assert_eq!(told["published"], json!(published), "{context}");
            assert_eq!(
                told["line"].as_u64(),
                (line > 0).then_some(line),
                "{context}"
            );
            assert!(!told["detail"].as_str().unwrap().is_empty(), "{context}");
            // What is told as published can be read.
            publish(&program, &topic["/topics/".len()..], "end").await;
            let mut events = Events::resume(&program, transport, &topic, "earliest").await;
            let mut ids = Vec::new();
            loop {
                let event = events.next().await;
                if event.data == "end" {
                    break;
                }
                ids.push(event.id);
            }
            assert_eq!(ids.len() as u64, published, "{context}");
            assert_eq!(
                told["last_id"].as_str(),
                ids.last().map(String::as_str),
                "{context}"
            );
        }
    }
    let alive = Whole::of(&program, Transport::Http1, get("/healthz")).await;
    assert_eq!(alive.status, 200);
}

#[tokio::test]
async fn a_refusal_reaches_a_publisher_that_is_still_sending() {
    let program = Program::start(&["--event-bytes", "1000"]);
    for transport in [Transport::Http1, Transport::Http1Tls] {
        let mut socket = transport.dial(&program).await;
        // Far more than the server reads before it answers, and than socket buffers hold.
        let size = 32 << 20;
        let head =
            format!("POST /topics/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let sent = socket.write_all(&vec![b'x'; size]).await;
        assert!(sent.is_ok(), "{transport:?}: {sent:?}");
        let mut answer = String::new();
        soon("the refusal", socket.read_to_string(&mut answer))
            .await
            .unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 413 "),
            "{transport:?}: {answer}"
        );
        assert!(
            answer.contains("longer than 1000 bytes"),
            "{transport:?}: {answer}"
        );
    }
}

/// A body that is written while it is sent. Dropping the sender ends it.
pub(crate) fn written() -> (mpsc::UnboundedSender<Bytes>, ClientBody) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let data: Bytes = receiver.recv().await?;
        Some((Ok(Frame::data(data)), receiver))
    });
    (sender, BodyExt::boxed(StreamBody::new(stream)))
}
