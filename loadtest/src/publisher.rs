//! Sends the events of a run: at an open-loop rate, or as fast as the server takes them.
//!
//! Every event has a moment at which it is due, fixed before the run. A publisher that is late sends at once, skips
//! nothing and does not move the later ones: a server that stalls is seen to stall.

mod schedule;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use thiserror::Error;
use tokio::time::Instant;

use crate::client::{ConnectError, Connection, Connector};
use crate::latency::Latency;
use crate::stamp::{Clock, RunId};
use crate::target::{Protocol, Target};
pub use schedule::{EventsPerSecond, NotARate, Rate};
use schedule::{Lines, Schedule};

/// How much of an answer is read.
const ANSWER: usize = 64 << 10;

/// What is published where, how, and how fast.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Where events are POSTed to.
    pub target: Target,
    /// In one request or in many. Default: one stream.
    pub mode: Mode,
    /// How fast. Default: as fast as possible.
    pub rate: Rate,
    /// The least size of an event's data, in bytes. Default: 100.
    pub size: usize,
}

/// How events are packed into requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One long POST of `application/x-ndjson`, a line `{"data": ...}` per event.
    #[default]
    Stream,
    /// One POST of `application/json` per event, each after the answer to the one before: order must hold.
    Each,
}

/// What the publisher did.
#[derive(Clone, Debug)]
pub struct Published {
    /// Events that the server accepted.
    pub events: u64,
    /// From the first event to the last answer.
    pub took: Duration,
    /// How long after they were due the events were written: the generator's own lateness, and the server's
    /// backpressure. Part of the delivery latency.
    pub lag: Latency,
}

/// Why publishing failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request broke.
    #[error(
        "publishing to {target} broke off: {}",
        crate::subscriber::chain(source)
    )]
    Broken {
        /// Where to.
        target: String,
        /// hyper's reason.
        source: hyper::Error,
    },
    /// The server said no.
    #[error("publishing to {target} was refused with {status}: {answer}")]
    Refused {
        /// Where to.
        target: String,
        /// Its status.
        status: StatusCode,
        /// The beginning of its answer, in one line.
        answer: String,
    },
    /// The server counted fewer events than were sent.
    #[error("{target} took {published} of {sent} events")]
    Short {
        /// Where to.
        target: String,
        /// The server's count.
        published: u64,
        /// Ours.
        sent: u64,
    },
}

/// What the program answers to a streaming POST. Other servers answer what they like.
#[derive(Deserialize)]
struct Answer {
    published: u64,
}

impl Publication {
    /// A stream of 100-byte events to `target`, as fast as possible.
    #[must_use]
    pub fn to(target: Target) -> Self {
        Self {
            target,
            mode: Mode::default(),
            rate: Rate::default(),
            size: 100,
        }
    }

    /// Publishes the events `0..events` of `run`.
    ///
    /// # Cancel safety
    /// Dropping the future breaks the request off; what the server took stays published.
    pub(crate) async fn publish(
        &self,
        run: RunId,
        clock: Clock,
        events: u64,
    ) -> Result<Published, PublishError> {
        let connector = Connector::resolve(self.target.clone(), 1).await?;
        let lag = Arc::new(Mutex::new(Latency::new()));
        // The schedule starts when the connection stands: connecting is not the server being late with an event.
        let schedule = || Schedule::start(self, events, (run, clock), Arc::clone(&lag));
        let started = match self.mode {
            Mode::Stream => {
                let connection = connector.connect().await?;
                let started = Instant::now();
                self.publish_stream(connection, schedule(), events).await?;
                started
            }
            Mode::Each => {
                let connection = connector.connect().await?;
                let started = Instant::now();
                self.publish_each(&connector, connection, schedule())
                    .await?;
                started
            }
        };
        let lag = lag.lock().expect("recording does not panic").clone();
        Ok(Published {
            events,
            took: started.elapsed(),
            lag,
        })
    }

    async fn publish_stream(
        &self,
        mut connection: Connection<Lines>,
        schedule: Schedule,
        sent: u64,
    ) -> Result<(), PublishError> {
        let request = self.request("application/x-ndjson", schedule.into_lines());
        let response = connection
            .send(request)
            .await
            .map_err(|source| self.broken(source))?;
        match self.answer(response).await? {
            Some(Answer { published }) if published != sent => Err(PublishError::Short {
                target: self.target.to_string(),
                published,
                sent,
            }),
            _ => Ok(()),
        }
    }

    async fn publish_each(
        &self,
        connector: &Connector,
        mut connection: Connection<Full<Bytes>>,
        mut schedule: Schedule,
    ) -> Result<(), PublishError> {
        while !schedule.is_over() {
            tokio::time::sleep_until(schedule.next_due()).await;
            let mut body = Vec::new();
            schedule.write_next(&mut body);
            if connection.is_closed() {
                connection = connector.connect().await?;
            }
            let request = self.request("application/json", Full::new(Bytes::from(body)));
            let response = connection
                .send(request)
                .await
                .map_err(|source| self.broken(source))?;
            self.answer(response).await?;
        }
        Ok(())
    }

    fn request<B>(&self, kind: &'static str, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.request_uri();
        if self.target.protocol() == Protocol::Http1 {
            let host = HeaderValue::try_from(self.target.authority())
                .expect("an authority is a header value");
            request.headers_mut().insert(HOST, host);
        }
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        request
    }

    /// Reads the answer to its end, so that the connection can be used again.
    async fn answer(&self, response: Response<Incoming>) -> Result<Option<Answer>, PublishError> {
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER)
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let body = body.unwrap_or_default();
        if status.is_success() {
            return Ok(serde_json::from_slice(&body).ok());
        }
        let answer: String = String::from_utf8_lossy(&body)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let answer = answer.chars().take(300).collect();
        Err(PublishError::Refused {
            target: self.target.to_string(),
            status,
            answer,
        })
    }

    fn broken(&self, source: hyper::Error) -> PublishError {
        PublishError::Broken {
            target: self.target.to_string(),
            source,
        }
    }
}
