//! The life of a run, natively: begun, fed, ended, listed, forgotten.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::program::Program;
use crate::stream::{Events, Seen};
use crate::transport::{Client, ClientBody, Transport, Whole, bare, get, post};
use crate::upstream::Upstream;

#[tokio::test]
async fn a_run_is_begun_fed_read_and_ended() {
    let program = Program::start(&["--coalesce", "0"]);
    for transport in Transport::ALL {
        let begun = Whole::of(&program, transport, wish(&json!({}))).await;
        assert_eq!(begun.status, StatusCode::CREATED, "{begun:?}");
        let id = begun.header("x-run-id").to_owned();
        assert_eq!(begun.header("location"), path(&id), "{transport:?}");
        assert_eq!(
            (&begun.json()["id"], &begun.json()["state"]),
            (&json!(id), &json!("open"))
        );
        let mut early = Events::open(&program, transport, &path(&id)).await;
        let lines = r#"{"type":"thinking","text":"Hm"}
            {"type":"answer","text":"Hel"}
            {"type":"answer","text":"lo"}
            {"type":"tool","index":1,"id":"c1","name":"look","arguments":"{\"a\":"}
            {"type":"progress","percent":25,"message":"a quarter"}
            {"type":"usage","total_tokens":3}
            {"type":"done","finish_reason":"stop","usage":{"total_tokens":4},"exit_code":0}"#;
        let receipt = push(&program, &id, lines).await;
        assert_eq!(
            receipt.json(),
            json!({ "accepted": 7, "repeated": 0, "next": 7, "state": "done" })
        );
        let expected = [
            ("thinking", r#"{"text":"Hm"}"#),
            ("answer", r#"{"text":"Hel"}"#),
            ("answer", r#"{"text":"lo"}"#),
            (
                "tool",
                r#"{"index":1,"id":"c1","name":"look","arguments":"{\"a\":"}"#,
            ),
            ("progress", r#"{"percent":25,"message":"a quarter"}"#),
            ("usage", r#"{"total_tokens":3}"#),
            (
                "done",
                r#"{"state":"done","finish_reason":"stop","usage":{"total_tokens":4},"exit_code":0}"#,
            ),
        ];
        let seen = early.rest().await;
        let told: Vec<_> = seen
            .iter()
            .map(|event| (event.event.as_str(), event.data.as_str()))
            .collect();
        assert_eq!(told, expected, "{transport:?}");
        assert_numbered(&seen);
        // Who comes late gets all of it, and then the end.
        let late = Events::open(&program, transport, &path(&id))
            .await
            .rest()
            .await;
        assert_eq!(late, seen, "{transport:?}");

        let told = state(&program, &id).await;
        for (name, value) in [
            ("state", json!("done")),
            ("events", json!(7)),
            ("tokens", json!(3)),
            ("unread_tokens", json!(0)),
            ("finish_reason", json!("stop")),
            ("usage", json!({ "total_tokens": 4 })),
            ("error", Value::Null),
            ("model", Value::Null),
            ("thinking", json!("Hm")),
            ("text", json!("Hello")),
            ("producer", json!({ "epoch": null, "next": 7 })),
        ] {
            assert_eq!(told[name], value, "{name}: {told}");
        }
        assert!(told["created"].as_u64() > Some(1_700_000_000), "{told}");
        assert!(
            told["first_token_ms"].as_u64() <= told["duration_ms"].as_u64(),
            "{told}"
        );
    }
}

#[tokio::test]
async fn nobody_guesses_an_id_and_a_client_may_choose_one() {
    let program = Program::start(&[]);
    let mut client = Client::connect(&program, Transport::Http2).await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        let id = client.exchange(wish(&json!({}))).await.json()["id"].clone();
        let id = id.as_str().unwrap().to_owned();
        let digits = id.strip_prefix("run_").unwrap();
        assert!(digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
        ids.push(digits.to_owned());
    }
    // 128 bits at random: each of the digits takes many values over a hundred ids.
    for place in 0..32 {
        let mut digits: Vec<u8> = ids.iter().map(|id| id.as_bytes()[place]).collect();
        digits.sort_unstable();
        digits.dedup();
        assert!(digits.len() > 8, "digit {place} is always among {digits:?}");
    }
    let chosen = "chosen_by-a-CLIENT-0123456789";
    let begun = client.exchange(wish(&json!({ "id": chosen }))).await;
    assert_eq!(begun.json()["id"], json!(chosen));
    for id in [
        "tooshort",
        "with spaces in it, which are not allowed",
        &"x".repeat(65),
    ] {
        let refused = client.exchange(wish(&json!({ "id": id }))).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    }
}

#[tokio::test]
async fn a_repeated_wish_is_the_same_run() {
    let (mut upstream, program) = relaying(&[]).await;
    let wishes = [
        (Some("a-key"), relayed(&json!({}))),
        (None, relayed(&json!({ "id": "an-id-of-the-clients" }))),
    ];
    for (key, body) in wishes {
        let asked = |body: &Value| {
            let mut request = wish(body);
            if let Some(key) = key {
                let key = key.parse().unwrap();
                request.headers_mut().insert("idempotency-key", key);
            }
            request
        };
        let first = tokio::spawn({
            let mut client = Client::connect(&program, Transport::H2c).await;
            let request = asked(&body);
            async move { client.exchange(request).await }
        });
        let pen = upstream.question().await.stream();
        let first = first.await.unwrap();
        assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
        let again = Whole::of(&program, Transport::Http1, asked(&body)).await;
        assert_eq!(again.status, StatusCode::OK, "{again:?}");
        assert_eq!(again.json()["id"], first.json()["id"]);
        assert_eq!(again.header("location"), first.header("location"));
        let mut other = body.clone();
        other["request"]["model"] = json!("another");
        let refused = Whole::of(&program, Transport::Http1, asked(&other)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert!(upstream.is_quiet(), "nobody pays twice");
        drop(pen);
    }
}

#[tokio::test]
async fn a_run_is_cancelled_once_and_for_all() {
    let (mut upstream, program) = relaying(&[]).await;
    for transport in Transport::ALL {
        let mut client = Client::connect(&program, transport).await;
        let begun = tokio::spawn(async move {
            client
                .exchange(wish(&relayed(&json!({}))))
                .await
                .header("x-run-id")
                .to_owned()
        });
        let pen = upstream.question().await.stream();
        pen.write(chunk("a"));
        let id = begun.await.unwrap();
        let mut events = Events::open(&program, transport, &path(&id)).await;
        assert_eq!(events.next().await.event, "answer");
        for _ in 0..2 {
            let answer = Whole::of(&program, transport, cancel(&id)).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.json()["state"], json!("cancelled"));
        }
        let rest = events.rest().await;
        assert_eq!(rest.len(), 1, "{rest:?}");
        assert_eq!(
            (rest[0].event.as_str(), rest[0].json()["state"].as_str()),
            ("done", Some("cancelled"))
        );
        pen.left().await;
    }
    let unknown = Whole::of(&program, Transport::Http1, cancel("run_unknown_0000000")).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_deleted_run_is_ended_and_gone() {
    let program = Program::start(&[]);
    let id = begin(&program, &json!({})).await;
    let mut events = Events::open(&program, Transport::Http1, &path(&id)).await;
    let delete = || bare(Request::delete(format!("/v1/runs/{id}")));
    let deleted = Whole::of(&program, Transport::Http2, delete()).await;
    assert_eq!(
        (deleted.status, deleted.text()),
        (StatusCode::NO_CONTENT, "")
    );
    let rest = events.rest().await;
    assert_eq!(rest[0].json()["state"], json!("cancelled"), "{rest:?}");
    let run = format!("/v1/runs/{id}");
    for request in [
        get(&run),
        get(&path(&id)),
        cancel(&id),
        delete(),
        post(&path(&id), "application/x-ndjson", ""),
    ] {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = Whole::of(&program, Transport::Http1, request).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{what}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn everybody_lists_their_own_runs() {
    let program = Program::start(&[]);
    let mut client = Client::connect(&program, Transport::Http1Tls).await;
    let mut of_ada = Vec::new();
    for number in 0..5 {
        for owner in ["Bearer ada", "Bearer bob"] {
            let mut request = wish(&json!({}));
            let value = owner.parse().unwrap();
            request.headers_mut().insert(AUTHORIZATION, value);
            let id = client.exchange(request).await.json()["id"].clone();
            if owner == "Bearer ada" {
                of_ada.insert(0, id);
            }
        }
        if number == 2 {
            client.exchange(wish(&json!({}))).await;
        }
    }
    let list = |query: &str, owner: &str| {
        let request = Request::get(format!("/v1/runs{query}")).header(AUTHORIZATION, owner);
        bare(request)
    };
    let (mut listed, mut query) = (Vec::new(), "?limit=2".to_owned());
    let pages = loop {
        let page = client.exchange(list(&query, "Bearer ada")).await.json();
        let runs = page["runs"].as_array().unwrap();
        listed.push(runs.len());
        for run in runs {
            assert_eq!(run["id"], of_ada.remove(0), "the newest first");
            assert_eq!(run["state"], json!("open"));
            assert_eq!(run.get("text"), None, "a list is short");
        }
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=2&after={next}"),
            None => break listed,
        }
    };
    assert_eq!((pages, of_ada.len()), (vec![2, 2, 1], 0));
    let none = client.exchange(list("", "Bearer eve")).await.json();
    assert_eq!(none, json!({ "runs": [], "next": null }));
    let nobody = client.exchange(get("/v1/runs")).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.header("www-authenticate"), "Bearer");
    for query in ["?limit=0", "?limit=101", "?limit=x", "?after=x"] {
        let refused = client.exchange(list(query, "Bearer ada")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn a_run_whose_producer_is_silent_expires() {
    let program = Program::start(&[]);
    let short = begin(&program, &json!({ "expires_in": 1 })).await;
    let long = begin(&program, &json!({ "expires_in": 600 })).await;
    push(&program, &short, &answers(&["a"])).await;
    let mut events = Events::open(&program, Transport::Http1, &path(&short)).await;
    let seen = events.rest().await;
    let error = seen.last().unwrap();
    assert_eq!(
        (error.event.as_str(), error.json()["state"].as_str()),
        ("error", Some("expired")),
        "{seen:?}"
    );
    assert_eq!(state(&program, &short).await["state"], json!("expired"));
    assert_eq!(state(&program, &long).await["state"], json!("open"));
}

#[tokio::test]
async fn what_is_no_wish_is_refused() {
    let program = Program::start(&[]);
    let mut client = Client::connect(&program, Transport::Http1).await;
    for body in [
        r#"{"ids":"unknown"}"#,
        r#"{"request":{"messages":[]}}"#,
        r#"{"request":"hello"}"#,
        r#"{"on_disconnect":"sometimes"}"#,
        r#"{"expires_in":0}"#,
        r#"{"id":7}"#,
        "[]",
        "{",
    ] {
        let refused = client
            .exchange(post("/v1/runs", "application/json", body))
            .await;
        assert_eq!(
            refused.status,
            StatusCode::BAD_REQUEST,
            "{body}: {refused:?}"
        );
        assert_eq!(refused.header("content-type"), "application/problem+json");
    }
    for (method, path, allow) in [
        (Method::PUT, "/v1/runs", "POST, GET, HEAD"),
        (Method::POST, "/v1/runs/x", "GET, DELETE, HEAD"),
        (Method::GET, "/v1/runs/x/cancel", "POST"),
        (Method::DELETE, "/v1/runs/x/events", "GET, HEAD, POST"),
    ] {
        let request = bare(Request::builder().method(&method).uri(path));
        let refused = client.exchange(request).await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(refused.header("allow"), allow, "{path}");
    }
    let empty = client.exchange(bare(Request::post("/v1/runs"))).await;
    assert_eq!(empty.status, StatusCode::CREATED, "{empty:?}");
}

/// A wish for a run.
pub(crate) fn wish(body: &Value) -> Request<ClientBody> {
    Request::post("/v1/runs")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body.to_string().into()).boxed())
        .unwrap()
}

/// Begins a run; its id.
pub(crate) async fn begin(program: &Program, body: &Value) -> String {
    let begun = Whole::of(program, Transport::Http1, wish(body)).await;
    assert_eq!(begun.status, StatusCode::CREATED, "{begun:?}");
    begun.header("x-run-id").to_owned()
}

/// Pushes these lines, which must be taken.
pub(crate) async fn push(program: &Program, id: &str, lines: &str) -> Whole {
    let request = post(&path(id), "application/x-ndjson", lines.to_owned());
    let receipt = Whole::of(program, Transport::Http1, request).await;
    assert_eq!(receipt.status, StatusCode::OK, "{receipt:?}");
    receipt
}

/// What `GET` tells of a run.
pub(crate) async fn state(program: &Program, id: &str) -> Value {
    let run = get(&format!("/v1/runs/{id}"));
    Whole::of(program, Transport::Http1, run).await.json()
}

/// Waits until a run is told with this value.
pub(crate) async fn wait_for(program: &Program, id: &str, name: &str, value: &Value) -> Value {
    let deadline = std::time::Instant::now() + crate::process::PATIENCE;
    loop {
        let told = state(program, id).await;
        if told[name] == *value {
            return told;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{name} is never {value}: {told}"
        );
    }
}

pub(crate) fn cancel(id: &str) -> Request<ClientBody> {
    bare(Request::post(format!("/v1/runs/{id}/cancel")))
}

/// Where its events are.
pub(crate) fn path(id: &str) -> String {
    format!("/v1/runs/{id}/events")
}

/// A line for each of these pieces of an answer.
pub(crate) fn answers(texts: &[&str]) -> String {
    let lines: Vec<String> = texts
        .iter()
        .map(|text| json!({ "type": "answer", "text": text }).to_string())
        .collect();
    lines.join("\n")
}

/// What the events say, thought and answer together.
pub(crate) fn text(events: &[Seen]) -> String {
    let texts = events.iter().filter_map(|event| {
        let text = event.json()["text"].as_str().map(str::to_owned);
        assert_eq!(text.is_some(), event.event != "done", "{event:?}");
        text
    });
    texts.collect()
}

pub(crate) fn number(event: &Seen) -> u64 {
    let (_, number) = event.id.rsplit_once('-').unwrap();
    number.parse().unwrap()
}

/// From 0, without holes.
pub(crate) fn assert_numbered(events: &[Seen]) {
    for (expected, event) in (0..).zip(events) {
        assert_eq!(number(event), expected, "{event:?}");
    }
}

/// A wish for an answer of the upstream, with these members besides.
pub(crate) fn relayed(members: &Value) -> Value {
    let mut body = members.clone();
    body["request"] = json!({
        "stream": true, "max_tokens": 30, "messages": [{ "role": "user", "content": "Hello" }],
    });
    body
}

/// A program with an upstream.
pub(crate) async fn relaying(arguments: &[&str]) -> (Upstream, Program) {
    let upstream = Upstream::start().await;
    let url = upstream.url();
    let program = Program::start(&[&["--upstream", &url], arguments].concat());
    (upstream, program)
}

/// An upstream's chunk with this text.
pub(crate) fn chunk(text: &str) -> String {
    let chunk = json!({ "choices": [{ "index": 0, "delta": { "content": text } }] });
    format!("data: {chunk}\n\n")
}
