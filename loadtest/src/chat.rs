//! Token runs: one chat completion after another, each a stream that ends, as a front end of a language model sees them.
//!
//! A request is due at a fixed time when there is a rate, and when its worker is free otherwise; the time to the first
//! token counts from there, so that a server that keeps its callers waiting cannot hide it.

mod answer;
mod comparison;
mod report;
mod token;

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{ConnectError, Connection, Connector, Dialling};
use crate::publisher::EventsPerSecond;
use crate::subscriber::chain;
use crate::target::{Protocol, Target};
use answer::{Answer, Part};
pub use comparison::ChatComparison;
pub use report::{ChatReport, Findings};
use token::{SystemClock, Tokens};

/// What is asked, and how often. Public fields and [`ChatPlan::new`].
#[derive(Clone, Debug)]
pub struct ChatPlan {
    /// Where completions are POSTed to.
    pub target: Target,
    /// Connections. Default: 50.
    pub connections: usize,
    /// Requests at a time on each; 1 on HTTP/1.1. Default: 1.
    pub streams_per_connection: usize,
    /// Requests in all. Default: as many as workers.
    pub requests: NonZeroU64,
    /// No request is due later than this after the first. Default: no limit.
    pub duration: Option<Duration>,
    /// Requests per second. Default: as fast as they are answered.
    pub rate: Option<EventsPerSecond>,
    /// What is asked, in turns. Default: one question.
    pub prompts: Vec<String>,
    /// The model's name. Default: `default`.
    pub model: String,
    /// Further header fields. Default: none.
    pub headers: HeaderMap,
    /// How connections are made.
    pub dialling: Dialling,
    /// How long an answer may be silent until it is given up. Default: 60 s.
    pub patience: Duration,
}

/// The chats in progress.
struct Talk {
    plan: ChatPlan,
    connector: Connector,
    bodies: Vec<Bytes>,
    started: Instant,
    clock: SystemClock,
    next: AtomicU64,
    stopped: AtomicBool,
    findings: Mutex<Findings>,
}

#[derive(Serialize)]
struct Completion<'a> {
    model: &'a str,
    stream: bool,
    messages: [Message<'a>; 1],
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

impl ChatPlan {
    /// The defaults that the fields name.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            connections: 50,
            streams_per_connection: 1,
            requests: NonZeroU64::new(50).expect("50 is not zero"),
            duration: None,
            rate: None,
            prompts: vec!["Explain in a few sentences what a spring is.".to_owned()],
            model: "default".to_owned(),
            headers: HeaderMap::new(),
            dialling: Dialling::default(),
            patience: Duration::from_secs(60),
        }
    }

    fn workers(&self) -> usize {
        let streams = match self.target.protocol() {
            Protocol::Http1 => 1,
            Protocol::Http2 => self.streams_per_connection.max(1),
        };
        self.connections.max(1).saturating_mul(streams)
    }
}

/// Asks all that is planned, or until `stop` completes: answers under way are then still read.
///
/// # Errors
/// [`ConnectError`] when the server cannot be found at all. What failed of the requests is in the report.
///
/// # Panics
/// Outside a tokio runtime with I/O and time.
///
/// # Cancel safety
/// Dropping the future ends every request.
pub async fn chat(
    plan: &ChatPlan,
    stop: impl Future<Output = ()>,
) -> Result<ChatReport, ConnectError> {
    let connector = Connector::resolve(plan.target.clone(), plan.dialling.clone()).await?;
    // One connection first: a server that is not there is one line, and not one for each worker.
    let first: Connection<Full<Bytes>> = connector.connect().await?;
    let body = |prompt: &String| {
        let completion = Completion {
            model: &plan.model,
            stream: true,
            messages: [Message {
                role: "user",
                content: prompt,
            }],
        };
        Bytes::from(serde_json::to_vec(&completion).expect("strings are always JSON"))
    };
    let talk = Arc::new(Talk {
        bodies: plan.prompts.iter().map(body).collect(),
        plan: plan.clone(),
        connector,
        started: Instant::now(),
        clock: SystemClock::start(),
        next: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
        findings: Mutex::default(),
    });
    let mut workers = JoinSet::new();
    let mut first = Some(first);
    let streams = plan.workers() / plan.connections.max(1);
    for _ in 0..plan.connections.max(1) {
        let shared = Arc::new(tokio::sync::Mutex::new(first.take()));
        for _ in 0..streams {
            workers.spawn(Arc::clone(&talk).work(Arc::clone(&shared)));
        }
    }
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            done = workers.join_next() => match done {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            },
            () = &mut stop, if !talk.stopped.load(Ordering::Relaxed) => {
                talk.stopped.store(true, Ordering::Relaxed);
            }
        }
    }
    let findings = talk
        .findings
        .lock()
        .expect("recording does not panic")
        .clone();
    Ok(ChatReport {
        target: plan.target.to_string(),
        protocol: plan.target.protocol(),
        secure: plan.target.is_secure(),
        connections: plan.connections,
        workers: plan.workers(),
        took: talk.started.elapsed(),
        findings,
    })
}

impl Talk {
    /// Asks until there is nothing left to ask.
    async fn work(self: Arc<Self>, seat: Arc<tokio::sync::Mutex<Option<Connection<Full<Bytes>>>>>) {
        let mut findings = Findings::default();
        while let Some((number, due)) = self.next().await {
            self.ask(number, due, &seat, &mut findings).await;
        }
        self.findings
            .lock()
            .expect("recording does not panic")
            .add(&findings);
    }

    /// The next request's number and when it was due, once it is.
    async fn next(&self) -> Option<(u64, Instant)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let due = match self.plan.rate {
            Some(rate) => self.started + Duration::from_secs_f64(number as f64 / rate.get()),
            None => Instant::now(),
        };
        let late = self
            .plan
            .duration
            .is_some_and(|duration| due >= self.started + duration);
        if late || number >= self.plan.requests.get() {
            return None;
        }
        while Instant::now() < due {
            if self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            tokio::time::sleep_until(due.min(Instant::now() + Duration::from_millis(50))).await;
        }
        (!self.stopped.load(Ordering::Relaxed)).then_some((number, due))
    }

    /// Asks once and reads the answer to its end.
    async fn ask(
        &self,
        number: u64,
        due: Instant,
        seat: &tokio::sync::Mutex<Option<Connection<Full<Bytes>>>>,
        findings: &mut Findings,
    ) {
        findings.requests += 1;
        let exchange = async {
            let mut connection = self.connection(seat).await.map_err(|error| chain(&error))?;
            let response = connection
                .send(self.request(number))
                .await
                .map_err(|error| chain(&error))?;
            Ok::<_, String>((connection, response))
        };
        let (connection, response) = match tokio::time::timeout(self.plan.patience, exchange).await
        {
            Ok(Ok(exchange)) => exchange,
            Ok(Err(reason)) => return findings.fail(reason),
            Err(_) => return findings.fail("no answer in time".to_owned()),
        };
        findings.headers.record(due.elapsed());
        let status = response.status();
        let mut body = response.into_body();
        if status != StatusCode::OK {
            findings.refuse(status);
            return;
        }
        let (mut answer, mut tokens) = (Answer::new(), Tokens::due(due));
        loop {
            match tokio::time::timeout(self.plan.patience, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let now = Instant::now();
                    let data: &[u8] = frame.data_ref().map_or(&[], AsRef::as_ref);
                    answer.read(data, |part| match part {
                        Part::Token(text) => tokens.arrive((text, now), &self.clock, findings),
                        Part::Error => findings.errors += 1,
                    });
                }
                Ok(Some(Err(error))) => {
                    findings.fail(chain(&error));
                    break;
                }
                Ok(None) => break,
                Err(_) => {
                    findings.fail("the answer fell silent".to_owned());
                    break;
                }
            }
        }
        findings.speaking += tokens.speaking().unwrap_or_default();
        if answer.is_over() {
            findings.complete += 1;
            findings.whole.record(due.elapsed());
            // HTTP/1.1: back to its seat for the next request, now that this answer is read.
            let mut seat = seat.lock().await;
            if seat.is_none() && !connection.is_closed() {
                *seat = Some(connection);
            }
        } else {
            findings.truncated += 1;
        }
    }

    /// The seat's connection: on HTTP/1.1 taken away from it, on HTTP/2 shared.
    async fn connection(
        &self,
        seat: &tokio::sync::Mutex<Option<Connection<Full<Bytes>>>>,
    ) -> Result<Connection<Full<Bytes>>, ConnectError> {
        let mut seat = seat.lock().await;
        if let Some(connection) = seat.take().filter(|connection| !connection.is_closed()) {
            *seat = connection.share();
            return Ok(connection);
        }
        let fresh: Connection<Full<Bytes>> = self.connector.connect().await?;
        *seat = fresh.share();
        Ok(fresh)
    }

    fn request(&self, number: u64) -> Request<Full<Bytes>> {
        let index = usize::try_from(number % self.bodies.len().max(1) as u64).unwrap_or(0);
        let body = self.bodies.get(index).cloned().unwrap_or_default();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.plan.target.request_uri();
        *request.headers_mut() = self.plan.headers.clone();
        let headers = request.headers_mut();
        if self.plan.target.protocol() == Protocol::Http1 && !headers.contains_key(HOST) {
            let host = HeaderValue::try_from(self.plan.target.authority())
                .expect("an authority is a header value");
            headers.insert(HOST, host);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }
}
