//! OpenAI's responses: of an upstream, and of the demo; found again, resumed, cancelled.

use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::program::Program;
use crate::stream::{Events, Seen, data};
use crate::transport::{Client, ClientBody, Transport, Whole, get, header, post, run_of};
use crate::upstream::{Pen, Question, Upstream};

/// Data as upstreams write them: with fields that nobody knows and numbers that a parser would spell anew.
const EVENTS: [&str; 5] = [
    r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_up","object":"response","status":"in_progress","output":[],"x_new":1.00}}"#,
    r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","content":[]}}"#,
    r#"{"type":"response.output_text.delta", "sequence_number" : 2,"output_index":0,"delta":"Gr\u00fc","obfuscation":"aa"}"#,
    r#"{"type":"response.output_text.delta","sequence_number":3,"output_index":0,"delta":"ße 🌊"}"#,
    r#"{"type":"response.completed","sequence_number":4,"response":{"id":"resp_up","object":"response","status":"completed","output":[{"id":"msg_1"}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3},"x_new":1.00}}"#,
];
/// The object in the last of them.
const FINAL: &str = r#"{"id":"resp_up","object":"response","status":"completed","output":[{"id":"msg_1"}],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3},"x_new":1.00}"#;

#[tokio::test]
async fn a_response_is_relayed_byte_for_byte_and_found_again_by_its_name() {
    let (mut upstream, program) = start().await;
    for transport in Transport::ALL {
        let (question, asked) = ask(&mut upstream, &program, transport, "").await;
        assert_eq!(question.head.uri.path(), "/v1/responses");
        assert_eq!(question.body, wish().to_string(), "as it was written");
        let pen = question.stream();
        write(&pen, &EVENTS[..3]);
        let mut events = asked.await.unwrap();
        assert_eq!(data(&events.take(3).await), EVENTS[..3]);
        assert!(!events.text().contains("id:"), "{transport:?}");

        // The client is cut, comes back for the rest, and somebody else looks from the beginning.
        drop(events);
        let path = "/v1/responses/resp_up";
        let state = Whole::of(&program, transport, get(path)).await;
        assert_eq!(state.json()["status"], "in_progress");
        let resumed = format!("{path}?stream=true&starting_after=1");
        let mut resumed = Events::open(&program, transport, &resumed).await;
        let whole = format!("{path}?stream=true");
        let mut whole = Events::open(&program, transport, &whole).await;
        assert_eq!(data(&resumed.take(1).await), EVENTS[2..3]);
        for data in &EVENTS[3..] {
            pen.write(format!(": not for clients\r\n\r\ndata:{data}\r\n\r\n"));
        }
        let rest = resumed.rest().await;
        assert_eq!(data(&rest), [EVENTS[3], EVENTS[4], "[DONE]"]);
        let whole = whole.rest().await;
        assert_eq!(data(&whole[..5]), EVENTS);
        let state = Whole::of(&program, transport, get(path)).await;
        assert_eq!(state.text(), FINAL, "byte for byte");
        let last = format!("{path}?stream=true&starting_after=4");
        let mut last = Events::open(&program, transport, &last).await;
        assert_eq!(data(&last.rest().await), ["[DONE]"]);

        let done = end_of(&program, &resumed).await.json();
        assert_eq!(done["finish_reason"], "stop");
        assert_eq!(
            done["usage"]["prompt_tokens"], 1,
            "in a run's words: {done}"
        );
    }
}

#[tokio::test]
async fn the_same_key_joins_and_costs_nothing() {
    let (mut upstream, program) = start().await;
    for transport in Transport::ALL {
        let key = format!("key-{transport:?}");
        let (question, asked) = ask(&mut upstream, &program, transport, &key).await;
        let pen = question.stream();
        write(&pen, &EVENTS[..2]);
        let mut first = asked.await.unwrap();
        first.take(2).await;
        drop(first);
        let mut client = Client::connect(&program, transport).await;
        let mut again = Events::of(client.send(request(&wish(), &key)).await.unwrap());
        assert_eq!(data(&again.take(2).await), EVENTS[..2]);
        write(&pen, &EVENTS[2..]);
        assert_eq!(again.rest().await.len(), 4);
        assert!(
            upstream.is_quiet(),
            "one question, however often it was sent"
        );
        let mut other = wish();
        other["input"] = json!("something else");
        let refused = client.exchange(request(&other, &key)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.json()["error"]["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_never_looks_whole() {
    let (mut upstream, program) = start().await;
    let failed = r#"{"type":"response.failed","sequence_number":3,"response":{"id":"resp_up","status":"failed","error":{"code":"x","message":"no room"}}}"#;
    let error =
        r#"{"type":"error","sequence_number":3,"code":"x","message":"no room","param":null}"#;
    let long = "x".repeat(10 << 20);
    for transport in Transport::ALL {
        for (rest, breaks, name, told) in [
            ("", true, "response.failed", "upstream"),
            ("", false, "response.failed", "ended before"),
            ("<html>", false, "response.failed", "not JSON"),
            (&long, false, "response.failed", "cannot be read"),
            (failed, false, "response.failed", "no room"),
            (error, false, "error", "no room"),
        ] {
            let (question, asked) = ask(&mut upstream, &program, transport, "").await;
            let pen = question.stream();
            write(&pen, &EVENTS[..3]);
            let mut events = asked.await.unwrap();
            let mut seen = events.take(3).await;
            if !rest.is_empty() {
                write(&pen, &[rest]);
            }
            if breaks {
                pen.break_off();
            } else {
                drop(pen);
            }
            seen.extend(events.rest().await);
            assert_eq!(seen.len(), 5, "{seen:?}");
            assert_numbered(&seen);
            assert_eq!(seen[3].event, name, "{seen:?}");
            assert!(seen[3].data.contains(told), "{seen:?}");
            if rest == failed || rest == error {
                assert_eq!(seen[3].data, rest, "in the upstream's own words");
            }
            let state = Whole::of(&program, transport, get("/v1/responses/resp_up")).await;
            assert_eq!(state.json()["status"], "failed", "{state:?}");
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
async fn an_upstream_too_slow_for_a_status_says_it_in_the_stream() {
    let (mut upstream, program) = start().await;
    let (question, asked) = ask(&mut upstream, &program, Transport::Http2, "").await;
    let mut events = asked.await.unwrap();
    let status = StatusCode::TOO_MANY_REQUESTS;
    question.refuse(status, &[("retry-after", "7")], "slow down");
    let seen = events.rest().await;
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_numbered(&seen);
    assert_eq!(seen[0].event, "response.failed");
    let message = seen[0].json()["response"]["error"]["message"].to_string();
    assert!(
        message.contains("429") && message.contains("slow down"),
        "{message}"
    );
}

#[tokio::test]
async fn a_cancel_lets_go_of_the_upstream_and_may_be_repeated() {
    let (mut upstream, program) = start().await;
    for transport in Transport::ALL {
        let (question, asked) = ask(&mut upstream, &program, transport, "").await;
        let pen = question.stream();
        write(&pen, &EVENTS[..3]);
        let mut events = asked.await.unwrap();
        events.take(3).await;
        for _ in 0..2 {
            let cancel = post("/v1/responses/resp_up/cancel", "application/json", "");
            let answer = Whole::of(&program, transport, cancel).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.json()["id"], "resp_up");
            assert_eq!(answer.json()["status"], "cancelled");
        }
        pen.left().await;
        let rest = events.rest().await;
        assert_eq!(rest[0].event, "response.failed", "{rest:?}");
        assert_eq!(rest[0].json()["sequence_number"], 3);
        assert_eq!(rest[0].json()["response"]["status"], "cancelled");
        assert_eq!(rest[1].data, "[DONE]");
        assert!(upstream.is_quiet(), "a stream that is closed says enough");
    }
}

#[tokio::test]
async fn in_the_background_the_upstream_is_told_to_cancel() {
    let (mut upstream, program) = start().await;
    let (question, asked) = ask(&mut upstream, &program, Transport::Http2, "").await;
    let pen = question.stream();
    write(
        &pen,
        &[
            r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_bg","background":true}}"#,
        ],
    );
    asked.await.unwrap().next().await;
    let cancel = || post("/v1/responses/resp_bg/cancel", "application/json", "");
    let answer = Whole::of(&program, Transport::Http2, cancel()).await;
    assert_eq!(answer.json()["status"], "cancelled");
    let question = upstream.question().await;
    assert_eq!(question.head.uri.path(), "/v1/responses/resp_bg/cancel");
    question.refuse(StatusCode::OK, &[], "{}");
    Whole::of(&program, Transport::Http2, cancel()).await;
    assert!(upstream.is_quiet(), "once is enough");
}

#[tokio::test]
async fn what_only_the_upstream_knows_is_asked_of_it() {
    let (mut upstream, program) = start().await;
    let mut whole = wish();
    whole["stream"] = json!(false);
    for (request, method, path) in [
        (request(&whole, ""), "POST", "/v1/responses"),
        (
            get("/v1/responses/resp_other"),
            "GET",
            "/v1/responses/resp_other",
        ),
        (
            post("/v1/responses/resp_other/cancel", "application/json", ""),
            "POST",
            "/v1/responses/resp_other/cancel",
        ),
    ] {
        let answer = answer_of(&program, Transport::Http2, request).await;
        let question = upstream.question().await;
        assert_eq!(question.head.method, method);
        assert_eq!(question.head.uri.path(), path);
        question.refuse(
            StatusCode::OK,
            &[("content-type", "application/json")],
            FINAL,
        );
        assert_eq!(answer.await.unwrap().text(), FINAL);
    }
    // A path of the upstream's cannot be made up.
    let strange = get("/v1/responses/resp_%2e%2e%2fmodels");
    let answer = Whole::of(&program, Transport::Http2, strange).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(upstream.is_quiet());
}

#[tokio::test]
async fn the_demos_response_is_spelled_in_full() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let mut client = Client::connect(&program, transport).await;
        let mut events = Events::of(client.send(request(&wish(), "")).await.unwrap());
        let seen = events.rest().await;
        assert_numbered(&seen);
        let names: Vec<&str> = seen.iter().map(|event| event.event.as_str()).collect();
        let begin = [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
        ];
        assert_eq!(names[..5], begin, "it thinks first: {transport:?}");
        let answer = names
            .iter()
            .position(|name| *name == "response.content_part.added");
        let begin = ["response.output_item.added", "response.content_part.added"];
        assert_eq!(names[answer.unwrap() - 1..=answer.unwrap()], begin);
        let end = names.len() - 5;
        assert_eq!(
            names[end..end + 3],
            [
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
            ]
        );
        let last = seen[end + 3].json();
        assert!(
            ["response.completed", "response.incomplete"].contains(&names[end + 3]),
            "{last}"
        );
        let deltas = seen
            .iter()
            .filter(|event| event.event == "response.output_text.delta");
        let texts = deltas.map(|event| event.json()["delta"].as_str().unwrap().to_owned());
        let text: String = texts.collect();
        assert_eq!(last["response"]["output"][1]["content"][0]["text"], text);

        let id = last["response"]["id"].as_str().unwrap();
        assert_eq!(id, format!("resp_{}", header(&events.headers, "x-run-id")));
        let state = Whole::of(&program, transport, get(&format!("/v1/responses/{id}"))).await;
        assert_eq!(state.json(), last["response"]);
        let cancel = post(
            &format!("/v1/responses/{id}/cancel"),
            "application/json",
            "",
        );
        let state = Whole::of(&program, transport, cancel).await;
        assert_eq!(state.json(), last["response"], "it was over already");
    }
    let unknown = Whole::of(&program, Transport::Http1, get("/v1/responses/resp_none")).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.json()["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn the_demo_works_in_the_background_and_at_once() {
    let program = Program::start(&[]);
    let mut asked = wish();
    asked["stream"] = json!(false);
    let whole = Whole::of(&program, Transport::Http2, request(&asked, ""))
        .await
        .json();
    assert!(
        whole["usage"]["output_tokens"].as_u64().unwrap() > 20,
        "{whole}"
    );
    asked["background"] = json!(true);
    asked["max_output_tokens"] = json!(2000);
    let begun = Whole::of(&program, Transport::Http2, request(&asked, ""))
        .await
        .json();
    assert_eq!(begun["status"], "in_progress");
    let path = format!("/v1/responses/{}", begun["id"].as_str().unwrap());
    let mut events = Events::open(&program, Transport::Http2, &format!("{path}?stream=true")).await;
    events.take(6).await;
    let cancel = post(&format!("{path}/cancel"), "application/json", "");
    let cancelled = Whole::of(&program, Transport::Http2, cancel).await.json();
    assert_eq!(cancelled["status"], "cancelled");
    let rest = events.rest().await;
    assert_eq!(rest[rest.len() - 2].json()["response"], cancelled);
}

/// The last event of the run that this stream is of, in our own dialect.
async fn end_of(program: &Program, events: &Events) -> Seen {
    let path = run_of(&events.headers);
    let mut run = Events::open(program, Transport::Http1, &path).await;
    run.rest().await.pop().unwrap()
}

/// Each event but `[DONE]`, which comes last, has the next number.
fn assert_numbered(seen: &[Seen]) {
    let (done, events) = seen.split_last().unwrap();
    assert_eq!(done.data, "[DONE]");
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event.json()["sequence_number"], number, "{event:?}");
        assert_eq!(event.json()["type"], event.event);
    }
}

fn write(pen: &Pen, events: &[&str]) {
    for data in events {
        let event: Value = serde_json::from_str(data).unwrap_or_default();
        let name = event["type"].as_str().unwrap_or("nonsense");
        pen.write(format!("event: {name}\ndata: {data}\n\n"));
    }
}

async fn start() -> (Upstream, Program) {
    let upstream = Upstream::start().await;
    let program = Program::start(&["--upstream", &upstream.url()]);
    (upstream, program)
}

async fn ask(
    upstream: &mut Upstream,
    program: &Program,
    transport: Transport,
    key: &str,
) -> (Question, JoinHandle<Events>) {
    let mut client = Client::connect(program, transport).await;
    let request = request(&wish(), key);
    let asked = tokio::spawn(async move { Events::of(client.send(request).await.unwrap()) });
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

fn wish() -> Value {
    json!({
        "model": "m", "stream": true, "max_output_tokens": 60, "x_unknown": [1],
        "input": "What is a spring?",
    })
}

/// A request for a response, with this `Idempotency-Key` if it is one.
fn request(wish: &Value, key: &str) -> Request<ClientBody> {
    let mut request = post("/v1/responses", "application/json", wish.to_string());
    if !key.is_empty() {
        request
            .headers_mut()
            .insert("idempotency-key", key.parse().unwrap());
    }
    request
}
