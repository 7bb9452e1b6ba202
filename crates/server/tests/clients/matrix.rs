//! Every client, unmodified, through connections that are cut: it gets the whole answer, and the model is asked once.

use http::StatusCode;
use serde_json::json;

use crate::packages::{Report, node, python};
use crate::stage::Stage;
use crate::transport::{Client, Transport, post};
use crate::upstream::Manner;

/// Of every answer.
const TOKENS: usize = 400;

#[tokio::test]
async fn openais_chats() {
    let stage = Stage::uncut(TOKENS).await;
    let base = format!("{}/v1", stage.proxy.http());
    let arguments = json!({ "base": base, "model": Manner::Steady.model() });
    let (of_python, of_node) = tokio::join!(
        python("openai_chat.py", arguments.clone()),
        node("openai-chat.mjs", arguments),
    );
    for report in [of_python, of_node] {
        assert_whole(&report, &stage);
        assert_eq!(report.more["reason"], "stop", "{report:?}");
        assert_eq!(report.more["tokens"], TOKENS, "{report:?}");
    }
    assert_eq!(stage.upstream.calls().len(), 2);
}

#[tokio::test]
async fn npms_eventsource() {
    let stage = Stage::start(TOKENS, 3, 100..1000).await;
    let url = format!("{}{}", stage.proxy.http(), begun(&stage).await);
    let report: Report = node("eventsource.mjs", json!({ "url": url })).await;
    assert_whole(&report, &stage);
    assert_eq!(report.more["closed"], 204, "{report:?}");
    assert_eq!(stage.upstream.calls().len(), 1);
}

#[tokio::test]
async fn chromiums_eventsource() {
    let stage = Stage::start(TOKENS, 3, 100..1000).await;
    let path = begun(&stage).await;
    let arguments = json!({ "base": stage.proxy.http(), "path": path });
    assert_whole(&node("chromium.mjs", arguments).await, &stage);
    assert_eq!(stage.upstream.calls().len(), 1);
}

/// Begins a run, as an app's server does; where its events are read.
async fn begun(stage: &Stage) -> String {
    let chat = json!({
        "model": Manner::Steady.model(), "stream": true,
        "messages": [{ "role": "user", "content": "Count." }],
    });
    let mut client = Client::connect(&stage.program, Transport::Http1).await;
    let chat = post("/v1/chat/completions", "application/json", chat.to_string());
    let answer = client.send(chat).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let id = answer.headers()["x-run-id"].to_str().unwrap();
    format!("/v1/runs/{id}/events")
}

/// The text is the model's, and every cut was made and got over.
fn assert_whole(report: &Report, stage: &Stage) {
    assert_eq!(report.errors, [""; 0], "{report:?}");
    assert_eq!(report.text, stage.upstream.text(), "{report:?}");
    assert_eq!(stage.cuts.made(), stage.cuts.planned, "{report:?}");
    assert_eq!(report.resumes, stage.cuts.planned, "{report:?}");
}
