//! A model's server: it answers in the wire formats that such servers have, fails in every way that they do, counts what
//! it is asked and notices who hangs up.

mod answer;
mod format;
mod manner;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::answer::Body;
use self::format::Format;
pub(crate) use self::manner::Manner;
use crate::program::until;

/// A server on a free port of loopback. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    speech: Speech,
    calls: Calls,
    server: JoinHandle<()>,
}

/// What every answer says, and how fast.
#[derive(Debug, Clone)]
pub(crate) struct Speech {
    pub(crate) tokens: usize,
    /// From one token to the next.
    pub(crate) every: Duration,
    /// With it the tokens come in portions, so that no answer is over before all of its cuts were made.
    pub(crate) portions: Option<Portions>,
}

/// A portion more with each cut.
#[derive(Debug, Clone)]
pub(crate) struct Portions {
    pub(crate) cuts: watch::Receiver<usize>,
    pub(crate) planned: usize,
}

/// One request that it got.
#[derive(Debug)]
pub(crate) struct Call {
    path: String,
    pub(crate) request: Value,
    end: OnceLock<End>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
enum End {
    /// All was said that was to be said.
    Told,
    /// Whoever asked hung up before.
    Left(Instant),
}

type Calls = Arc<Mutex<Vec<Arc<Call>>>>;

impl Upstream {
    pub(crate) async fn start(speech: Speech) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Calls::default();
        let (said, asked) = (speech.clone(), Arc::clone(&calls));
        let server = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                let (said, asked) = (said.clone(), Arc::clone(&asked));
                let service =
                    service_fn(move |request| reply(said.clone(), asked.clone(), request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Self {
            address,
            speech,
            calls,
            server,
        }
    }

    /// What `--upstream` is told.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What a whole answer says.
    pub(crate) fn text(&self) -> String {
        Self::text_of(self.speech.tokens)
    }

    /// What so many tokens of an answer say.
    pub(crate) fn text_of(tokens: usize) -> String {
        (0..tokens).map(token).collect()
    }

    /// All that it was asked so far.
    pub(crate) fn calls(&self) -> Vec<Arc<Call>> {
        self.calls.lock().unwrap().clone()
    }

    /// The calls that named this model.
    pub(crate) fn calls_of(&self, model: &str) -> Vec<Arc<Call>> {
        let mut calls = self.calls();
        calls.retain(|call| call.request["model"] == *model);
        calls
    }

    /// Waits for the first call of this model.
    pub(crate) async fn call_of(&self, model: &str) -> Arc<Call> {
        until("a call of the upstream", || {
            self.calls_of(model).into_iter().next()
        })
        .await
    }
}

impl Speech {
    /// So many tokens, at 250 a second.
    pub(crate) fn of(tokens: usize) -> Self {
        Self {
            tokens,
            every: Duration::from_millis(4),
            portions: None,
        }
    }

    /// Waits until this token may be said.
    async fn allow(&mut self, token: usize) {
        let Some(portions) = &mut self.portions else {
            return;
        };
        let all = portions.planned + 1;
        let allowed = |cuts: &usize| token * all < self.tokens * (cuts + 1);
        // An error means that nothing will be cut any more.
        let _ = portions.cuts.wait_for(allowed).await;
    }
}

impl Call {
    /// When whoever asked hung up, if it did so before all was said.
    pub(crate) async fn left(&self) -> Instant {
        let end = until("the end of a call", || self.end.get().copied()).await;
        match end {
            End::Left(when) => when,
            End::Told => panic!("it was heard to the end: {self:?}"),
        }
    }

    /// Whether it still goes on.
    pub(crate) fn is_open(&self) -> bool {
        self.end.get().is_none()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The token at this place: no two are alike, and most are not ASCII.
fn token(place: usize) -> String {
    const WORDS: [&str; 5] = ["spring", "Quelle, größer", "泉", "🌊\n", "\"fuente\""];
    format!("{place} {} ", WORDS[place % WORDS.len()])
}

async fn reply(
    speech: Speech,
    calls: Calls,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(whole(StatusCode::BAD_REQUEST, &json!({})));
    };
    let call = Arc::new(Call {
        path: head.uri.path().to_owned(),
        request: serde_json::from_slice(&body.to_bytes()).unwrap_or_default(),
        end: OnceLock::new(),
    });
    calls.lock().unwrap().push(Arc::clone(&call));
    let line = Line(Arc::clone(&call));
    let (Some(format), Some(manner)) = (
        Format::served_at(&call.path),
        call.request["model"].as_str().and_then(Manner::named),
    ) else {
        line.told();
        let error = json!({ "error": { "message": format!("nothing at {call:?}") } });
        return Ok(whole(StatusCode::NOT_FOUND, &error));
    };
    Ok(answer::begin(format, manner, speech, line).await)
}

fn whole(status: StatusCode, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::whole(body.to_string()))
        .unwrap()
}

/// Held as long as somebody hears the answer: hyper drops it with the connection.
#[derive(Debug)]
struct Line(Arc<Call>);

impl Line {
    fn told(&self) {
        let _ = self.0.end.set(End::Told);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.0.end.set(End::Left(Instant::now()));
    }
}
