//! No client takes a part of an answer for the whole: each of them, unmodified, tells its user that the model's server
//! broke off, where most of them would be content with the end of the stream.

use serde_json::json;

use crate::packages::{Report, node, python};
use crate::program::Program;
use crate::transport::{Transport, Whole, post};
use crate::upstream::{Manner, Speech, Upstream};

const TOKENS: usize = 30;

#[tokio::test]
async fn each_client_tells_of_an_answer_that_broke_off() {
    let upstream = Upstream::start(Speech::of(TOKENS)).await;
    let program = Program::start(&["--upstream", &upstream.url()]);
    let (base, model) = (program.http(), Manner::Cut.model());
    let openai = json!({ "base": format!("{base}/v1"), "model": model });
    let ai_sdk = json!({ "api": format!("{base}/api/chat"), "model": model });
    let wish = json!({ "request": { "model": model, "messages": [{ "role": "user", "content": "Count." }] } });
    let begun = post("/v1/runs", "application/json", wish.to_string());
    let begun = Whole::of(&program, Transport::Http1, begun).await;
    let path = begun.header("location");

    let plain = json!({ "base": base, "model": model });
    for (script, arguments) in [
        ("openai_chat.py", openai.clone()),
        ("openai_responses.py", openai.clone()),
        ("anthropic_messages.py", plain.clone()),
        ("openai-chat.mjs", openai.clone()),
        ("openai-responses.mjs", openai),
        ("chat.mjs", ai_sdk.clone()),
        ("workflow-chat.mjs", ai_sdk),
        ("langgraph.mjs", plain),
        (
            "fetch-event-source.mjs",
            json!({ "url": format!("{base}/v1/runs"), "body": wish }),
        ),
        ("eventsource.mjs", json!({ "url": format!("{base}{path}") })),
        ("chromium.mjs", json!({ "base": base, "path": path })),
    ] {
        let report: Report = if script.ends_with(".py") {
            python(script, arguments).await
        } else {
            node(script, arguments).await
        };
        let half = Upstream::text_of(TOKENS / 2);
        assert_eq!(report.text, half, "{script}: {report:?}");
        let told = report
            .errors
            .iter()
            .any(|error| error.contains("broke off"));
        assert!(told, "{script}: {report:?}");
    }
}
