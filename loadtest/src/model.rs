//! A language model that does nothing but stream, so that what stands in front of it can be measured apart from it.
//!
//! It answers chat completions in OpenAI's spelling, over HTTP/1.1. The text of each token is a
//! [`Stamp`](crate::stamp::Stamp): the run is the answer, the sequence the token's place in it, and the time that of its
//! [`Moment`], on the system's monotonic clock. A [`chat`](crate::chat) on the same machine reads from it how long the
//! token took, and whether one is missing, doubled or out of order.

mod answer;

use std::convert::Infallible;
use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::publisher::EventsPerSecond;
use answer::Answer;

/// The longest request: a long conversation.
const REQUEST: usize = 4 << 20;

/// How long nothing is accepted when the system has no room for a further connection.
const FULL: Duration = Duration::from_millis(50);

/// From when on a token's time counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Moment {
    /// From when it should have been written: whoever holds the model up makes its tokens late, and the model's own
    /// timer (up to a millisecond) is in the figure of every reader.
    #[default]
    Due,
    /// From when it was written: only the way counts, and not what it does to the tokens that wait behind it.
    Written,
}

/// What every answer is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model {
    /// Tokens per second of each answer.
    pub rate: EventsPerSecond,
    /// Tokens of an answer, at most: a request's own `max_tokens` may be lower.
    pub tokens: NonZeroU64,
    /// What a token's stamp says.
    pub stamp: Moment,
}

/// What is asked. The conversation is read by nobody.
#[derive(Deserialize)]
struct Question {
    #[serde(default = "nameless")]
    model: String,
    #[serde(default)]
    stream: bool,
    max_tokens: Option<NonZeroU64>,
    max_completion_tokens: Option<NonZeroU64>,
}

type Body = Either<Full<Bytes>, Answer>;

impl Model {
    /// Answers whoever comes, for ever.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener; answers under way go on to their end.
    ///
    /// # Cost
    /// A write and a timer for each token. Several runtimes' threads make it no faster: one thread is meant.
    pub async fn serve(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((socket, _)) => {
                    tokio::spawn(self.converse(socket));
                }
                Err(_) => sleep(FULL).await,
            }
        }
    }

    async fn converse(self, socket: TcpStream) {
        // A token leaves when it is written. Where that cannot be had, the measurement shows it.
        let _ = socket.set_nodelay(true);
        let service = service_fn(move |request| async move {
            Ok::<_, Infallible>(self.answer(request).await.unwrap_or_else(refusal))
        });
        // How a connection ends is its client's business.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), service)
            .await;
    }

    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, (StatusCode, &'static str)> {
        if request.method() != Method::POST || !request.uri().path().ends_with("/chat/completions")
        {
            let known = "this model knows POST /v1/chat/completions and nothing else";
            return Err((StatusCode::NOT_FOUND, known));
        }
        let bad = |reason| (StatusCode::BAD_REQUEST, reason);
        let body = Limited::new(request.into_body(), REQUEST).collect().await;
        let body = body.map_err(|_| bad("the request is broken, or longer than 4 MiB"))?;
        let question: Question = serde_json::from_slice(&body.to_bytes())
            .map_err(|_| bad("the request is no chat completion in JSON"))?;
        if !question.stream {
            return Err(bad("this model only streams: ask with \"stream\": true"));
        }
        let asked = question.max_completion_tokens.or(question.max_tokens);
        let tokens = asked.map_or(self.tokens, |asked| asked.min(self.tokens));
        let answer = Answer::start(&question.model, self, tokens);
        let mut response = Response::new(Either::Right(answer));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(response)
    }
}

/// An error as OpenAI spells it.
fn refusal((status, reason): (StatusCode, &'static str)) -> Response<Body> {
    let error = json!({ "error": { "message": reason, "type": "invalid_request_error" } });
    let mut response = Response::new(Either::Left(Full::from(error.to_string())));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn nameless() -> String {
    "default".to_owned()
}
