//! Apps that feed a run: each record counts once, whatever becomes of the connections that bring it.

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::ingest::written;
use crate::program::Program;
use crate::runs::{answers, begin, cancel, path, push, state, text, wait_for};
use crate::stream::{Events, data};
use crate::transport::{Client, ClientBody, Transport, Whole, post};

#[tokio::test]
async fn each_line_reaches_a_reader_before_the_next_is_sent() {
    let program = Program::start(&["--coalesce", "0"]);
    for transport in Transport::ALL {
        let id = begin(&program, &json!({})).await;
        let mut events = Events::open(&program, transport, &path(&id)).await;
        let (lines, answer) = pushing(&program, transport, &id, None).await;
        for number in 0..5 {
            let line = answers(&[&number.to_string()]) + "\n";
            let (begin, end) = line.split_at(20);
            // In two parts: a line is a record only when it is whole.
            lines.send(begin.to_owned().into()).unwrap();
            lines.send(end.to_owned().into()).unwrap();
            assert_eq!(text(&events.take(1).await), number.to_string());
        }
        assert!(!answer.is_finished());
        lines.send("{\"type\":\"done\"}".into()).unwrap();
        drop(lines);
        let receipt = answer.await.unwrap();
        assert_eq!(
            receipt.json(),
            json!({ "accepted": 6, "repeated": 0, "next": 6, "state": "done" }),
            "{transport:?}"
        );
        assert_eq!(events.rest().await.len(), 1);
    }
}

#[tokio::test]
async fn an_event_stream_can_be_pushed_as_it_was_read() {
    let program = Program::start(&["--coalesce", "0"]);
    let told = begin(&program, &json!({})).await;
    let lines = [
        answers(&["Grüße", " 🌊"]),
        r#"{"type":"tool","name":"f","arguments":"{}"}"#.to_owned(),
        r#"{"type":"progress","percent":50}"#.to_owned(),
        r#"{"type":"done","finish_reason":"stop"}"#.to_owned(),
    ];
    push(&program, &told, &lines.join("\n")).await;
    let mut first = Events::open(&program, Transport::Http1, &path(&told)).await;
    let first_seen = first.rest().await;
    for transport in Transport::ALL {
        let again = begin(&program, &json!({})).await;
        let stream = first.text().to_owned();
        let request = post(&path(&again), "text/event-stream", stream);
        let receipt = Whole::of(&program, transport, request).await;
        assert_eq!(receipt.status, StatusCode::OK, "{receipt:?}");
        let mut second = Events::open(&program, transport, &path(&again)).await;
        let second = second.rest().await;
        assert_eq!(data(&second), data(&first_seen), "{transport:?}");
        let kinds = |seen: &[crate::stream::Seen]| -> Vec<String> {
            seen.iter().map(|event| event.event.clone()).collect()
        };
        assert_eq!(kinds(&second), kinds(&first_seen), "{transport:?}");
    }
}

#[tokio::test]
async fn a_producer_that_sends_again_is_heard_once() {
    let program = Program::start(&["--coalesce", "0"]);
    for transport in Transport::ALL {
        let id = begin(&program, &json!({})).await;
        let all = ["a", "b", "c", "d", "e", "f"];
        for (first, texts, accepted, repeated, next) in [
            (0, &all[..2], 2, 0, 2),
            (0, &all[..2], 0, 2, 2),
            (0, &all[..3], 1, 2, 3),
            (2, &all[2..5], 2, 1, 5),
            (5, &all[5..], 1, 0, 6),
            (6, &all[..0], 0, 0, 6),
        ] {
            let receipt = claiming(&program, transport, &id, 7, first, &answers(texts)).await;
            assert_eq!(receipt.status, StatusCode::OK, "{receipt:?}");
            let expected = json!({
                "accepted": accepted, "repeated": repeated, "next": next, "state": "open",
            });
            assert_eq!(receipt.json(), expected, "{transport:?}");
        }
        let told = state(&program, &id).await;
        assert_eq!(told["text"], json!("abcdef"), "{transport:?}");
        assert_eq!(told["producer"], json!({ "epoch": 7, "next": 6 }));
    }
}

#[tokio::test]
async fn a_gap_in_the_numbers_is_refused_with_what_was_expected() {
    let program = Program::start(&[]);
    let id = begin(&program, &json!({})).await;
    for (first, expected) in [(1, 0), (9, 0)] {
        let refused = claiming(&program, Transport::Http2, &id, 1, first, &answers(&["x"])).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert_eq!(
            refused.header("producer-expected-seq"),
            expected.to_string()
        );
        assert_eq!(refused.header("producer-received-seq"), first.to_string());
    }
    claiming(&program, Transport::Http1, &id, 1, 0, &answers(&["a", "b"])).await;
    let refused = claiming(&program, Transport::Http1, &id, 1, 3, &answers(&["x"])).await;
    assert_eq!(refused.header("producer-expected-seq"), "2");
    assert_eq!(state(&program, &id).await["text"], json!("ab"));
}

#[tokio::test]
async fn a_new_producer_fences_the_old_one_off() {
    let program = Program::start(&["--coalesce", "0"]);
    for transport in Transport::ALL {
        let id = begin(&program, &json!({})).await;
        let mut events = Events::open(&program, transport, &path(&id)).await;
        let (old, answer) = pushing(&program, transport, &id, Some((1, 0))).await;
        old.send((answers(&["a", "b"]) + "\n").into()).unwrap();
        events.take(2).await;
        // Started anew: it asks how far the run is, and goes on from there.
        let next = state(&program, &id).await["producer"]["next"].as_u64();
        let receipt = claiming(&program, transport, &id, 2, next.unwrap(), &answers(&["c"])).await;
        assert_eq!(receipt.status, StatusCode::OK, "{receipt:?}");
        let refused = answer.await.unwrap();
        assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
        assert_eq!(refused.header("producer-epoch"), "2", "{transport:?}");
        assert_eq!(refused.json()["accepted"], json!(2));
        let again = claiming(&program, transport, &id, 1, 2, &answers(&["x"])).await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        assert_eq!(again.header("producer-epoch"), "2", "{transport:?}");
        assert_eq!(state(&program, &id).await["text"], json!("abc"));
    }
}

#[tokio::test]
async fn a_producer_that_comes_back_does_not_wait_for_its_own_dead_connection() {
    let program = Program::start(&["--coalesce", "0"]);
    let id = begin(&program, &json!({})).await;
    let mut events = Events::open(&program, Transport::Http1, &path(&id)).await;
    // It hangs: for the server it is a request like any other.
    let (hanging, answer) = pushing(&program, Transport::Http1, &id, Some((1, 0))).await;
    hanging.send((answers(&["a", "b"]) + "\n").into()).unwrap();
    events.take(2).await;
    let receipt = claiming(
        &program,
        Transport::Http1,
        &id,
        1,
        0,
        &answers(&["a", "b", "c"]),
    )
    .await;
    assert_eq!(
        receipt.json(),
        json!({ "accepted": 1, "repeated": 2, "next": 3, "state": "open" })
    );
    assert_eq!(answer.await.unwrap().status, StatusCode::CONFLICT);
    assert_eq!(text(&events.take(1).await), "c");
}

#[tokio::test]
async fn what_came_before_a_connection_broke_stays_and_the_run_goes_on() {
    // Held back until something lets it go: here, that the connection broke.
    let program = Program::start(&["--coalesce", "10m"]);
    for transport in Transport::ALL {
        let id = begin(&program, &json!({})).await;
        let mut events = Events::open(&program, transport, &path(&id)).await;
        let (lines, body) = written();
        let request = request(&id, Some((1, 0)), body);
        let mut client = Client::connect(&program, transport).await;
        let half = answers(&["a", "b", "c"]) + "\n{\"type\":\"ans";
        lines.send(half.into()).unwrap();
        tokio::select! {
            response = client.send(request) => panic!("{response:?}"),
            seen = events.take(1) => assert_eq!(text(&seen), "a"),
        }
        client.cut().await;
        assert_eq!(text(&events.take(1).await), "bc", "{transport:?}");
        assert_eq!(state(&program, &id).await["state"], json!("open"));
        let lines = answers(&["c", "d"]) + "\n{\"type\":\"done\"}";
        let receipt = claiming(&program, transport, &id, 1, 2, &lines).await;
        assert_eq!(
            receipt.json(),
            json!({ "accepted": 2, "repeated": 1, "next": 5, "state": "done" })
        );
        assert_eq!(text(&events.rest().await), "d", "{transport:?}");
    }
}

#[tokio::test]
async fn without_a_claim_one_request_pushes_at_a_time() {
    let program = Program::start(&["--coalesce", "0"]);
    let id = begin(&program, &json!({})).await;
    let mut events = Events::open(&program, Transport::Http1, &path(&id)).await;
    let (lines, answer) = pushing(&program, Transport::Http2, &id, None).await;
    lines.send((answers(&["a"]) + "\n").into()).unwrap();
    events.take(1).await;
    let second = post(&path(&id), "application/x-ndjson", answers(&["x"]));
    let refused = Whole::of(&program, Transport::Http1, second).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    drop(lines);
    assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    push(&program, &id, &answers(&["b"])).await;
    assert_eq!(state(&program, &id).await["text"], json!("ab"));
}

#[tokio::test]
async fn after_the_end_nothing_new_is_taken() {
    let program = Program::start(&[]);
    let id = begin(&program, &json!({})).await;
    let whole = answers(&["a"]) + "\n{\"type\":\"done\"}\n";
    let ended = claiming(&program, Transport::Http1, &id, 3, 0, &whole).await;
    assert_eq!(ended.json()["state"], json!("done"));
    // It never got the answer, and sends all of it again.
    let again = claiming(&program, Transport::Http1, &id, 3, 0, &whole).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    assert_eq!(
        again.json(),
        json!({ "accepted": 0, "repeated": 2, "next": 2, "state": "done" })
    );
    let more = whole.clone() + &answers(&["b"]);
    let refused = claiming(&program, Transport::Http1, &id, 3, 0, &more).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    assert_eq!(refused.json()["repeated"], json!(2));
    let unclaimed = post(&path(&id), "application/x-ndjson", answers(&["b"]));
    let unclaimed = Whole::of(&program, Transport::Http1, unclaimed).await;
    assert_eq!(unclaimed.status, StatusCode::CONFLICT, "{unclaimed:?}");

    let id = begin(&program, &json!({})).await;
    let past = post(&path(&id), "application/x-ndjson", more);
    let refused = Whole::of(&program, Transport::Http1, past).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    assert_eq!(
        (&refused.json()["accepted"], &refused.json()["state"]),
        (&json!(2), &json!("done"))
    );
}

#[tokio::test]
async fn a_cancelled_run_stops_its_producer() {
    let program = Program::start(&["--coalesce", "0"]);
    for transport in Transport::ALL {
        let id = begin(&program, &json!({})).await;
        let mut events = Events::open(&program, transport, &path(&id)).await;
        let (lines, answer) = pushing(&program, transport, &id, Some((1, 0))).await;
        lines.send((answers(&["a"]) + "\n").into()).unwrap();
        events.take(1).await;
        Whole::of(&program, transport, cancel(&id)).await;
        let stopped = answer.await.unwrap();
        assert_eq!(stopped.status, StatusCode::CONFLICT, "{stopped:?}");
        assert_eq!(stopped.json()["state"], json!("cancelled"), "{transport:?}");
        assert_eq!(events.rest().await.len(), 1);
    }
}

#[tokio::test]
async fn a_producer_can_say_that_it_failed() {
    let program = Program::start(&[]);
    let id = begin(&program, &json!({})).await;
    let lines = answers(&["a"]) + "\n" + r#"{"type":"error","message":"out of paper"}"#;
    assert_eq!(
        push(&program, &id, &lines).await.json()["state"],
        json!("failed")
    );
    let seen = Events::open(&program, Transport::Http1, &path(&id))
        .await
        .rest()
        .await;
    let error = seen.last().unwrap();
    assert_eq!(error.event, "error");
    assert_eq!(
        error.json(),
        json!({ "state": "failed", "message": "out of paper" })
    );
    assert_eq!(state(&program, &id).await["error"], json!("out of paper"));
}

#[tokio::test]
async fn what_is_no_record_is_refused_with_its_line() {
    let program = Program::start(&["--event-bytes", "1000"]);
    let long = answers(&[&"x".repeat(10_000)]);
    let cases: [(&str, &str, u16); 9] = [
        (r#"{"type":"answer"}"#, "missing field `text`", 400),
        (r#"{"type":"answer","text":7}"#, "invalid type", 400),
        (r#"{"text":"x"}"#, "missing field `type`", 400),
        (r#"{"type":7}"#, "`type` is a string", 400),
        (r#"{"type":"shout","text":"x"}"#, "none of thinking", 400),
        (r#"{"type":"error"}"#, "missing field `message`", 400),
        ("[]", "invalid type", 400),
        ("not JSON", "column", 400),
        (&long, "longer than", 413),
    ];
    for (line, told, status) in cases {
        let id = begin(&program, &json!({})).await;
        let body = format!("{}\n\n{line}\n{}", answers(&["a", "b"]), answers(&["c"]));
        let refused = claiming(&program, Transport::Http1, &id, 1, 0, &body).await;
        assert_eq!(refused.status, status, "{line}: {refused:?}");
        let problem = refused.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(told), "{line}: {detail}");
        assert_eq!(problem["line"], json!(4), "{line}");
        assert_eq!(
            (&problem["accepted"], &problem["next"], &problem["state"]),
            (&json!(2), &json!(2), &json!("open")),
            "{line}"
        );
        assert_eq!(
            wait_for(&program, &id, "text", &json!("ab")).await["state"],
            json!("open")
        );
    }
    let id = begin(&program, &json!({})).await;
    for (content_type, header, value, status) in [
        ("text/plain", "accept", "*/*", 415),
        ("application/json", "accept", "*/*", 415),
        ("application/x-ndjson", "producer-epoch", "1", 400),
        ("application/x-ndjson", "producer-seq", "1", 400),
        ("application/x-ndjson", "producer-seq", "-1", 400),
    ] {
        let mut request = post(&path(&id), content_type, answers(&["x"]));
        let value = value.parse().unwrap();
        request.headers_mut().insert(header, value);
        let refused = Whole::of(&program, Transport::Http1, request).await;
        assert_eq!(refused.status, status, "{content_type} {header}");
    }
    assert_eq!(state(&program, &id).await["text"], json!(""));
}

#[tokio::test]
async fn a_run_that_the_server_feeds_takes_nothing_from_others() {
    let program = Program::start(&[]);
    let asked = json!({ "request": { "messages": [{ "role": "user", "content": "Hi" }] } });
    let id = begin(&program, &asked).await;
    let request = post(&path(&id), "application/x-ndjson", answers(&["x"]));
    let refused = Whole::of(&program, Transport::Http1, request).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    assert_eq!(state(&program, &id).await.get("producer"), None::<&Value>);
}

/// A request that pushes, written while it is sent, and its answer; the claim is an epoch and the number of its first record.
pub(crate) async fn pushing(
    program: &Program,
    transport: Transport,
    id: &str,
    claim: Option<(u64, u64)>,
) -> (mpsc::UnboundedSender<Bytes>, JoinHandle<Whole>) {
    let (lines, body) = written();
    let request = request(id, claim, body);
    let mut client = Client::connect(program, transport).await;
    let answer = tokio::spawn(async move { client.exchange(request).await });
    (lines, answer)
}

/// Pushes these lines as a producer that says which it is.
async fn claiming(
    program: &Program,
    transport: Transport,
    id: &str,
    epoch: u64,
    first: u64,
    lines: &str,
) -> Whole {
    let (body, answer) = pushing(program, transport, id, Some((epoch, first))).await;
    body.send(lines.to_owned().into()).unwrap();
    drop(body);
    answer.await.unwrap()
}

fn request(id: &str, claim: Option<(u64, u64)>, body: ClientBody) -> Request<ClientBody> {
    let mut request = Request::post(path(id)).header("content-type", "application/x-ndjson");
    if let Some((epoch, first)) = claim {
        request = request
            .header("producer-epoch", epoch)
            .header("producer-seq", first);
    }
    request.body(body).unwrap()
}
