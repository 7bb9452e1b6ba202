//! What ten thousand runs take that are open at once, each with somebody who reads it.

use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use wellspring_load::process::Process;

use crate::ingest::written;
use crate::program::{Program, soon};
use crate::runs::{answers, path, wish};
use crate::transport::{ClientBody, Transport, bare};

const CONNECTIONS: usize = 50;
const RUNS: usize = 10_000;
/// Of the program's resident memory, in bytes.
const MOST: u64 = 200 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_pushed_runs_and_their_readers_fit_into_200_mib() {
    let program = Program::start(&["--streams", "1000", "--log", "error"]);
    let before = resident(&program);
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = connect(&program).await;
        for _ in 0..RUNS / CONNECTIONS {
            open.push(Pushed::open(&mut client).await);
        }
    }
    for run in &mut open {
        // The first comes at once, and the others joined.
        run.read_until(" token token").await;
    }
    let after = resident(&program);
    let each = (after - before) as f64 / RUNS as f64 / 1024.0;
    println!(
        "{RUNS} pushed runs: {} MiB, {each:.1} KiB each",
        after >> 20
    );
    assert!(after < MOST, "{} MiB", after >> 20);
    // They are alive, all of them.
    for run in open {
        run.end().await;
    }
}

/// A run, the request that pushes it, and one that reads it.
struct Pushed {
    lines: tokio::sync::mpsc::UnboundedSender<bytes::Bytes>,
    pushing: tokio::task::JoinHandle<()>,
    events: Incoming,
    seen: Vec<u8>,
}

impl Pushed {
    async fn open(client: &mut Connection) -> Self {
        let begun = client.send(wish(&json!({}))).await;
        let id = begun.headers()["x-run-id"].to_str().unwrap().to_owned();
        let _ = begun.into_body().collect().await.unwrap();
        let events = client.send(bare(Request::get(path(&id)))).await.into_body();
        let (lines, body) = written();
        let push = Request::post(path(&id)).header("content-type", "application/x-ndjson");
        let push = client.clone().send_owned(push.body(body).unwrap());
        let pushing = tokio::spawn(async move {
            let receipt = push.await.into_body().collect().await.unwrap();
            let receipt: Value = serde_json::from_slice(&receipt.to_bytes()).unwrap();
            assert_eq!(receipt["accepted"], json!(21), "{receipt}");
        });
        lines
            .send((answers(&[" token"; 20]) + "\n").into())
            .unwrap();
        Self {
            lines,
            pushing,
            events,
            seen: Vec::new(),
        }
    }

    async fn read_until(&mut self, words: &str) {
        while !String::from_utf8_lossy(&self.seen).contains(words) {
            let frame = soon("an event", self.events.frame()).await.unwrap();
            self.seen
                .extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
    }

    async fn end(mut self) {
        self.lines.send("{\"type\":\"done\"}\n".into()).unwrap();
        self.read_until("event: done").await;
        drop(self.lines);
        self.pushing.await.unwrap();
    }
}

/// One HTTP/2 connection.
#[derive(Clone)]
struct Connection {
    sender: SendRequest<ClientBody>,
    base: Arc<str>,
}

async fn connect(program: &Program) -> Connection {
    let io = TokioIo::new(Transport::H2c.dial(program).await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    Connection {
        sender,
        base: program.http().into(),
    }
}

impl Connection {
    async fn send(&mut self, request: Request<ClientBody>) -> http::Response<Incoming> {
        self.clone().send_owned(request).await
    }

    async fn send_owned(mut self, request: Request<ClientBody>) -> http::Response<Incoming> {
        let (mut parts, body) = request.into_parts();
        parts.uri = format!("{}{}", self.base, parts.uri).parse().unwrap();
        let request = Request::from_parts(parts, body);
        self.sender.send_request(request).await.unwrap()
    }
}

fn resident(program: &Program) -> u64 {
    Process::of(program.id()).usage().unwrap().resident
}
