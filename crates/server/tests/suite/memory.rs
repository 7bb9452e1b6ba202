//! What ten thousand runs take that are open at once, each with somebody who reads it.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use wellspring_front::{Application, Front, Limits, RequestBody, Running, Tls};
use wellspring_load::process::Process;

use crate::ingest::written;
use crate::program::{Program, soon};
use crate::runs::{answers, path, wish};
use crate::transport::{ClientBody, Transport, bare};

const CONNECTIONS: usize = 50;
const RUNS: usize = 10_000;
const TOKENS: usize = 20;
/// Of the program's resident memory, in bytes.
const MOST: u64 = 200 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_pushed_runs_and_their_readers_fit_into_200_mib() {
    let program = Program::start(&["--streams", "1000", "--log", "error"]);
    let before = resident(&program);
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = connect(&program).await;
        for _ in 0..RUNS / CONNECTIONS {
            open.push(Pushed::open(&client).await);
        }
    }
    for run in &mut open {
        // The first comes at once, and the others joined.
        run.events.read_until(" token token").await;
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

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_relayed_runs_and_their_readers_fit_into_200_mib() {
    let model = Model::start();
    let upstream = model.url();
    let program = Program::start(&[
        "--upstream",
        &upstream,
        "--upstream-cacert",
        model.authority().to_str().unwrap(),
        "--streams",
        "1000",
        "--log",
        "error",
    ]);
    let before = resident(&program);
    let mut runs = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = connect(&program).await;
        let asked = (0..RUNS / CONNECTIONS).map(|_| tokio::spawn(client.clone().send(relayed())));
        for asked in asked.collect::<Vec<_>>() {
            runs.push(Reading::of(asked.await.unwrap()));
        }
    }
    for run in &mut runs {
        run.read_until(" token token").await;
    }
    assert_eq!(model.asked(), RUNS, "each is asked for once");
    let after = resident(&program);
    let each = (after - before) as f64 / RUNS as f64 / 1024.0;
    println!(
        "{RUNS} relayed runs: {} MiB, {each:.1} KiB each",
        after >> 20
    );
    assert!(after < MOST, "{} MiB", after >> 20);
    // They are alive, all of them.
    model.finish();
    for run in &mut runs {
        run.read_until("event: done").await;
    }
}

/// A wish for an answer of the model, to be read at once.
fn relayed() -> Request<ClientBody> {
    let request = json!({ "stream": true, "messages": [{ "role": "user", "content": "Hi" }] });
    let mut request = wish(&json!({ "request": request }));
    let stream = "text/event-stream".parse().unwrap();
    request.headers_mut().insert("accept", stream);
    request
}

/// A run, the request that pushes it, and one that reads it.
struct Pushed {
    lines: mpsc::UnboundedSender<Bytes>,
    pushing: JoinHandle<()>,
    events: Reading,
}

impl Pushed {
    async fn open(client: &Connection) -> Self {
        let begun = client.clone().send(wish(&json!({}))).await;
        let id = begun.headers()["x-run-id"].to_str().unwrap().to_owned();
        let _ = begun.into_body().collect().await.unwrap();
        let read = bare(Request::get(path(&id)));
        let events = Reading::of(client.clone().send(read).await);
        let (lines, body) = written();
        let push = Request::post(path(&id)).header("content-type", "application/x-ndjson");
        let push = client.clone().send(push.body(body).unwrap());
        let pushing = tokio::spawn(async move {
            let receipt = push.await.into_body().collect().await.unwrap();
            let receipt: Value = serde_json::from_slice(&receipt.to_bytes()).unwrap();
            assert_eq!(receipt["accepted"], json!(TOKENS + 1), "{receipt}");
        });
        let tokens = answers(&[" token"; TOKENS]) + "\n";
        lines.send(tokens.into()).unwrap();
        Self {
            lines,
            pushing,
            events,
        }
    }

    async fn end(mut self) {
        self.lines.send("{\"type\":\"done\"}\n".into()).unwrap();
        self.events.read_until("event: done").await;
        drop(self.lines);
        self.pushing.await.unwrap();
    }
}

/// A stream, and what came of it.
struct Reading {
    body: Incoming,
    seen: Vec<u8>,
}

impl Reading {
    fn of(response: Response<Incoming>) -> Self {
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body(),
            seen: Vec::new(),
        }
    }

    async fn read_until(&mut self, words: &str) {
        while !String::from_utf8_lossy(&self.seen).contains(words) {
            let frame = soon("an event", self.body.frame()).await;
            let frame = frame.unwrap_or_else(|| panic!("no {words} in {self:?}"));
            self.seen.extend(frame.unwrap().into_data().unwrap());
        }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.seen))
    }
}

/// A model over TLS and HTTP/2, with as many streams a connection as servers usually allow. It says some
/// tokens at once, and the end when all are told to finish.
struct Model {
    folder: TempDir,
    front: Running,
    asked: Arc<AtomicUsize>,
    finish: watch::Sender<bool>,
}

impl Model {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls::self_signed(folder.path(), &[]).unwrap();
        let mut limits = Limits::default();
        limits.max_concurrent_streams = 100;
        let front = Front::builder().limits(limits);
        let front = front.tls(([127, 0, 0, 1], 0).into(), tls).bind().unwrap();
        let (finish, finished) = watch::channel(false);
        let asked = Arc::new(AtomicUsize::new(0));
        let answering = Answering {
            asked: Arc::clone(&asked),
            finished,
        };
        Self {
            folder,
            front: front.serve(Arc::new(answering)).unwrap(),
            asked,
            finish,
        }
    }

    fn url(&self) -> String {
        let (_, address) = self.front.addresses()[0];
        format!("https://{address}/v1")
    }

    fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }

    fn finish(&self) {
        self.finish.send(true).unwrap();
    }
}

#[derive(Clone)]
struct Answering {
    asked: Arc<AtomicUsize>,
    finished: watch::Receiver<bool>,
}

impl Application for Answering {
    type Body = ClientBody;
    type Service = Self;

    fn connect(&self, _: &Arc<wellspring_front::Connection>) -> Self {
        self.clone()
    }
}

impl Service<Request<RequestBody>> for Answering {
    type Response = Response<ClientBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        self.asked.fetch_add(1, Relaxed);
        let mut finished = self.finished.clone();
        Box::pin(async move {
            request.into_body().collect().await.unwrap();
            let chunk = json!({ "choices": [{ "index": 0, "delta": { "content": " token" } }] });
            let begun = format!("data: {chunk}\n\n").repeat(TOKENS);
            let (lines, body) = written();
            lines.send(begun.into()).unwrap();
            tokio::spawn(async move {
                if finished.wait_for(|finished| *finished).await.is_ok() {
                    let _ = lines.send("data: [DONE]\n\n".into());
                }
            });
            let response = Response::builder().header("content-type", "text/event-stream");
            Ok(response.body(body).unwrap())
        })
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
    async fn send(mut self, request: Request<ClientBody>) -> Response<Incoming> {
        let (mut parts, body) = request.into_parts();
        parts.uri = format!("{}{}", self.base, parts.uri).parse().unwrap();
        let request = Request::from_parts(parts, body);
        self.sender.send_request(request).await.unwrap()
    }
}

fn resident(program: &Program) -> u64 {
    Process::of(program.id()).usage().unwrap().resident
}
