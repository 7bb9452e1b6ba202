//! Who wants no more of an answer stops the model's server, within a second; who merely leaves does so where that was
//! wanted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::dialect::{Dialect, End};
use crate::program::{Program, until};
use crate::stage::run;
use crate::stream::Events;
use crate::transport::{Client, ClientBody, Transport, Whole, bare, header, post};
use crate::upstream::{Call, Manner, Speech, Upstream};

const TOKENS: usize = 30;

#[tokio::test]
async fn a_run_is_cancelled_before_its_first_byte() {
    let (upstream, program) = start(&[]).await;
    let model = Manner::SlowFirstByte.model();
    for (id, end) in [
        (
            "cancelled-before-it-speaks",
            Request::post("/v1/runs/cancelled-before-it-speaks/cancel"),
        ),
        (
            "deleted-before-it-speaks",
            Request::delete("/v1/runs/deleted-before-it-speaks"),
        ),
    ] {
        let mut client = Client::connect(&program, Transport::Http1).await;
        let asked = begin(model, json!({ "id": id }));
        let asked = tokio::spawn(async move { client.exchange(asked).await });
        let call = open_call(&upstream, model).await;
        let ended = Instant::now();
        let answer = Whole::of(&program, Transport::Http1, bare(end)).await;
        assert!(answer.status.is_success(), "{answer:?}");
        assert_closed(&call, ended).await;
        let begun = asked.await.unwrap();
        assert_eq!(begun.status, StatusCode::CREATED, "{begun:?}");
        assert_eq!(begun.json()["state"], "cancelled", "{begun:?}");
    }
}

#[tokio::test]
async fn a_chat_is_stopped_before_its_first_byte() {
    let (upstream, program) = start(&[]).await;
    let model = Manner::SlowFirstByte.model();
    let mut client = Client::connect(&program, Transport::Http1).await;
    let asked = Dialect::AiSdk.question(model);
    let asked =
        tokio::spawn(async move { Events::of(client.send(asked).await.unwrap()).rest().await });
    let call = upstream.call_of(model).await;
    let ended = Instant::now();
    let stop = bare(Request::post(format!("/api/chat/chat-about-{model}/stop")));
    let answer = Whole::of(&program, Transport::Http1, stop).await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert_closed(&call, ended).await;
    let told = Dialect::AiSdk.end(&asked.await.unwrap());
    assert_eq!(told, End::Cancelled);
}

#[tokio::test]
async fn to_cancel_again_changes_nothing() {
    let (upstream, program) = start(&[]).await;
    let begun = Whole::of(&program, Transport::Http1, begin("endless", json!({}))).await;
    assert_eq!(begun.status, StatusCode::CREATED, "{begun:?}");
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    upstream.call_of("endless").await;
    for _ in 0..2 {
        let cancel = bare(Request::post(format!("/v1/runs/{id}/cancel")));
        let answer = Whole::of(&program, Transport::Http1, cancel).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.json()["state"], "cancelled", "{answer:?}");
    }
}

/// In every dialect, where the program was told that leaving is cancelling.
#[tokio::test]
async fn whoever_leaves_last_cancels_where_that_is_wanted() {
    let (upstream, program) = start(&["--on-disconnect", "cancel"]).await;
    let model = Manner::Endless.model();
    for dialect in Dialect::ALL {
        let (first, events) = ask(&program, dialect.question(model)).await;
        let call = open_call(&upstream, model).await;
        let id = header(&events.headers, "x-run-id").to_owned();
        let path = format!("/v1/runs/{id}/events");
        let mut second = Events::open(&program, Transport::Http1, &path).await;
        second.next().await;
        first.cut().await;
        second.take(3).await;
        assert!(call.is_open(), "{dialect:?}: somebody reads on");
        let left = Instant::now();
        second.cut().await;
        assert_closed(&call, left).await;
        assert_eq!(
            run(&program, &id).await["state"],
            "cancelled",
            "{dialect:?}"
        );
    }
}

#[tokio::test]
async fn whoever_leaves_before_the_first_byte_cancels_too() {
    let (upstream, program) = start(&[]).await;
    let model = Manner::SlowFirstByte.model();
    let mut client = Client::connect(&program, Transport::Http1).await;
    let asked = with_stream(begin(model, json!({ "on_disconnect": "cancel" })));
    let asked = tokio::spawn(async move { drop(client.send(asked).await) });
    let call = upstream.call_of(model).await;
    let left = Instant::now();
    asked.abort();
    assert_closed(&call, left).await;
}

#[tokio::test]
async fn whoever_leaves_may_come_back_within_the_time_that_was_given() {
    let (upstream, program) = start(&[]).await;
    let model = Manner::Endless.model();
    let wish = json!({ "on_disconnect": { "cancel_after": 1 } });
    let (reader, events) = ask(&program, with_stream(begin(model, wish))).await;
    let id = header(&events.headers, "x-run-id").to_owned();
    let call = upstream.call_of(model).await;
    reader.cut().await;
    let path = format!("/v1/runs/{id}/events");
    let mut events = Events::open(&program, Transport::Http1, &path).await;
    // Long after the second that it was given.
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(1500) {
        events.next().await;
    }
    assert!(call.is_open(), "somebody reads it");
    let left = Instant::now();
    events.cut().await;
    let closed = call.left().await - left;
    assert!((1.0..2.5).contains(&closed.as_secs_f64()), "{closed:?}");
    let run = run(&program, &id).await;
    assert_eq!(run["state"], "cancelled", "{run}");
    assert!(
        run["unread_tokens"].as_u64().unwrap() > 50,
        "a second's worth: {run}"
    );
}

#[tokio::test]
async fn whoever_leaves_otherwise_just_leaves() {
    let (upstream, program) = start(&[]).await;
    let model = Manner::Endless.model();
    for dialect in Dialect::ALL {
        let (reader, events) = ask(&program, dialect.question(model)).await;
        let id = header(&events.headers, "x-run-id").to_owned();
        let call = open_call(&upstream, model).await;
        reader.cut().await;
        let path = format!("/v1/runs/{id}/events?after=now");
        let mut events = Events::open(&program, Transport::Http1, &path).await;
        events.take(5).await;
        assert!(call.is_open(), "{dialect:?}");
        let cancel = bare(Request::post(format!("/v1/runs/{id}/cancel")));
        Whole::of(&program, Transport::Http1, cancel).await;
        call.left().await;
    }
}

async fn start(arguments: &[&str]) -> (Upstream, Program) {
    let upstream = Upstream::start(Speech::of(TOKENS)).await;
    let url = upstream.url();
    let program = Program::start(&[&["--upstream", &url], arguments].concat());
    (upstream, program)
}

/// A wish for a run of this model.
fn begin(model: &str, mut wish: Value) -> Request<ClientBody> {
    wish["request"] =
        json!({ "model": model, "messages": [{ "role": "user", "content": "Count." }] });
    post("/v1/runs", "application/json", wish.to_string())
}

/// The same, for its stream at once.
fn with_stream(mut request: Request<ClientBody>) -> Request<ClientBody> {
    let accept = "text/event-stream".parse().unwrap();
    request.headers_mut().insert("accept", accept);
    request
}

/// Asks, and waits for the first event.
async fn ask(program: &Program, question: Request<ClientBody>) -> (Client, Events) {
    let mut client = Client::connect(program, Transport::Http1).await;
    let mut events = Events::of(client.send(question).await.unwrap());
    events.next().await;
    (client, events)
}

/// The call of this model that is still open.
async fn open_call(upstream: &Upstream, model: &str) -> Arc<Call> {
    until("an open call", || {
        upstream
            .calls_of(model)
            .into_iter()
            .find(|call| call.is_open())
    })
    .await
}

async fn assert_closed(call: &Call, since: Instant) {
    let closed = call.left().await - since;
    assert!(closed < Duration::from_secs(1), "{closed:?}");
}
