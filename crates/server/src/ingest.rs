//! Events as publishers send them: one in a request, or one long request with an event a line.
//!
//! Each event is published as soon as it has arrived. What is wrong ends the request with a problem
//! that names the line; what came before it stays published, and is counted.

mod lines;
mod records;

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wellspring::event::{Event, EventType, Message};
use wellspring::{Hub, Position, PublishError, TopicName};

use crate::problem::Problem;
pub(crate) use records::{Record, Records};

/// How a request spells its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `application/json`: one event, as [`Line`].
    Json,
    /// `application/x-ndjson`: a [`Line`] a line.
    Ndjson,
    /// `text/event-stream`: an event a block.
    EventStream,
    /// `text/plain`: the data of one event.
    Text,
}

/// What a publisher is told at the end.
#[derive(Debug, Serialize)]
pub(crate) struct Receipt {
    /// How many events are new.
    published: u64,
    /// How many were there already, by their keys.
    #[serde(skip_serializing_if = "is_zero")]
    repeated: u64,
    /// The id of the last one.
    last_id: Option<String>,
}

/// One event in JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    event: Option<String>,
    /// A string is the data itself; any other JSON is the data as it is written.
    #[serde(borrow)]
    data: &'a RawValue,
    /// Milliseconds.
    retry: Option<u64>,
    /// Makes a repeated publish count once, within what the topic keeps.
    key: Option<String>,
}

/// One request's events on their way into a topic.
#[derive(Debug)]
pub(crate) struct Ingest<'a> {
    hub: &'a Hub,
    topic: TopicName,
    longest: usize,
    published: u64,
    repeated: u64,
    last: Option<Position>,
}

impl Format {
    /// As the request's `Content-Type` says; without one it is text.
    ///
    /// # Errors
    ///
    /// 415 for a type that no events come in.
    pub(crate) fn of(request: &Parts) -> Result<Self, Problem> {
        let Some(given) = request.headers.get(CONTENT_TYPE) else {
            return Ok(Self::Text);
        };
        let given = String::from_utf8_lossy(given.as_bytes());
        let media = given.split(';').next().unwrap_or_default().trim();
        match media.to_ascii_lowercase().as_str() {
            // What curl says of `-d` when it is not told otherwise.
            "text/plain" | "application/x-www-form-urlencoded" => Ok(Self::Text),
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Ndjson),
            "text/event-stream" => Ok(Self::EventStream),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!(
                    "{media} is no type of events: send text/plain, application/json, \
                     application/x-ndjson or text/event-stream"
                ),
            )),
        }
    }
}

impl<'a> Ingest<'a> {
    /// The longest key, in bytes.
    const LONGEST_KEY: usize = 256;

    /// Into this topic, no event with data above `longest` bytes.
    pub(crate) fn new(hub: &'a Hub, topic: TopicName, longest: usize) -> Self {
        Self {
            hub,
            topic,
            longest,
            published: 0,
            repeated: 0,
            last: None,
        }
    }

    /// Publishes everything that the body brings.
    ///
    /// # Errors
    ///
    /// A problem that names the line and its cause, and counts what was published before it.
    pub(crate) async fn run<B: Body<Data = Bytes>>(
        mut self,
        format: Format,
        body: B,
    ) -> Result<Receipt, Problem> {
        let result = match format {
            Format::Text => self.text(body).await,
            Format::Json => self.json(body).await,
            Format::Ndjson => {
                let longest = self.longest_line();
                self.records(Records::lines(pin!(body), longest)).await
            }
            Format::EventStream => {
                let longest = self.longest_line();
                self.records(Records::blocks(pin!(body), longest)).await
            }
        };
        let last_id = self.last.map(|last| last.to_string());
        match result {
            Ok(()) => Ok(Receipt {
                published: self.published,
                repeated: self.repeated,
                last_id,
            }),
            Err(problem) => Err(problem.after(self.published, last_id)),
        }
    }

    async fn text<B: Body<Data = Bytes>>(&mut self, body: B) -> Result<(), Problem> {
        let data = collect(body, self.longest).await?;
        let event =
            Event::from_utf8(&data).map_err(|error| Problem::bad_request(error.to_string()))?;
        self.publish(&event, None).await
    }

    async fn json<B: Body<Data = Bytes>>(&mut self, body: B) -> Result<(), Problem> {
        let text = collect(body, self.longest_line()).await?;
        self.line(&text).await
    }

    async fn records<B: Body<Data = Bytes>>(
        &mut self,
        mut records: Records<'_, B>,
    ) -> Result<(), Problem> {
        loop {
            while let Some(record) = records.next()? {
                match record {
                    Record::Line(number, line) => {
                        let published = self.line(&line).await;
                        published.map_err(|problem| problem.at_line(number))?;
                    }
                    Record::Block(message) => self.block(&message).await?,
                }
            }
            if !records.fill().await? {
                return Ok(());
            }
        }
    }

    async fn block(&mut self, message: &Message<'_>) -> Result<(), Problem> {
        let mut event = Event::new(message.data());
        if message.event_type() != "message" {
            event = event.with_type(event_type(message.event_type())?);
        }
        self.publish(&event, None).await
    }

    async fn line(&mut self, line: &[u8]) -> Result<(), Problem> {
        let line: Line<'_> = parse(line)?;
        let raw = line.data.get();
        let data: Cow<'_, str> = if raw.starts_with('"') {
            serde_json::from_str(raw).map_err(|error| Problem::bad_request(error.to_string()))?
        } else {
            raw.into()
        };
        let mut event = Event::new(data);
        if let Some(name) = line.event.as_deref() {
            event = event.with_type(event_type(name)?);
        }
        if let Some(retry) = line.retry {
            event = event.with_retry(Duration::from_millis(retry));
        }
        if line
            .key
            .as_ref()
            .is_some_and(|key| key.len() > Self::LONGEST_KEY)
        {
            return Err(too_large("the key", Self::LONGEST_KEY));
        }
        self.publish(&event, line.key.as_deref()).await
    }

    async fn publish(&mut self, event: &Event<'_>, key: Option<&str>) -> Result<(), Problem> {
        if event.data().len() > self.longest {
            return Err(too_large("the data", self.longest));
        }
        match self.hub.publish_keyed(&self.topic, event, key).await {
            Ok(appended) => {
                self.published += u64::from(!appended.repeated);
                self.repeated += u64::from(appended.repeated);
                self.last = Some(appended.position);
                Ok(())
            }
            Err(error @ PublishError::TooLarge { .. }) => Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                error.to_string(),
            )),
            Err(error) => Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                error.to_string(),
            )),
        }
    }

    fn longest_line(&self) -> usize {
        longest_line(self.longest)
    }
}

/// The longest line for an event of `longest` bytes: JSON writes some characters longer than they are,
/// and has names around them.
pub(crate) fn longest_line(longest: usize) -> usize {
    longest.saturating_mul(2).saturating_add(4096)
}

fn event_type(name: &str) -> Result<EventType<'_>, Problem> {
    EventType::new(name).map_err(|error| Problem::bad_request(error.to_string()))
}

/// One line of JSON.
///
/// # Errors
///
/// A problem that names the byte or the column.
pub(crate) fn parse<'l, T: Deserialize<'l>>(line: &'l [u8]) -> Result<T, Problem> {
    let line = std::str::from_utf8(line).map_err(|error| {
        Problem::bad_request(format!("not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    serde_json::from_str(line).map_err(|error| {
        // Lines are numbered by us: serde_json's own count begins anew with each.
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or_default();
        Problem::bad_request(format!("{words} (column {})", error.column()))
    })
}

fn too_large(what: &str, limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("{what} is longer than {limit} bytes"),
    )
}

/// The whole body, if it is no longer than `limit` bytes.
pub(crate) async fn collect<B: Body<Data = Bytes>>(
    body: B,
    limit: usize,
) -> Result<BytesMut, Problem> {
    let mut body = pin!(body);
    let mut collected = BytesMut::new();
    while let Some(data) = next_data(&mut body).await? {
        if collected.len() + data.len() > limit {
            return Err(too_large("the body", limit));
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected)
}

async fn next_data<B: Body<Data = Bytes>>(
    body: &mut std::pin::Pin<&mut B>,
) -> Result<Option<Bytes>, Problem> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            // Nobody is there to read it, but whoever logs it should see the count.
            Some(Err(_)) => return Err(Problem::bad_request("the request's body broke off")),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests;
