//! The doors of the AI SDK: a page's chat, read again from a second tab, taken up by number, stopped.

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode};
use serde_json::{Value, json};

use crate::program::Program;
use crate::stream::{Events, Seen};
use crate::transport::{Client, ClientBody, Transport, Whole, get, header, post};
use crate::upstream::{Pen, Upstream};

const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"word \"}}]}\n\n";
const THOUGHT: &str = "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm \"}}]}\n\n";
const END: &str =
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n";

#[tokio::test]
async fn a_chat_is_asked_for_as_a_completion_and_told_in_chunks() {
    let (mut upstream, program) = start().await;
    for transport in Transport::ALL {
        let (mut chunks, pen) = ask(&mut upstream, &program, transport, "told").await;
        for text in [THOUGHT, WORD, WORD, END] {
            pen.write(text);
        }
        let run = header(&chunks.headers, "x-workflow-run-id").to_owned();
        assert_eq!(
            header(&chunks.headers, "x-vercel-ai-ui-message-stream"),
            "v1"
        );
        let told = chunks.rest().await;
        let (done, told) = told.split_last().unwrap();
        assert_eq!(done.data, "[DONE]", "{transport:?}");
        assert_eq!(
            told.iter().map(Seen::json).collect::<Vec<_>>(),
            [
                json!({ "type": "start", "messageId": run }),
                json!({ "type": "start-step" }),
                json!({ "type": "reasoning-start", "id": "1" }),
                json!({ "type": "reasoning-delta", "id": "1", "delta": "hm " }),
                json!({ "type": "reasoning-end", "id": "1" }),
                json!({ "type": "text-start", "id": "2" }),
                json!({ "type": "text-delta", "id": "2", "delta": "word " }),
                json!({ "type": "text-delta", "id": "2", "delta": "word " }),
                json!({ "type": "text-end", "id": "2" }),
                json!({ "type": "finish-step" }),
                json!({ "type": "finish", "finishReason": "length" }),
            ],
            "{transport:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_to_a_tools_result_is_more_of_the_same_message() {
    let (mut upstream, program) = start().await;
    let mut client = Client::connect(&program, Transport::Http2).await;
    let chat = json!({ "id": "tools", "messages": [
        { "id": "u1", "role": "user", "parts": [{ "type": "text", "text": "Where?" }] },
        { "id": "a1", "role": "assistant", "parts": [{
            "type": "tool-look", "toolCallId": "c1", "state": "output-available",
            "input": {}, "output": "Rome",
        }] },
    ] });
    let chat = post("/api/chat", "application/json", chat.to_string());
    let asked = tokio::spawn(async move { Events::of(client.send(chat).await.unwrap()) });
    let question = upstream.question().await;
    let body: Value = serde_json::from_slice(&question.body).unwrap();
    let last = json!({ "role": "tool", "tool_call_id": "c1", "content": "Rome" });
    assert_eq!(body["messages"][2], last);
    question.stream().write(END);
    let start = asked.await.unwrap().next().await.json();
    assert_eq!(start, json!({ "type": "start", "messageId": "a1" }));
}

#[tokio::test]
async fn a_second_tab_gets_all_of_it_in_few_chunks_and_nothing_after_the_end() {
    let (mut upstream, program) = start().await;
    for transport in Transport::ALL {
        let chat = format!("tabs-{transport:?}");
        let path = format!("/api/chat/{chat}/stream");
        let (mut first, pen) = ask(&mut upstream, &program, transport, &chat).await;
        for _ in 0..100 {
            pen.write(WORD);
        }
        let mut seen = first.take(103).await;
        let mut second = Events::open(&program, transport, &path).await;
        let replayed = second.take(4).await;
        assert_eq!(text(&replayed), "word ".repeat(100), "{transport:?}");
        pen.write(WORD);
        pen.write(END);
        seen.extend(first.rest().await);
        let rest = second.rest().await;
        assert_eq!(rest, seen[103..], "the numbers are the same: {transport:?}");
        let after = Whole::of(&program, transport, get(&path)).await;
        assert_eq!(after.status, StatusCode::NO_CONTENT, "{transport:?}");
    }
}

#[tokio::test]
async fn chunks_are_counted_as_workflow_chat_transport_counts_them() {
    let (mut upstream, program) = start().await;
    let (mut chunks, pen) = ask(&mut upstream, &program, Transport::Http1, "counted").await;
    let run = header(&chunks.headers, "x-workflow-run-id").to_owned();
    let from = |start: &str| format!("/api/chat/{run}/stream?startIndex={start}");
    for _ in 0..50 {
        pen.write(WORD);
    }
    // While the run is open, and when it is over.
    let mut seen = chunks.take(53).await;
    let mut tail = Events::open(&program, Transport::Http1, &from("-3")).await;
    assert_eq!(header(&tail.headers, "x-workflow-stream-tail-index"), "52");
    assert_eq!(tail.take(3).await, seen[50..]);
    pen.write(END);
    seen.extend(chunks.rest().await);
    assert_eq!(seen.len(), 53 + 3 + 1);
    for (start, first) in [("0", 0), ("40", 40), ("55", 55), ("-2", 54), ("-99", 0)] {
        let mut again = Events::open(&program, Transport::Http2, &from(start)).await;
        let tail = header(&again.headers, "x-workflow-stream-tail-index").to_owned();
        assert_eq!(tail, "55", "[DONE] is no chunk");
        assert_eq!(again.rest().await, seen[first..], "{start}");
    }
    for (path, status) in [
        (from("57"), StatusCode::NO_CONTENT),
        (from("x"), StatusCode::BAD_REQUEST),
        (
            "/api/chat/none/stream?startIndex=0".to_owned(),
            StatusCode::NOT_FOUND,
        ),
    ] {
        let answer = Whole::of(&program, Transport::Http1, get(&path)).await;
        assert_eq!(answer.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_chat_is_stopped_by_its_owner_and_told_so() {
    let (mut upstream, program) = start().await;
    for transport in Transport::ALL {
        let (mut chunks, pen) = ask(&mut upstream, &program, transport, "stopped").await;
        pen.write(WORD);
        chunks.take(4).await;
        let run = header(&chunks.headers, "x-workflow-run-id").to_owned();
        let mut stop = post("/api/chat/stopped/stop", "application/json", "");
        let theirs = HeaderValue::from_static("Bearer theirs");
        stop.headers_mut().insert(AUTHORIZATION, theirs);
        let late = json!({ "activeStreamId": "an earlier one" }).to_string();
        let late = post("/api/chat/stopped/stop", "application/json", late);
        for ignored in [stop, late] {
            let answer = Whole::of(&program, transport, ignored).await;
            assert_eq!(answer.json(), json!({ "success": true }), "{transport:?}");
        }
        pen.write(WORD);
        assert_eq!(text(&chunks.take(1).await), "word ", "it goes on");
        let ours = json!({ "activeStreamId": run }).to_string();
        let ours = post("/api/chat/stopped/stop", "application/json", ours);
        Whole::of(&program, transport, ours).await;
        let types: Vec<Value> = chunks.rest().await[..4]
            .iter()
            .map(|chunk| chunk.json()["type"].clone())
            .collect();
        assert_eq!(types, ["text-end", "abort", "finish-step", "finish"]);
    }
}

#[tokio::test]
async fn a_failure_is_a_status_before_the_stream_and_a_chunk_within() {
    let (mut upstream, program) = start().await;
    for transport in Transport::ALL {
        let mut client = Client::connect(&program, transport).await;
        let answer = tokio::spawn(async move { client.exchange(chat("failed")).await });
        let status = StatusCode::TOO_MANY_REQUESTS;
        let question = upstream.question().await;
        question.refuse(status, &[("retry-after", "7")], "slow down");
        let answer = answer.await.unwrap();
        assert_eq!((answer.status, answer.text()), (status, "slow down"));
        assert_eq!(answer.header("retry-after"), "7", "{transport:?}");

        let (mut chunks, pen) = ask(&mut upstream, &program, transport, "failed").await;
        pen.write(WORD);
        pen.break_off();
        let seen = chunks.rest().await;
        let [.., error, _, finish, done] = &seen[..] else {
            panic!("{seen:?}")
        };
        assert_eq!(error.json()["type"], "error", "{seen:?}");
        assert!(error.json()["errorText"].to_string().contains("upstream"));
        assert_eq!(finish.json()["finishReason"], "error", "{transport:?}");
        assert_eq!(done.data, "[DONE]", "{transport:?}");

        let nothing = post("/api/chat", "application/json", "{}");
        let answer = Whole::of(&program, transport, nothing).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text().contains("messages"), "{answer:?}");
    }
}

/// Nothing is joined: what is counted are tokens.
async fn start() -> (Upstream, Program) {
    let upstream = Upstream::start().await;
    let program = Program::start(&["--upstream", &upstream.url(), "--coalesce", "0"]);
    (upstream, program)
}

/// Sends a chat; what it is told, and with what.
async fn ask(
    upstream: &mut Upstream,
    program: &Program,
    transport: Transport,
    id: &str,
) -> (Events, Pen) {
    let mut client = Client::connect(program, transport).await;
    let request = chat(id);
    let asked = tokio::spawn(async move { Events::of(client.send(request).await.unwrap()) });
    let question = upstream.question().await;
    assert_eq!(question.head.uri.path(), "/v1/chat/completions");
    let body: Value = serde_json::from_slice(&question.body).unwrap();
    assert_eq!(
        body,
        json!({
            "model": "m", "stream": true,
            "messages": [{ "role": "user", "content": "Hello" }],
        })
    );
    let pen = question.stream();
    (asked.await.unwrap(), pen)
}

fn chat(id: &str) -> Request<ClientBody> {
    let chat = json!({
        "id": id, "model": "m", "trigger": "submit-message",
        "messages": [{ "id": "1", "role": "user", "parts": [{ "type": "text", "text": "Hello" }] }],
    });
    post("/api/chat", "application/json", chat.to_string())
}

fn text(chunks: &[Seen]) -> String {
    let deltas = chunks.iter().filter_map(|chunk| {
        let delta = &chunk.json()["delta"];
        delta.as_str().map(str::to_owned)
    });
    deltas.collect()
}
