//! What a subscriber tells of itself when it is over.

use std::fmt;

use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::account::Tally;

/// What became of one subscriber.
#[derive(Clone, Debug, Serialize)]
pub struct SubscriberReport {
    /// Its number in the run, from 0.
    pub index: usize,
    /// Its books.
    pub tally: Tally,
    /// Its travels.
    pub journey: Journey,
    /// How it ended.
    pub end: End,
}

/// How often a subscriber's stream broke, and how it came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Journey {
    /// Streams that were answered with 200 and an event stream.
    pub opened: u64,
    /// Streams that the server ended before any event, in good order and with a `retry`: "come back later".
    pub shed: u64,
    /// Streams that it cut itself.
    pub cuts: u64,
    /// Streams that went down with the HTTP/2 connection that a neighbour cut.
    pub cut_along: u64,
    /// Streams that the server ended in good order.
    pub ended: u64,
    /// Streams that broke without anybody here having cut them.
    pub broken: u64,
    /// Attempts to come back that got no answer.
    pub unanswered: u64,
    /// Streams asked for with a `Last-Event-ID`.
    pub resumes_tried: u64,
    /// Resumes whose first event was a `gap`.
    pub resumes_with_gap: u64,
    /// Streams opened with a `Last-Event-ID` and answered with 200.
    pub resumes: u64,
    /// Streams whose head told the position from which they go on.
    pub positions: u64,
    /// Events that the decoder refused, such as those past its size limit.
    pub undecodable: u64,
}

/// Why a subscriber stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The run was over.
    RunOver,
    /// The server said 204: never come back.
    NoContent,
    /// The server answered with a status that ends an `EventSource` for good.
    Refused(StatusCode),
    /// The server answered 200 with something that is not an event stream.
    NotEventStream(String),
    /// Its first stream could not be opened at all.
    Unreachable(String),
}

impl SubscriberReport {
    /// Whether it ever had a stream.
    #[must_use]
    pub fn was_open(&self) -> bool {
        self.journey.opened > 0
    }
}

impl Journey {
    /// Adds another subscriber's travels.
    pub fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.shed += other.shed;
        self.cuts += other.cuts;
        self.cut_along += other.cut_along;
        self.ended += other.ended;
        self.broken += other.broken;
        self.unanswered += other.unanswered;
        self.resumes_tried += other.resumes_tried;
        self.resumes_with_gap += other.resumes_with_gap;
        self.resumes += other.resumes;
        self.positions += other.positions;
        self.undecodable += other.undecodable;
    }
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunOver => formatter.write_str("run over"),
            Self::NoContent => formatter.write_str("told by 204 never to come back"),
            Self::Refused(status) => {
                write!(formatter, "refused with {status}{}", advice(*status))
            }
            Self::NotEventStream(kind) => write!(
                formatter,
                "answered with {kind}, not with text/event-stream; is this the stream's URL?"
            ),
            Self::Unreachable(reason) => formatter.write_str(reason),
        }
    }
}

/// What to do about a status that its name alone does not explain.
fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; say who you are with -H 'Authorization: ...'"
        }
        StatusCode::NOT_FOUND => "; is this the stream's URL?",
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            "; the server is at a limit of its own: use fewer connections, or raise it"
        }
        _ => "",
    }
}

impl Serialize for End {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
