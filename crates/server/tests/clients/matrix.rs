//! Every client, unmodified, through connections that are cut: it gets the whole answer, nothing of it lost and nothing
//! doubled, and the model is asked once.
//!
//! | client | how it comes back |
//! | --- | --- |
//! | Chromium's and npm's `EventSource` | by itself, with `Last-Event-ID`, until 204 |
//! | `@microsoft/fetch-event-source` | by itself: the same POST with `last-event-id` |
//! | `openai`, responses | its user retrieves the rest: `starting_after` |
//! | `@langchain/langgraph-sdk` | by itself, to `Location` with `Last-Event-ID` |
//! | `WorkflowChatTransport` | by itself: `startIndex` |
//! | `useChat`'s transport | the page resumes, and is told it all again |
//! | `openai`, chats; `anthropic` | not at all: its user asks again with the same `Idempotency-Key`, and is told it all again |

use std::ops::Range;

use serde_json::{Value, json};

use crate::packages::{Report, node, python};
use crate::stage::Stage;
use crate::transport::{Transport, Whole, post};
use crate::upstream::Manner;

/// Of every answer.
const TOKENS: usize = 400;
/// How often each connection is cut, unless the client gives up before.
const CUTS: usize = 3;
/// After how many bytes of a stream: less than comes between two cuts.
const AFTER: Range<usize> = 100..1000;

#[tokio::test]
async fn openais_chats_in_python() {
    whole_chat(python::<Report>, "openai_chat.py", "/v1", "stop").await;
}

#[tokio::test]
async fn openais_chats_in_node() {
    whole_chat(node::<Report>, "openai-chat.mjs", "/v1", "stop").await;
}

#[tokio::test]
async fn anthropics_messages_in_python() {
    whole_chat(python::<Report>, "anthropic_messages.py", "", "end_turn").await;
}

#[tokio::test]
async fn openais_responses_in_python() {
    whole_response(python::<Report>, "openai_responses.py").await;
}

#[tokio::test]
async fn openais_responses_in_node() {
    whole_response(node::<Report>, "openai-responses.mjs").await;
}

#[tokio::test]
async fn the_ai_sdks_use_chat() {
    let stage = Stage::start(TOKENS, CUTS, AFTER).await;
    let arguments = json!({ "api": format!("{}/api/chat", stage.proxy.http()), "model": STEADY });
    assert_whole(&node("chat.mjs", arguments).await, &stage);
}

#[tokio::test]
async fn the_ai_sdks_workflow_chat_transport() {
    let stage = Stage::start(TOKENS, CUTS, AFTER).await;
    let arguments = json!({ "api": format!("{}/api/chat", stage.proxy.http()), "model": STEADY });
    assert_whole(&node("workflow-chat.mjs", arguments).await, &stage);
}

#[tokio::test]
async fn langgraphs_sdk() {
    // It counts its tries over the whole run, and doubles its waits.
    let stage = Stage::start(TOKENS, 2, AFTER).await;
    let arguments = json!({ "base": stage.proxy.http(), "model": STEADY });
    assert_whole(&node("langgraph.mjs", arguments).await, &stage);
}

#[tokio::test]
async fn microsofts_fetch_event_source() {
    // Without a key not before the first event: until it has an id, a request that comes again is a new one. And never
    // before a blank line: it takes an event's id for seen at the end of the id's line, one byte before it has the event.
    for (key, after) in [(None, 300..1000), (Some("the-same-question"), 1..1000)] {
        let stage = Stage::within_lines(TOKENS, CUTS, after).await;
        let url = format!("{}/v1/runs", stage.proxy.http());
        let arguments = json!({ "url": url, "body": { "request": chat() }, "key": key });
        let report = node("fetch-event-source.mjs", arguments).await;
        assert_whole(&report, &stage);
        assert_eq!(report.more["done"]["finish_reason"], "stop", "{report:?}");
    }
}

#[tokio::test]
async fn npms_eventsource() {
    let stage = Stage::start(TOKENS, CUTS, AFTER).await;
    let url = format!("{}{}", stage.proxy.http(), begun(&stage).await);
    let report = node("eventsource.mjs", json!({ "url": url })).await;
    assert_whole(&report, &stage);
    assert_eq!(report.more["closed"], 204, "{report:?}");
}

#[tokio::test]
async fn chromiums_eventsource() {
    let stage = Stage::start(TOKENS, CUTS, AFTER).await;
    let path = begun(&stage).await;
    let arguments = json!({ "base": stage.proxy.http(), "path": path });
    assert_whole(&node("chromium.mjs", arguments).await, &stage);
}

/// A client that does not resume: on a connection that holds; and on one that is cut, with a key.
async fn whole_chat(
    client: impl AsyncFn(&'static str, Value) -> Report,
    script: &'static str,
    base: &str,
    reason: &str,
) {
    for (cuts, key) in [(0, None), (CUTS, Some("the-same-question"))] {
        let stage = Stage::start(TOKENS, cuts, AFTER).await;
        let base = format!("{}{base}", stage.proxy.http());
        let arguments = json!({ "base": base, "model": STEADY, "key": key });
        let report = client(script, arguments).await;
        assert_whole(&report, &stage);
        assert_eq!(report.more["reason"], reason, "{report:?}");
        assert_eq!(report.more["tokens"], TOKENS, "{report:?}");
    }
}

async fn whole_response(client: impl AsyncFn(&'static str, Value) -> Report, script: &'static str) {
    // Not before the response's id, which takes 2 KiB; every token takes 200 bytes.
    let stage = Stage::start(TOKENS, CUTS, 2_500..12_000).await;
    let base = format!("{}/v1", stage.proxy.http());
    let report = client(script, json!({ "base": base, "model": STEADY })).await;
    assert_whole(&report, &stage);
    assert_eq!(report.more["status"], "completed", "{report:?}");
    assert_eq!(report.more["whole"], stage.upstream.text(), "{report:?}");
}

const STEADY: &str = Manner::Steady.model();

fn chat() -> Value {
    json!({ "model": STEADY, "messages": [{ "role": "user", "content": "Count." }] })
}

/// Begins a run, as an app's server does; where its events are read.
async fn begun(stage: &Stage) -> String {
    let wish = json!({ "request": chat() }).to_string();
    let wish = post("/v1/runs", "application/json", wish);
    let answer = Whole::of(&stage.program, Transport::Http1, wish).await;
    answer.header("location").to_owned()
}

/// The text is the model's, every cut was made and got over, and the model was asked once.
fn assert_whole(report: &Report, stage: &Stage) {
    assert_eq!(report.errors, [""; 0], "{report:?}");
    assert_eq!(report.text, stage.upstream.text(), "{report:?}");
    assert_eq!(stage.cuts.made(), stage.cuts.planned, "{report:?}");
    assert_eq!(report.resumes, stage.cuts.planned, "{report:?}");
    assert_eq!(stage.upstream.calls().len(), 1, "{report:?}");
}
