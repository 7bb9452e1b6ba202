//! The model that does nothing but stream: what its stamps tell a token run, and what the comparison says of it.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wellspring_load::chat::{ChatPlan, ChatReport, chat};
use wellspring_load::latency::Quantile;
use wellspring_load::model::{Model, Moment};
use wellspring_load::publisher::EventsPerSecond;
use wellspring_load::target::{Target, Trust};

use crate::command::{text, wellspring_load};

/// What a gateway of the tests holds every piece back for.
const HOLD: Duration = Duration::from_millis(150);

async fn model(rate: f64, tokens: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let model = Model {
        rate: EventsPerSecond::new(rate).unwrap(),
        tokens: NonZeroU64::new(tokens).unwrap(),
        stamp: Moment::Due,
    };
    tokio::spawn(model.serve(listener));
    address
}

/// Carries what the model says, each piece [`HOLD`] later.
async fn slow_gateway(model: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(model).await.unwrap();
            let ((mut asks, mut hears), (mut answers, mut asked)) =
                (near.into_split(), far.into_split());
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut asks, &mut asked).await;
            });
            tokio::spawn(async move {
                let mut piece = [0; 16 << 10];
                while let Ok(count @ 1..) = answers.read(&mut piece).await {
                    tokio::time::sleep(HOLD).await;
                    if hears.write_all(&piece[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/v1/chat/completions")
}

async fn ask(address: SocketAddr) -> ChatReport {
    let target = Target::parse(&url(address), None, &Trust::Nobody).unwrap();
    let plan = ChatPlan {
        connections: 4,
        requests: NonZeroU64::new(8).unwrap(),
        ..ChatPlan::new(target)
    };
    chat(&plan, std::future::pending()).await.unwrap()
}

fn shortest(report: &ChatReport) -> Duration {
    match report.findings.token.quantile(0.0, 0) {
        Quantile::At(latency) => latency,
        other => panic!("{other:?}: {report}"),
    }
}

#[tokio::test]
async fn every_token_tells_how_long_it_was_under_way() {
    let report = ask(model(200.0, 20).await).await;
    let findings = &report.findings;
    assert!(report.is_complete(), "{report}");
    assert_eq!((findings.complete, findings.tokens), (8, 160), "{report}");
    assert_eq!(
        (findings.token.count(), findings.misplaced),
        (160, 0),
        "{report}"
    );
    assert!(report.to_string().contains("token latency"), "{report}");
}

#[tokio::test]
async fn a_gateway_that_holds_tokens_back_is_seen_to() {
    let report = ask(slow_gateway(model(200.0, 20).await).await).await;
    let findings = &report.findings;
    assert!(report.is_complete(), "{report}");
    assert_eq!((findings.token.count(), findings.misplaced), (160, 0));
    assert!(shortest(&report) >= HOLD, "{report}");
}

#[tokio::test]
async fn a_gateway_is_measured_beside_what_is_behind_it() {
    let model = model(200.0, 20).await;
    let (near, far) = (url(slow_gateway(model).await), url(model));
    let measured = async |factor: &str, format: &str| {
        let output = wellspring_load(&[
            "--chat",
            "-c",
            "4",
            "-n",
            "8",
            "--within",
            factor,
            "--output-format",
            format,
            &far,
            &near,
        ])
        .await;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        (output.status.code(), out, err)
    };
    // A token takes the model far less than a second and a half, and the gateway some tenths of one.
    let (code, out, err) = measured("1000000", "text").await;
    assert_eq!(code, Some(0), "{out}{err}");
    for words in ["A: http", "B: http", "B : A", "token latency"] {
        assert!(out.contains(words), "{words:?} is missing in\n{out}");
    }
    let (code, out, err) = measured("0.001", "json").await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(err.contains("at most 0.001 x"), "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["runs"][1]["token_latency"]["count"], 160, "{json}");
    let ratio = json["token_latency_ratios"][0]["p50"].as_f64().unwrap();
    let [first, other] =
        [0, 1].map(|run| json["runs"][run]["token_latency"]["p50"].as_f64().unwrap());
    assert!((ratio * first / other - 1.0).abs() < 1e-9, "{json}");
    let alone = wellspring_load(&["--chat", "--within", "2", &far]).await;
    assert_eq!(
        alone.status.code(),
        Some(2),
        "a bound that nothing is held to"
    );
    assert!(text(&alone.stderr).contains("at least two"), "{alone:?}");
    let elsewhere = far.replace("completions", "nowhere");
    let refused = wellspring_load(&["--chat", "-c", "1", "-n", "1", &elsewhere]).await;
    let out = text(&refused.stdout);
    assert!(
        out.contains("refused             1 with 404")
            && out.contains("to first token      not measured\n"),
        "{out}"
    );
}

/// The status of the answer, and all of it.
async fn exchange(model: SocketAddr, path: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(model).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: m\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[tokio::test]
async fn what_it_cannot_answer_it_refuses_as_openai_does() {
    let model = model(200.0, 20).await;
    let chat = "/v1/chat/completions";
    for (path, body, status, reason) in [
        ("/v1/models", "{}", 404, "chat/completions"),
        (chat, "{}", 400, "stream"),
        (chat, "[", 400, "JSON"),
        (chat, r#"{"stream":true,"max_tokens":0}"#, 400, "JSON"),
    ] {
        let (found, answer) = exchange(model, path, body).await;
        assert_eq!(found, status, "{answer}");
        let (_, error) = answer.split_once("\r\n\r\n").unwrap();
        let error: serde_json::Value = serde_json::from_str(error).unwrap();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(reason), "{message}");
    }
}

#[tokio::test]
async fn an_answer_is_as_long_as_it_was_asked_to_be() {
    let model = model(1_000.0, 20).await;
    for (asked, tokens) in [
        ("", 20),
        (r#","max_tokens":3"#, 3),
        (r#","max_completion_tokens":5"#, 5),
        (r#","max_tokens":99"#, 20),
    ] {
        let body = format!(r#"{{"stream":true,"model":"{{}}\"","messages":[]{asked}}}"#);
        let (status, answer) = exchange(model, "/v1/chat/completions", &body).await;
        assert_eq!(status, 200, "{answer}");
        let texts: Vec<_> = answer.split(r#""content":""#).skip(1).collect();
        // The role comes first, in a chunk of its own with an empty text.
        assert!(texts[0].starts_with('"'), "{answer}");
        let numbered = |sequence: usize| {
            let number = texts[1 + sequence].split(' ').nth(1).unwrap();
            assert_eq!(number, sequence.to_string(), "{answer}");
        };
        assert_eq!(texts.len(), tokens + 1, "{answer}");
        (0..tokens).for_each(numbered);
        assert_eq!(answer.matches("data: [DONE]\n\n").count(), 1, "{answer}");
    }
}
