//! The doors of LangGraph's SDK: threads, and runs that are resumed where a `Location` says.

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode};
use serde_json::{Value, json};

use crate::program::Program;
use crate::stream::{Events, Seen};
use crate::transport::{Client, ClientBody, Transport, Whole, get, header, post};
use crate::upstream::{Pen, Upstream};

const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"word \"}}]}\n\n";
const END: &str =
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

#[tokio::test]
async fn a_thread_remembers_what_was_said_in_it() {
    let (mut upstream, program) = start().await;
    for transport in Transport::ALL {
        let created = post("/threads", "application/json", "{}");
        let thread = Whole::of(&program, transport, created).await.json();
        assert_eq!(thread["status"], "idle", "{transport:?}");
        let thread = thread["thread_id"].as_str().unwrap().to_owned();
        let path = format!("/threads/{thread}/runs/stream");

        let hello = run(&["values"], "Hello");
        let (body, mut events, pen) = ask(&mut upstream, &program, transport, &path, hello).await;
        assert_eq!(
            body,
            json!({
                "model": "agent", "stream": true,
                "messages": [{ "role": "user", "content": "Hello" }],
            })
        );
        let state = |path: &str| get(&format!("/threads/{thread}{path}"));
        let busy = Whole::of(&program, transport, state("")).await.json();
        assert_eq!(busy["status"], "busy", "{transport:?}");
        pen.write(WORD);
        pen.write(END);
        let told = events.rest().await;
        assert_eq!(names(&told), ["metadata", "values", "values", "end"]);
        let values = told[2].json();
        let contents = |values: &Value| -> Vec<Value> {
            let messages = values["messages"].as_array().unwrap().iter();
            messages
                .map(|it| json!([it["type"], it["content"]]))
                .collect()
        };
        assert_eq!(
            contents(&values),
            [json!(["human", "Hello"]), json!(["ai", "word "])]
        );
        let kept = Whole::of(&program, transport, state("/state")).await.json();
        assert_eq!(kept["values"], values, "{transport:?}");

        // What an upstream refuses to answer was not said.
        let mut client = Client::connect(&program, transport).await;
        let refused = post(&path, "application/json", run(&[], "Hm").to_string());
        let refused = tokio::spawn(async move { client.exchange(refused).await });
        let status = StatusCode::TOO_MANY_REQUESTS;
        upstream.question().await.refuse(status, &[], "slow down");
        assert_eq!(refused.await.unwrap().status, status);

        let more = run(&["values"], "And?");
        let (body, mut events, pen) = ask(&mut upstream, &program, transport, &path, more).await;
        let said: Vec<&Value> = body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| &message["content"])
            .collect();
        assert_eq!(said, ["Hello", "word ", "And?"], "{transport:?}");
        pen.write(END);
        events.rest().await;

        // Nobody else's thread of this name has anything in it.
        let mut theirs = state("/state");
        let key = HeaderValue::from_static("Bearer theirs");
        theirs.headers_mut().insert(AUTHORIZATION, key);
        let theirs = Whole::of(&program, transport, theirs).await.json();
        assert_eq!(theirs["checkpoint"], Value::Null, "{transport:?}");
    }
}

#[tokio::test]
async fn a_run_is_resumed_where_its_location_says() {
    let (mut upstream, program) = start().await;
    for (transport, path) in Transport::ALL.into_iter().zip([
        "/threads/one/runs/stream",
        "/runs/stream",
        "/threads/three/runs/stream",
        "/runs/stream",
    ]) {
        let run = run(&["messages-tuple"], "Hello");
        let (_, mut events, pen) = ask(&mut upstream, &program, transport, path, run).await;
        let run = header(&events.headers, "content-location").to_owned();
        let location = header(&events.headers, "location").to_owned();
        assert_eq!(location, format!("{run}/stream"));
        for _ in 0..50 {
            pen.write(WORD);
        }
        let mut seen = events.take(7).await;
        drop(events);
        for part in [20, 1, 12] {
            let id = seen.last().unwrap().id.clone();
            let mut again = Events::resume(&program, transport, &location, &id).await;
            seen.extend(again.take(part).await);
            again.cut().await;
        }
        pen.write(END);
        let id = seen.last().unwrap().id.clone();
        let mut again = Events::resume(&program, transport, &location, &id).await;
        seen.extend(again.rest().await);
        assert_eq!(text(&seen), "word ".repeat(50), "{transport:?}");
        assert_eq!(seen.last().unwrap().event, "end", "{transport:?}");

        // From the start it is told in fewer events, and the end is the same.
        let mut whole = Events::resume(&program, transport, &location, "-1").await;
        let whole = whole.rest().await;
        assert!(whole.len() < 10, "{transport:?}: {whole:?}");
        assert_eq!(text(&whole), text(&seen), "{transport:?}");
        assert_eq!(whole.last(), seen.last(), "{transport:?}");
        let mut over = get(&location);
        let id = HeaderValue::from_str(&seen.last().unwrap().id).unwrap();
        over.headers_mut().insert("last-event-id", id);
        let over = Whole::of(&program, transport, over).await;
        assert_eq!(over.status, StatusCode::NO_CONTENT, "{transport:?}");
    }
}

#[tokio::test]
async fn of_a_thread_one_run_is_open() {
    let (mut upstream, program) = start().await;
    for transport in Transport::ALL {
        let path = format!("/threads/busy-{transport:?}/runs/stream");
        let first = run(&["messages-tuple"], "one");
        let (_, mut events, pen) = ask(&mut upstream, &program, transport, &path, first).await;
        pen.write(WORD);
        events.take(2).await;
        let second = post(&path, "application/json", run(&[], "two").to_string());
        let second = Whole::of(&program, transport, second).await;
        assert_eq!(second.status, StatusCode::CONFLICT, "{second:?}");

        let mut third = run(&["updates"], "three");
        third["multitask_strategy"] = json!("interrupt");
        let (_, mut last, pen) = ask(&mut upstream, &program, transport, &path, third).await;
        assert_interrupted(&events.rest().await);

        let of_run = header(&last.headers, "content-location").to_owned();
        let status = async || {
            let run = Whole::of(&program, transport, get(&of_run)).await.json();
            run["status"].clone()
        };
        assert_eq!(status().await, "running", "{transport:?}");
        pen.write(WORD);
        for _ in 0..2 {
            let cancel = format!("{of_run}/cancel?wait=0&action=interrupt");
            let cancel = post(&cancel, "application/json", "");
            let answer = Whole::of(&program, transport, cancel).await;
            assert_eq!(answer.status, StatusCode::NO_CONTENT);
        }
        assert_interrupted(&last.rest().await);
        assert_eq!(status().await, "interrupted", "{transport:?}");
    }
}

#[tokio::test]
async fn a_failure_is_a_status_before_the_stream_and_an_event_within() {
    let (mut upstream, program) = start().await;
    for transport in Transport::ALL {
        let mut client = Client::connect(&program, transport).await;
        let request = post(
            "/runs/stream",
            "application/json",
            run(&[], "Hi").to_string(),
        );
        let answer = tokio::spawn(async move { client.exchange(request).await });
        let status = StatusCode::SERVICE_UNAVAILABLE;
        upstream.question().await.refuse(status, &[], "overloaded");
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.text()), (status, "overloaded"));

        let run = run(&["values"], "Hi");
        let asked = ask(&mut upstream, &program, transport, "/runs/stream", run);
        let (_, mut events, pen) = asked.await;
        pen.write(WORD);
        pen.break_off();
        let told = events.rest().await;
        assert_eq!(names(&told), ["metadata", "values", "error"]);
        let error = told[2].json();
        assert_eq!(error["error"], "UpstreamError", "{transport:?}");
        assert!(error["message"].to_string().contains("upstream"));
    }
    for (path, body, status) in [
        ("/runs/stream", "{}", StatusCode::UNPROCESSABLE_ENTITY),
        (
            "/threads/t/runs/stream",
            r#"{"assistant_id":"a","input":null}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "/threads/a%2Fb/runs/stream",
            r#"{"assistant_id":"a","input":{"messages":"Hi"}}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        ("/threads/t/runs/none/cancel", "", StatusCode::NOT_FOUND),
    ] {
        let request = post(path, "application/json", body);
        let answer = Whole::of(&program, Transport::Http2, request).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.json()["detail"].is_string(), "{path}");
    }
    assert!(upstream.is_quiet());
}

fn assert_interrupted(told: &[Seen]) {
    let last = told.last().unwrap();
    assert_eq!(last.event, "error", "{told:?}");
    assert_eq!(last.json()["error"], "UserInterrupt", "{told:?}");
}

/// Nothing is joined: what is counted are tokens.
async fn start() -> (Upstream, Program) {
    let upstream = Upstream::start().await;
    let program = Program::start(&["--upstream", &upstream.url(), "--coalesce", "0"]);
    (upstream, program)
}

fn run(modes: &[&str], text: &str) -> Value {
    json!({
        "assistant_id": "agent", "stream_mode": modes,
        "input": { "messages": [{ "type": "human", "content": text }] },
    })
}

/// Begins a run; what the upstream is asked, what is told, and with what.
async fn ask(
    upstream: &mut Upstream,
    program: &Program,
    transport: Transport,
    path: &str,
    run: Value,
) -> (Value, Events, Pen) {
    let mut client = Client::connect(program, transport).await;
    let request: Request<ClientBody> = post(path, "application/json", run.to_string());
    let asked = tokio::spawn(async move { Events::of(client.send(request).await.unwrap()) });
    let question = upstream.question().await;
    let body = serde_json::from_slice(&question.body).unwrap();
    let pen = question.stream();
    (body, asked.await.unwrap(), pen)
}

fn names(told: &[Seen]) -> Vec<&str> {
    told.iter().map(|event| event.event.as_str()).collect()
}

fn text(told: &[Seen]) -> String {
    let pieces = told.iter().filter(|event| event.event == "messages");
    pieces
        .map(|event| event.json()[0]["content"].as_str().unwrap().to_owned())
        .collect()
}
