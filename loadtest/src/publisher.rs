//! Sends the events of a run: at an open-loop rate, or as fast as the server takes them.
//!
//! Every event has a moment at which it is due, fixed before the run. A publisher that is late sends at once, skips
//! nothing and does not move the later ones: a server that stalls is seen to stall.

mod schedule;
mod template;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use thiserror::Error;
use tokio::time::Instant;

use crate::client::{ConnectError, Connection, Connector, Dialling};
use crate::latency::Latency;
use crate::stamp::{Clock, RunId};
use crate::target::{Protocol, Target};
pub(crate) use schedule::Course;
pub use schedule::{EventsPerSecond, NotARate, Rate};
use schedule::{Lines, Schedule};
pub use template::{NotATemplate, Template};

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
    /// Nothing is sent that would be due later than this after the first event. Default: no limit.
    pub duration: Option<Duration>,
    /// Further header fields of every request. Default: none.
    pub headers: HeaderMap,
}

/// How events are packed into requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One long POST of `application/x-ndjson`, a line `{"data": ...}` per event.
    #[default]
    Stream,
    /// One POST of `application/json` per event, each after the answer to the one before: order must hold.
    Each,
    /// One request per event, of any method and with any body, each after the answer to the one before.
    Templates(Method, Template),
    /// Nothing is published here. Events are then told apart by their ids, and counted from where each subscriber came
    /// in; latency is how far a subscriber is behind the first one that had the event. It lasts for the duration, or
    /// 10 s, or until there were as many events as planned.
    Nothing,
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
            duration: None,
            headers: HeaderMap::new(),
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
        let chance = rand::random();
        self.publish_along(run, clock, events, (chance, &Arc::default()))
            .await
    }

    /// Publishes the events `0..events` of `run`, or as many as `course` and the duration allow.
    ///
    /// # Cancel safety
    /// Dropping the future breaks the request off; what the server took stays published.
    pub(crate) async fn publish_along(
        &self,
        run: RunId,
        clock: Clock,
        events: u64,
        (seed, course): (u64, &Arc<Course>),
    ) -> Result<Published, PublishError> {
        let connector = Connector::resolve(self.target.clone(), Dialling::default()).await?;
        // The schedule starts when the connection stands: connecting is not the server being late with an event.
        let schedule = || Schedule::start(self, events, (run, clock), (seed, Arc::clone(course)));
        let started = match &self.mode {
            Mode::Nothing => Instant::now(),
            Mode::Stream => {
                let connection = connector.connect().await?;
                let started = Instant::now();
                self.publish_stream(connection, schedule(), course).await?;
                started
            }
            Mode::Each => {
                let started = Instant::now();
                let json = Template::default();
                self.publish_each(&connector, schedule(), (&Method::POST, &json))
                    .await?;
                started
            }
            Mode::Templates(method, template) => {
                let started = Instant::now();
                self.publish_each(&connector, schedule(), (method, template))
                    .await?;
                started
            }
        };
        Ok(Published {
            events: course.sent(),
            took: started.elapsed(),
            lag: course.lag(),
        })
    }

    async fn publish_stream(
        &self,
        mut connection: Connection<Lines>,
        schedule: Schedule,
        course: &Course,
    ) -> Result<(), PublishError> {
        let mut request = self.request(&Method::POST, schedule.into_lines());
        request
            .headers_mut()
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/x-ndjson"));
        let response = connection
            .send(request)
            .await
            .map_err(|source| self.broken(source))?;
        let answer = self.answer(response).await?;
        let sent = course.sent();
        match answer {
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
        mut schedule: Schedule,
        (method, template): (&Method, &Template),
    ) -> Result<(), PublishError> {
        let mut connection: Connection<Full<Bytes>> = connector.connect().await?;
        while schedule.due().await {
            let body = template.fill(|out| schedule.write_next(out));
            if connection.is_closed() {
                connection = connector.connect().await?;
            }
            let mut request = self.request(method, Full::new(Bytes::from(body)));
            request
                .headers_mut()
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(template.content_type()));
            let response = connection
                .send(request)
                .await
                .map_err(|source| self.broken(source))?;
            self.answer(response).await?;
        }
        Ok(())
    }

    fn request<B>(&self, method: &Method, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = self.target.request_uri();
        *request.headers_mut() = self.headers.clone();
        if self.target.protocol() == Protocol::Http1 && !self.headers.contains_key(HOST) {
            let host = HeaderValue::try_from(self.target.authority())
                .expect("an authority is a header value");
            request.headers_mut().insert(HOST, host);
        }
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
