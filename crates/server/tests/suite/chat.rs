//! The demo's answers: as chunks, as a run, left in the middle and taken up again.

use serde_json::{Value, json};

use crate::program::Program;
use crate::stream::{Events, Seen, data};
use crate::transport::{Client, Transport, Whole, get, header, post, run_of};

#[tokio::test]
async fn an_answer_is_the_same_story_as_chunks_and_as_a_run() {
    // In few events: a long run is replayed in fewer than it had.
    let program = Program::start(&["--coalesce", "200ms"]);
    for transport in Transport::ALL {
        let mut chunks = ask(&program, transport, &json!({ "max_tokens": 40 })).await;
        let id = header(&chunks.headers, "x-run-id").to_owned();
        let path = run_of(&chunks.headers);
        assert_eq!(
            header(&chunks.headers, "location"),
            format!("/v1/runs/{id}/events?as=openai")
        );
        let seen = chunks.rest().await;
        for field in ["id:", "event:", "retry:"] {
            let begins = |line: &str| line.starts_with(field);
            assert!(
                !chunks.text().lines().any(begins),
                "clients break on {field}"
            );
        }
        let (done, parts) = seen.split_last().unwrap();
        assert_eq!(done.data, "[DONE]", "{transport:?}");
        assert_eq!(
            parts[0].json()["choices"][0]["delta"]["role"],
            json!("assistant")
        );
        let reasons = parts.iter().filter_map(|part| {
            let chunk = part.json();
            assert_eq!(chunk["id"], json!(id), "{transport:?}");
            assert_eq!(chunk["object"], json!("chat.completion.chunk"));
            assert_eq!(chunk.get("usage"), None, "nobody asked for it");
            chunk["choices"][0]["finish_reason"]
                .as_str()
                .map(str::to_owned)
        });
        let reasons: Vec<String> = reasons.collect();
        assert_eq!(reasons.len(), 1, "{transport:?}");

        let run = Events::open(&program, transport, &path).await.rest().await;
        assert_numbered_from(0, &run);
        let (done, answers) = run.split_last().unwrap();
        assert_eq!(
            (done.event.as_str(), &done.json()["finish_reason"]),
            ("done", &json!(reasons[0]))
        );
        assert!(answers.len() > 5, "a few words at a time: {answers:?}");
        let thoughts = |event: &&Seen| event.event == "thinking";
        let begin = answers.iter().take_while(thoughts).count();
        let all = answers.iter().filter(thoughts).count();
        assert!(begin > 0 && begin == all, "it thinks first: {answers:?}");
        assert_eq!(text_of_chunks(parts), text_of_run(answers), "{transport:?}");
    }
}

#[tokio::test]
async fn token_counts_come_in_a_chunk_of_their_own_when_asked_for() {
    let program = Program::start(&[]);
    let asked = json!({ "max_tokens": 20, "stream_options": { "include_usage": true } });
    let seen = ask(&program, Transport::Http1, &asked).await.rest().await;
    let [.., finish, usage, done] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(done.data, "[DONE]");
    assert!(finish.json()["choices"][0]["finish_reason"].is_string());
    assert_eq!(finish.json()["usage"], Value::Null);
    assert_eq!(usage.json()["choices"], json!([]));
    let usage = usage.json()["usage"].clone();
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(
        count("prompt_tokens") + count("completion_tokens"),
        count("total_tokens")
    );
}

#[tokio::test]
async fn without_stream_the_answer_comes_in_one_piece() {
    let program = Program::start(&[]);
    let chat = json!({ "max_tokens": 30, "messages": [{ "role": "user", "content": "Hi" }] });
    let chat = post("/v1/chat/completions", "application/json", chat.to_string());
    let answer = Whole::of(&program, Transport::Http2, chat).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let choice = &answer.json()["choices"][0];
    assert_eq!(choice["message"]["role"], json!("assistant"));
    assert!(choice["message"]["content"].as_str().unwrap().len() > 40);
    let models = Whole::of(&program, Transport::Http2, get("/v1/models"))
        .await
        .json();
    assert_eq!(models["data"][0]["id"], answer.json()["model"]);
}

#[tokio::test]
async fn a_run_goes_on_when_whoever_asked_has_left() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let (mut client, mut chunks) =
            ask_on(&program, transport, &json!({ "max_tokens": 60 })).await;
        let path = run_of(&chunks.headers);
        let seen = chunks.take(8).await;
        if transport.is_http2() {
            // Only the stream is reset; the connection stays.
            drop(chunks);
            assert_eq!(client.exchange(get("/healthz")).await.status, 200);
        } else {
            client.cut().await;
        }
        let run = Events::open(&program, Transport::Http1, &path)
            .await
            .rest()
            .await;
        let (done, answers) = run.split_last().unwrap();
        assert_eq!(done.event, "done", "{transport:?}");
        let (begun, whole) = (text_of_chunks(&seen), text_of_run(answers));
        assert!(
            whole.starts_with(&begun) && whole.len() > begun.len(),
            "{transport:?}: {whole}"
        );
    }
}

#[tokio::test]
async fn a_resumed_run_loses_and_doubles_nothing() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let mut chunks = ask(&program, transport, &json!({ "max_tokens": 60 })).await;
        let path = run_of(&chunks.headers);
        // Three readers after one another, each cut in the middle.
        let mut run: Vec<Seen> = Vec::new();
        for part in [5, 1, 12] {
            let id = run.last().map_or("", |event| event.id.as_str());
            let mut reader = Events::resume(&program, transport, &path, id).await;
            run.extend(reader.take(part).await);
            reader.cut().await;
        }
        let id = &run.last().unwrap().id;
        let mut reader = Events::resume(&program, transport, &path, id).await;
        run.extend(reader.rest().await);
        assert_numbered_from(0, &run);
        let (done, answers) = run.split_last().unwrap();
        assert_eq!(done.event, "done", "{transport:?}");
        let seen = chunks.rest().await;
        let (_, parts) = seen.split_last().unwrap();
        assert_eq!(text_of_run(answers), text_of_chunks(parts), "{transport:?}");
    }
}

#[tokio::test]
async fn a_page_can_cut_its_own_stream_and_no_other() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let token = format!("token-{transport:?}");
        let path = format!("/topics/cut?cut={token}");
        let mut events = Events::open(&program, transport, &path).await;
        let mut other = Events::open(&program, transport, "/topics/cut").await;
        let cut = || post(&format!("/playground/cuts/{token}"), "text/plain", "");
        assert_eq!(Whole::of(&program, transport, cut()).await.status, 204);
        assert!(
            events.try_next().await.is_err(),
            "a break, not an end: {transport:?}"
        );
        assert_eq!(
            Whole::of(&program, transport, cut()).await.status,
            404,
            "it is gone"
        );
        crate::transport::publish(&program, "cut", "on").await;
        assert_eq!(data(&other.take(1).await), ["on"]);
    }
}

/// Asks the demo, with these fields besides the message.
async fn ask(program: &Program, transport: Transport, fields: &Value) -> Events {
    ask_on(program, transport, fields).await.1
}

async fn ask_on(program: &Program, transport: Transport, fields: &Value) -> (Client, Events) {
    let mut chat = json!({
        "stream": true, "messages": [{ "role": "user", "content": "What is a spring?" }],
    });
    for (name, value) in fields.as_object().unwrap() {
        chat[name] = value.clone();
    }
    let mut client = Client::connect(program, transport).await;
    let chat = post("/v1/chat/completions", "application/json", chat.to_string());
    let response = client.send(chat).await.unwrap();
    (client, Events::of(response))
}

/// What was thought and said, as chunks have it.
fn text_of_chunks(chunks: &[Seen]) -> String {
    let texts = chunks.iter().filter_map(|chunk| {
        let delta = &chunk.json()["choices"][0]["delta"];
        let text = ["reasoning_content", "content"].map(|kind| delta[kind].as_str());
        text[0].or(text[1]).map(str::to_owned)
    });
    texts.collect()
}

/// What was thought and said, as a run has it.
fn text_of_run(parts: &[Seen]) -> String {
    let texts = parts.iter().map(|part| {
        assert!(["thinking", "answer"].contains(&&*part.event), "{part:?}");
        part.json()["text"].as_str().unwrap().to_owned()
    });
    texts.collect()
}

/// Numbers of a run have no holes.
fn assert_numbered_from(first: usize, run: &[Seen]) {
    for (number, event) in (first..).zip(run) {
        let (_, sequence) = event.id.rsplit_once('-').unwrap();
        assert_eq!(sequence.parse(), Ok(number), "{event:?}");
    }
}
