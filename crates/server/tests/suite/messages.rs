//! Anthropic's messages: of an upstream, and of the demo.

use http::{HeaderValue, Request, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::program::Program;
use crate::stream::{Events, Seen};
use crate::transport::{Client, ClientBody, Transport, Whole, post, run_of};
use crate::upstream::{Pen, Question, Upstream};

/// Events as upstreams write them: with fields that nobody knows and numbers that a parser would spell anew.
const EVENTS: [(&str, &str); 8] = [
    (
        "message_start",
        r#"{"type":"message_start","message":{"id":"msg_01","role":"assistant","content":[],"usage":{"input_tokens":9,"output_tokens":1}},"x_new":1.00}"#,
    ),
    (
        "content_block_start",
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    ),
    ("ping", r#"{"type": "ping"}"#),
    (
        "content_block_delta",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Gr\u00fc"}}"#,
    ),
    (
        "content_block_delta",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ße 🌊"}}"#,
    ),
    (
        "content_block_stop",
        r#"{"type":"content_block_stop","index":0}"#,
    ),
    (
        "message_delta",
        r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens"},"usage":{"output_tokens":5}}"#,
    ),
    ("message_stop", r#"{"type":"message_stop"}"#),
];

#[tokio::test]
async fn a_message_is_relayed_byte_for_byte_with_its_pings() {
    let (mut upstream, program) = start(&[]).await;
    for transport in Transport::ALL {
        let (question, asked) = ask(&mut upstream, &program, transport).await;
        assert_eq!(question.head.uri.path(), "/v1/messages");
        assert_eq!(question.body, message().to_string(), "as it was written");
        let pen = question.stream();
        let mut relayed = Vec::new();
        write(&pen, &EVENTS[..1]);
        let mut events = asked.await.unwrap();
        relayed.push(events.next().await);
        pen.write(": not for clients\r\n\r\n");
        for (name, data) in &EVENTS[1..] {
            pen.write(format!("event: {name}\r\ndata:{data}\r\n\r\n"));
        }
        relayed.extend(events.rest().await);
        let relayed: Vec<_> = relayed.iter().map(named).collect();
        assert_eq!(relayed, EVENTS, "{transport:?}");
        assert!(!events.text().contains("not for"), "{transport:?}");

        let path = run_of(&events.headers);
        let run = Events::open(&program, transport, &path).await.rest().await;
        let (done, answers) = run.split_last().unwrap();
        let text = |event: &Seen| event.json()["text"].as_str().unwrap().to_owned();
        assert_eq!(answers.iter().map(text).collect::<String>(), "Grüße 🌊");
        let done = done.json();
        assert_eq!(done["finish_reason"], "length", "in a run's words: {done}");
        assert_eq!(done["usage"]["total_tokens"], 14, "{done}");
    }
}

#[tokio::test]
async fn the_headers_of_the_api_are_passed_and_our_key_replaces_the_clients() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "sk-ours\n").unwrap();
    let ours = ["--upstream-key-file", file.to_str().unwrap()];
    for (arguments, key) in [(&ours[..], "sk-ours"), (&[], "sk-theirs")] {
        let (mut upstream, program) = start(arguments).await;
        let mut request = request(&message());
        for (name, value) in [
            ("x-api-key", "sk-theirs"),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "files-api-2025-04-14"),
            ("cookie", "session=1"),
        ] {
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(name, value);
        }
        let answer = answer_of(&program, Transport::Http2, request).await;
        let question = upstream.question().await;
        let given = |name: &str| {
            question
                .head
                .headers
                .get(name)
                .map(|it| it.to_str().unwrap())
        };
        assert_eq!(given("x-api-key"), Some(key));
        assert_eq!(given("anthropic-version"), Some("2023-06-01"));
        assert_eq!(given("anthropic-beta"), Some("files-api-2025-04-14"));
        assert_eq!((given("cookie"), given("authorization")), (None, None));
        let limit = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
        question.refuse(
            StatusCode::TOO_MANY_REQUESTS,
            &[("retry-after", "7")],
            limit,
        );
        let answer = answer.await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text()), (429, limit));
        assert_eq!(answer.header("retry-after"), "7");
    }
}

#[tokio::test]
async fn a_message_that_breaks_off_never_looks_whole() {
    let (mut upstream, program) = start(&[]).await;
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#;
    let long = format!("event: ping\ndata: {}\n\n", "x".repeat(10 << 20));
    for transport in Transport::ALL {
        for (rest, breaks, told) in [
            ("", true, "upstream"),
            ("", false, "ended before"),
            ("event: content_block_delta\ndata: {\"ty", true, "upstream"),
            ("event: ping\ndata: <html>\n\n", false, "not JSON"),
            (long.as_str(), false, "cannot be read"),
            // Whose events have no names, says nothing that a client could hear.
            (
                "data: {\"type\":\"message_stop\"}\n\n",
                false,
                "ended before",
            ),
            (overloaded, false, "Overloaded"),
        ] {
            let (question, asked) = ask(&mut upstream, &program, transport).await;
            let pen = question.stream();
            write(&pen, &EVENTS[..4]);
            let mut events = asked.await.unwrap();
            events.take(4).await;
            if rest == overloaded {
                write(&pen, &[("error", overloaded)]);
            } else if !rest.is_empty() {
                pen.write(rest);
            }
            if breaks {
                pen.break_off();
            } else {
                drop(pen);
            }
            let seen = events.rest().await;
            let errors = seen.iter().filter(|event| event.event == "error");
            assert_eq!(errors.count(), 1, "{seen:?}");
            let last = seen.last().unwrap();
            assert_eq!(last.event, "error", "{seen:?}");
            assert_eq!(last.json()["type"], "error");
            let message = last.json()["error"]["message"].to_string();
            assert!(message.contains(told), "{seen:?}");
            if rest == overloaded {
                assert_eq!(last.data, overloaded, "in the upstream's own words");
            }
            let last = end_of(&program, &events).await;
            assert_eq!(last.event, "error");
            assert!(
                last.json()["message"].to_string().contains(told),
                "{last:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_demo_answers_where_there_is_no_upstream() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let mut client = Client::connect(&program, transport).await;
        let mut events = Events::of(client.send(request(&message())).await.unwrap());
        let seen = events.rest().await;
        for event in &seen {
            assert_eq!(event.json()["type"], event.event, "{event:?}");
        }
        let names: Vec<&str> = seen.iter().map(|event| event.event.as_str()).collect();
        assert_eq!(names[..2], ["message_start", "content_block_start"]);
        let first = seen[1].json()["content_block"]["type"].clone();
        assert_eq!(first, "thinking", "it thinks first: {transport:?}");
        let end = ["content_block_stop", "message_delta", "message_stop"];
        assert_eq!(names[names.len() - 3..], end, "{transport:?}");
        let delta = seen[seen.len() - 2].json();
        let reason = delta["delta"]["stop_reason"].as_str().unwrap();
        assert!(["end_turn", "max_tokens"].contains(&reason), "{delta}");
        assert!(delta["usage"]["output_tokens"].as_u64().unwrap() > 20);
        let path = run_of(&events.headers) + "?as=anthropic";
        let late = Events::open(&program, transport, &path).await.rest().await;
        assert_eq!(text_of(&late), text_of(&seen));
    }
    let mut asked = message();
    asked["stream"] = json!(false);
    let whole = Whole::of(&program, Transport::Http2, request(&asked))
        .await
        .json();
    assert_eq!(
        (&whole["type"], &whole["role"]),
        (&json!("message"), &json!("assistant"))
    );
    assert!(whole["content"][0]["text"].as_str().unwrap().len() > 40);
    assert!(whole["usage"]["input_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn who_was_told_in_fewer_events_goes_on_from_each_of_them() {
    let program = Program::start(&["--coalesce", "0"]);
    let mut client = Client::connect(&program, Transport::H2c).await;
    let mut events = Events::of(client.send(request(&message())).await.unwrap());
    let all = events.rest().await;
    let path = run_of(&events.headers) + "?as=anthropic";
    let open = || Events::open(&program, Transport::H2c, &path);
    let merged = open().await.rest().await;
    assert!(
        merged.len() < all.len() / 4,
        "{} of {}",
        merged.len(),
        all.len()
    );
    assert_eq!(merged.last(), all.last());
    for seen in 1..merged.len() {
        let (before, id) = (&merged[..seen], &merged[seen - 1].id);
        let rest = Events::resume(&program, Transport::H2c, &path, id);
        let rest = rest.await.rest().await;
        assert_eq!(
            text_of(before) + &text_of(&rest),
            text_of(&all),
            "after {id}"
        );
        let stops = |events: &[Seen]| {
            events
                .iter()
                .filter(|it| it.event.ends_with("_stop"))
                .count()
        };
        assert_eq!(stops(before) + stops(&rest), stops(&all), "after {id}");
    }
}

#[tokio::test]
async fn an_upstream_too_slow_for_a_status_says_it_in_the_stream() {
    let (mut upstream, program) = start(&[]).await;
    let (question, asked) = ask(&mut upstream, &program, Transport::Http2).await;
    let mut events = asked.await.unwrap();
    let limit = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
    question.refuse(
        StatusCode::TOO_MANY_REQUESTS,
        &[("retry-after", "7")],
        limit,
    );
    let seen = events.rest().await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].event, "error");
    let message = seen[0].json()["error"]["message"].to_string();
    assert!(
        message.contains("429") && message.contains("slow down"),
        "{message}"
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_anthropics_words() {
    let gone = Upstream::start().await;
    let url = gone.url();
    drop(gone);
    let program = Program::start(&["--upstream", &url]);
    for transport in Transport::ALL {
        for (body, status, kind) in [
            ("{".to_owned(), 400, "invalid_request_error"),
            (message().to_string(), 502, "api_error"),
            (" ".repeat(17 << 20), 413, "request_too_large"),
        ] {
            let request = post("/v1/messages", "application/json", body);
            let answer = Whole::of(&program, transport, request).await;
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(answer.json()["type"], "error");
            assert_eq!(answer.json()["error"]["type"], kind);
        }
    }
}

/// The last event of the run that this stream is of, in our own dialect.
async fn end_of(program: &Program, events: &Events) -> Seen {
    let path = run_of(&events.headers);
    let mut run = Events::open(program, Transport::Http1, &path).await;
    run.rest().await.pop().unwrap()
}

/// What was thought and answered.
fn text_of(events: &[Seen]) -> String {
    let texts = events.iter().filter_map(|event| {
        let delta = &event.json()["delta"];
        let text = delta["text"].as_str().or(delta["thinking"].as_str())?;
        Some(text.to_owned())
    });
    texts.collect()
}

fn named(event: &Seen) -> (&str, &str) {
    (&event.event, &event.data)
}

fn write(pen: &Pen, events: &[(&str, &str)]) {
    for (name, data) in events {
        pen.write(format!("event: {name}\ndata: {data}\n\n"));
    }
}

async fn start(arguments: &[&str]) -> (Upstream, Program) {
    let upstream = Upstream::start().await;
    let url = upstream.url();
    let program = Program::start(&[&["--upstream", &url], arguments].concat());
    (upstream, program)
}

async fn ask(
    upstream: &mut Upstream,
    program: &Program,
    transport: Transport,
) -> (Question, JoinHandle<Events>) {
    let mut client = Client::connect(program, transport).await;
    let asked =
        tokio::spawn(async move { Events::of(client.send(request(&message())).await.unwrap()) });
    (upstream.question().await, asked)
}

async fn answer_of(
    program: &Program,
    transport: Transport,
    request: Request<ClientBody>,
) -> JoinHandle<Whole> {
    let mut client = Client::connect(program, transport).await;
    tokio::spawn(async move { client.exchange(request).await })
}

fn message() -> Value {
    json!({
        "model": "m", "max_tokens": 60, "stream": true, "x_unknown": [1],
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "What is a spring?" }] }],
    })
}

fn request(message: &Value) -> Request<ClientBody> {
    post("/v1/messages", "application/json", message.to_string())
}
