//! Requests that cannot be served, and how they are told so.

use http::Request;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::program::{Program, soon};
use crate::transport::{Transport, Whole, bare, get, post};

#[tokio::test]
async fn honest_statuses_say_what_is_wrong() {
    let program = Program::start(&[]);
    let only = |method: &str, path: &str| bare(Request::builder().method(method).uri(path));
    let accepting = |path: &str, accept: &str| bare(Request::get(path).header("accept", accept));
    for transport in Transport::ALL {
        for (request, status, allow) in [
            (get("/nowhere"), 404, ""),
            (get("/v1/runs/run_0/events"), 404, ""),
            (post("/playground/cuts/nobody", "text/plain", ""), 404, ""),
            (get("/topics"), 400, ""),
            (get("/topics/%ff"), 400, ""),
            (only("DELETE", "/topics/t"), 405, "GET, HEAD, POST"),
            (only("PUT", "/topics?topic=t"), 405, "GET, HEAD"),
            (only("POST", "/healthz"), 405, "GET, HEAD"),
            (only("POST", "/"), 405, "GET, HEAD"),
            (only("POST", "/v1/runs/run_0/events"), 404, ""),
            (get("/v1/chat/completions"), 405, "POST"),
            (get("/playground/cuts/x"), 405, "POST"),
            (accepting("/topics/t", "application/json"), 406, ""),
            (
                accepting("/topics/t", "text/html, text/event-stream;q=0"),
                406,
                "",
            ),
            (post("/topics/t", "image/png", "x"), 415, ""),
        ] {
            let what = format!("{} {} over {transport:?}", request.method(), request.uri());
            let answer = Whole::of(&program, transport, request).await;
            assert_eq!(answer.status, status, "{what}: {answer:?}");
            assert_eq!(answer.header("allow"), allow, "{what}");
            assert_eq!(
                answer.header("content-type"),
                "application/problem+json",
                "{what}"
            );
            assert_eq!(answer.json()["status"], json!(status), "{what}");
        }
    }
}

#[tokio::test]
async fn a_request_has_exactly_one_host() {
    let program = Program::start(&[]);
    for transport in [Transport::Http1, Transport::Http1Tls] {
        for (path, hosts, status) in [
            ("/healthz", "", "400"),
            ("/healthz", "Host: a\r\nHost: b\r\n", "400"),
            ("/topics/t", "", "400"),
            ("/topics/t", "Host: a\r\nHost: a\r\n", "400"),
            ("/healthz", "Host: a\r\n", "200"),
        ] {
            let mut socket = transport.dial(&program).await;
            let request = format!("GET {path} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            soon("an answer", socket.read_to_string(&mut answer))
                .await
                .unwrap();
            let wanted = format!("HTTP/1.1 {status} ");
            assert!(
                answer.starts_with(&wanted),
                "{transport:?} {hosts:?}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn a_chat_that_cannot_be_is_refused_in_openais_words() {
    let program = Program::start(&[]);
    let large = format!("{{\"messages\":\"{}\"}}", "x".repeat(17 << 20));
    for transport in Transport::ALL {
        for (body, status) in [
            ("{", 400),
            ("{\"messages\":[]}", 400),
            ("{\"model\":\"m\"}", 400),
            (&large, 413),
        ] {
            let request = post("/v1/chat/completions", "application/json", body.to_owned());
            let answer = Whole::of(&program, transport, request).await;
            assert_eq!(answer.status, status, "{transport:?}: {answer:?}");
            let error = &answer.json()["error"];
            assert_eq!(
                error["type"],
                json!("invalid_request_error"),
                "{transport:?}"
            );
            assert!(!error["message"].as_str().unwrap().is_empty());
        }
    }
}
