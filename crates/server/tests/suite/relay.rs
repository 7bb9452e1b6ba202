//! The answers of an OpenAI-compatible upstream, and its failures.

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::program::Program;
use crate::stream::{Events, Seen, data};
use crate::transport::{Client, ClientBody, Transport, Whole, get, post, run_of};
use crate::upstream::{Question, Upstream};

/// Chunks as upstreams write them: with fields that nobody knows, odd spaces, numbers that a parser would spell anew.
const CHUNKS: [&str; 4] = [
    r#"{"id":"u-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"x_new":{"deep":[1.00,1e3]}}"#,
    r#"{"id":"u-1", "choices" : [ {"index":0,"delta":{"content":"Gr\u00fc"} } ] ,"obfuscation":"aaaa"}"#,
    r#"{"id":"u-1","choices":[{"index":0,"delta":{"content":"ße 🌊","reasoning_content":null}}],"service_tier":"default"}"#,
    r#"{"id":"u-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
];

#[tokio::test]
async fn chunks_are_relayed_byte_for_byte_and_comments_are_not() {
    let (mut upstream, program) = start(&[]).await;
    for transport in Transport::ALL {
        let (question, asked) = ask(&mut upstream, &program, transport).await;
        assert_eq!(question.head.uri.path(), "/v1/chat/completions");
        assert_eq!(
            question.body,
            chat().to_string(),
            "the request as it was written"
        );
        let pen = question.stream();
        pen.write(": PROCESSING\n\n");
        pen.write("data: ");
        pen.write(CHUNKS[0]);
        pen.write("\n\n");
        let mut chunks = asked.await.unwrap();
        assert_eq!(
            chunks.next().await.data,
            CHUNKS[0],
            "it comes before the next is written"
        );
        for chunk in &CHUNKS[1..] {
            pen.write(": OPENROUTER PROCESSING\r\n\r\ndata:");
            pen.write(chunk);
            pen.write("\r\n\r\n");
            assert_eq!(chunks.next().await.data, *chunk, "{transport:?}");
        }
        pen.write("data: [DONE]\n\n");
        assert_eq!(data(&chunks.rest().await), ["[DONE]"], "{transport:?}");
        assert!(!chunks.text().contains("PROCESSING"), "{transport:?}");

        let path = run_of(&chunks.headers);
        let run = Events::open(&program, transport, &path).await.rest().await;
        let texts: Vec<Value> = run
            .iter()
            .map(|event| event.json()["text"].clone())
            .collect();
        assert_eq!(
            texts,
            [json!("Grü"), json!("ße 🌊"), Value::Null],
            "{run:?}"
        );
        let done = run.last().unwrap().json();
        assert_eq!(done["finish_reason"], json!("stop"));
        assert_eq!(done["usage"]["total_tokens"], json!(3));
    }
}

#[tokio::test]
async fn a_refusal_is_passed_on_as_it_is() {
    let (mut upstream, program) = start(&[]).await;
    let limit = r#"{"error":{"message":"slow down","type":"rate_limit"}}"#;
    let key = r#"{"error":{"message":"bad key","type":"invalid_request_error"}}"#;
    for transport in Transport::ALL {
        for (status, headers, body) in [
            (
                StatusCode::TOO_MANY_REQUESTS,
                &[("retry-after", "7")][..],
                limit,
            ),
            (StatusCode::UNAUTHORIZED, &[], key),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                &[("content-type", "text/plain")],
                "overloaded",
            ),
        ] {
            let answer = answer_of(&program, transport, request()).await;
            upstream.question().await.refuse(status, headers, body);
            let answer = answer.await.unwrap();
            assert_eq!(
                (answer.status, answer.text()),
                (status, body),
                "{transport:?}"
            );
            for (name, value) in headers {
                assert_eq!(answer.header(name), *value, "{transport:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (mut upstream, program) = start(&[]).await;
    let mut elsewhere = Upstream::start().await;
    let location = format!("{}/chat/completions", elsewhere.url());
    let answer = answer_of(&program, Transport::Http1, request()).await;
    let moved = StatusCode::TEMPORARY_REDIRECT;
    upstream
        .question()
        .await
        .refuse(moved, &[("location", &location)], "moved");
    let answer = answer.await.unwrap();
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let message = answer.json()["error"]["message"].to_string();
    assert!(
        message.contains(&location) && message.contains("--upstream"),
        "{message}"
    );
    assert!(
        elsewhere.is_quiet() && upstream.is_quiet(),
        "keys do not travel"
    );
}

#[tokio::test]
async fn our_key_replaces_the_clients() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "sk-ours\n").unwrap();
    let file = file.to_str().unwrap();
    let of_client = HeaderValue::from_static("Bearer sk-theirs");
    for (arguments, client, seen) in [
        (
            &["--upstream-key-file", file][..],
            Some(&of_client),
            Some("Bearer sk-ours"),
        ),
        (&[], Some(&of_client), Some("Bearer sk-theirs")),
        (&[], None, None),
    ] {
        let (mut upstream, program) = start(arguments).await;
        let mut request = request();
        request
            .headers_mut()
            .insert("cookie", HeaderValue::from_static("session=1"));
        if let Some(client) = client {
            request.headers_mut().insert(AUTHORIZATION, client.clone());
        }
        let answer = answer_of(&program, Transport::Http2, request).await;
        let question = upstream.question().await;
        let given = question.head.headers.get(AUTHORIZATION);
        assert_eq!(given.map(|value| value.to_str().unwrap()), seen);
        assert_eq!(
            question.head.headers.get("cookie"),
            None,
            "it is none of theirs"
        );
        question.refuse(
            StatusCode::OK,
            &[("content-type", "application/json")],
            "{}",
        );
        assert_eq!(answer.await.unwrap().text(), "{}");
    }
}

#[tokio::test]
async fn the_models_are_those_of_the_upstream() {
    let (mut upstream, program) = start(&[]).await;
    let answer = answer_of(&program, Transport::Http2, get("/v1/models")).await;
    let question = upstream.question().await;
    assert_eq!(question.head.uri.path(), "/v1/models");
    let listed = r#"{"object":"list","data":[{"id":"theirs"}]}"#;
    question.refuse(
        StatusCode::OK,
        &[("content-type", "application/json")],
        listed,
    );
    assert_eq!(answer.await.unwrap().text(), listed);
}

#[tokio::test]
async fn an_error_in_the_stream_is_told_in_both_spellings() {
    let (mut upstream, program) = start(&[]).await;
    for transport in Transport::ALL {
        for (error, told) in [
            (
                r#"{"error":{"message":"context length","code":"x"}}"#,
                "context length",
            ),
            (r#"{"error":"out of memory"}"#, "out of memory"),
        ] {
            let (question, asked) = ask(&mut upstream, &program, transport).await;
            let pen = question.stream();
            for part in ["data: ", CHUNKS[1], "\n\ndata: ", error, "\n\n"] {
                pen.write(part);
            }
            let mut chunks = asked.await.unwrap();
            assert_failed(&program, &mut chunks, 1, told).await;
            let passed_on = chunks.text().contains(error);
            assert_eq!(passed_on, error.contains("code"), "{}", chunks.text());
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_whole() {
    let (mut upstream, program) = start(&[]).await;
    for transport in Transport::ALL {
        // Broken; ended in good order but without its end; cut in the middle of an event; nonsense.
        for (rest, breaks) in [
            ("", true),
            ("", false),
            ("data: {\"id\"", true),
            ("data: <html>\n\n", false),
        ] {
            let (question, asked) = ask(&mut upstream, &program, transport).await;
            let pen = question.stream();
            for part in ["data: ", CHUNKS[1], "\n\n"] {
                pen.write(part);
            }
            let mut chunks = asked.await.unwrap();
            assert_eq!(chunks.next().await.data, CHUNKS[1]);
            if !rest.is_empty() {
                pen.write(rest);
            }
            if breaks {
                pen.break_off();
            } else {
                drop(pen);
            }
            assert_failed(&program, &mut chunks, 0, "upstream").await;
        }
    }
}

#[tokio::test]
async fn an_upstream_too_slow_for_a_status_says_it_in_the_stream() {
    let (mut upstream, program) = start(&["--heartbeat", "500ms"]).await;
    // All at once: each takes the three seconds after which the program answers without the upstream.
    let (mut late, mut questions) = (Vec::new(), Vec::new());
    for transport in Transport::ALL {
        late.push(answer_to(&program, transport).await);
        questions.push(upstream.question().await);
    }
    let mut open = Vec::new();
    for asked in late {
        let mut chunks = asked.await.unwrap();
        chunks.read_until(|text| text.starts_with(":\n:\n")).await;
        open.push(chunks);
    }
    let refused = questions.split_off(2);
    for question in refused {
        let status = StatusCode::TOO_MANY_REQUESTS;
        question.refuse(status, &[("retry-after", "7")], "slow down");
    }
    for question in questions {
        let pen = question.stream();
        for part in ["data: ", CHUNKS[1], "\n\ndata: [DONE]\n\n"] {
            pen.write(part);
        }
    }
    let (mut relayed, mut failed) = (0, 0);
    for chunks in &mut open {
        let seen = chunks.rest().await;
        if seen[0].data == CHUNKS[1] {
            relayed += 1;
        } else {
            let told = seen[0].json()["error"]["message"].to_string();
            assert!(
                told.contains("429") && told.contains("slow down"),
                "{seen:?}"
            );
            failed += 1;
        }
        assert_eq!(seen.last().unwrap().data, "[DONE]");
    }
    assert_eq!((relayed, failed), (2, 2));
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_bad_gateway() {
    let upstream = Upstream::start().await;
    let program = Program::start(&["--upstream", &upstream.url()]);
    drop(upstream);
    for transport in Transport::ALL {
        let answer = Whole::of(&program, transport, request()).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{answer:?}");
        assert_eq!(answer.json()["error"]["type"], json!("server_error"));
    }
}

#[tokio::test]
async fn a_run_of_an_upstream_goes_on_when_whoever_asked_has_left() {
    let (mut upstream, program) = start(&[]).await;
    for transport in Transport::ALL {
        let (question, asked) = ask(&mut upstream, &program, transport).await;
        let pen = question.stream();
        for part in ["data: ", CHUNKS[1], "\n\n"] {
            pen.write(part);
        }
        let mut chunks = asked.await.unwrap();
        chunks.next().await;
        let path = run_of(&chunks.headers);
        drop(chunks);
        let mut run = Events::open(&program, transport, &path).await;
        run.next().await;
        for part in ["data: ", CHUNKS[2], "\n\ndata: [DONE]\n\n"] {
            pen.write(part);
        }
        let rest = run.rest().await;
        assert_eq!(rest[0].json()["text"], json!("ße 🌊"), "{transport:?}");
        assert_eq!(rest[1].event, "done", "{transport:?}");
    }
}

/// What is left is so many more chunks, the error in words, and the end that SDKs wait for; the run says the same.
async fn assert_failed(program: &Program, chunks: &mut Events, more: usize, told: &str) {
    let seen: Vec<Seen> = chunks.rest().await;
    assert_eq!(seen.len(), more + 2, "{seen:?}");
    let error = seen[more].json()["error"]["message"].to_string();
    assert!(error.contains(told), "{seen:?}");
    assert_eq!(seen[more + 1].data, "[DONE]");
    let path = run_of(&chunks.headers);
    let run = Events::open(program, Transport::Http1, &path)
        .await
        .rest()
        .await;
    let last = run.last().unwrap();
    assert_eq!(last.event, "error", "{run:?}");
    assert!(last.json()["message"].to_string().contains(told), "{run:?}");
}

async fn start(arguments: &[&str]) -> (Upstream, Program) {
    let upstream = Upstream::start().await;
    let url = upstream.url();
    let program = Program::start(&[&["--upstream", &url], arguments].concat());
    (upstream, program)
}

/// Sends a chat, and waits until the upstream has it; the answer's head comes when the upstream sends its own.
async fn ask(
    upstream: &mut Upstream,
    program: &Program,
    transport: Transport,
) -> (Question, JoinHandle<Events>) {
    let asked = answer_to(program, transport).await;
    (upstream.question().await, asked)
}

async fn answer_to(program: &Program, transport: Transport) -> JoinHandle<Events> {
    let mut client = Client::connect(program, transport).await;
    tokio::spawn(async move { Events::of(client.send(request()).await.unwrap()) })
}

async fn answer_of(
    program: &Program,
    transport: Transport,
    request: Request<ClientBody>,
) -> JoinHandle<Whole> {
    let mut client = Client::connect(program, transport).await;
    tokio::spawn(async move { client.exchange(request).await })
}

fn chat() -> Value {
    json!({
        "model": "m", "stream": true, "x_unknown": [1],
        "messages": [{ "role": "user", "content": "Hello" }],
    })
}

fn request() -> Request<ClientBody> {
    post(
        "/v1/chat/completions",
        "application/json",
        chat().to_string(),
    )
}
