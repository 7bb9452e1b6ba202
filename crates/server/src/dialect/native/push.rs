//! `POST /v1/runs/{run}/events`: an app feeds a run, with one long request or several.
//!
//! The body is `application/x-ndjson`, a [record] a line, or `text/event-stream` as the
//! run's readers get it. Each record is said as soon as it has arrived, and counts one number, from 0,
//! over all requests. With `Producer-Epoch` and `Producer-Seq` (the number of the first record) nothing
//! is taken twice: a producer whose connection broke sends again from wherever it likes.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, StatusCode};
use http_body::Body;
use serde::Serialize;

use super::record;
use crate::answer::{self, Answer};
use crate::ingest::{Format, Record, Records, longest_line};
use crate::problem::Problem;
use crate::run::{Claim, PushError, Pusher, Run, State};

const EPOCH: HeaderName = HeaderName::from_static("producer-epoch");
const SEQ: HeaderName = HeaderName::from_static("producer-seq");
const EXPECTED: HeaderName = HeaderName::from_static("producer-expected-seq");
const RECEIVED: HeaderName = HeaderName::from_static("producer-received-seq");

/// What a producer is told at the end of its request.
#[derive(Debug, Default, Serialize)]
struct Receipt {
    /// How many of its records are new.
    accepted: u64,
    /// How many the run had already.
    repeated: u64,
    /// The number of the next record that is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

/// Why not all of a request was taken.
#[derive(Debug)]
struct Refused {
    problem: Problem,
    headers: Vec<(HeaderName, u64)>,
}

/// Feeds the run with a request's body; no record of it may be longer than `longest` bytes.
pub(crate) async fn push<B: Body<Data = Bytes>>(
    run: &Arc<Run>,
    longest: usize,
    request: &Parts,
    body: B,
) -> Answer {
    #[derive(Serialize)]
    struct Told<'a> {
        #[serde(flatten)]
        problem: &'a Problem,
        #[serde(flatten)]
        receipt: Receipt,
    }
    let mut receipt = Receipt::default();
    match take(run, longest, request, body, &mut receipt).await {
        Ok(()) => answer::json(StatusCode::OK, &receipt),
        Err(Refused { problem, headers }) => {
            let told = Told {
                problem: &problem,
                receipt,
            };
            let mut answer =
                answer::typed_json(problem.status(), "application/problem+json", &told);
            for (name, value) in headers {
                answer.headers_mut().insert(name, value.into());
            }
            answer
        }
    }
}

async fn take<B: Body<Data = Bytes>>(
    run: &Arc<Run>,
    longest: usize,
    request: &Parts,
    body: B,
    receipt: &mut Receipt,
) -> Result<(), Refused> {
    let claim = claim(request)?;
    let longest = longest_line(longest);
    let body = pin!(body);
    let records = match Format::of(request)? {
        Format::Ndjson => Records::lines(body, longest),
        Format::EventStream => Records::blocks(body, longest),
        Format::Json | Format::Text => return Err(not_records().into()),
    };
    let mut pusher = Pusher::begin(run, claim)?;
    let taken = feed(&mut pusher, records, receipt).await;
    let (progress, state) = pusher.progress();
    receipt.next = Some(progress.next);
    receipt.state = Some(state);
    taken
}

async fn feed<B: Body<Data = Bytes>>(
    pusher: &mut Pusher,
    mut records: Records<'_, B>,
    receipt: &mut Receipt,
) -> Result<(), Refused> {
    loop {
        while let Some(record) = records.next()? {
            let pushed = match record {
                Record::Line(number, line) => {
                    record::line(&line).map_err(|problem| problem.at_line(number))?
                }
                Record::Block(event) => record::block(event.event_type(), event.data())?,
            };
            if pusher.push(pushed)? {
                receipt.accepted += 1;
            } else {
                receipt.repeated += 1;
            }
        }
        if !pusher.wait(records.fill()).await?? {
            return Ok(());
        }
    }
}

/// Who pushes: both headers, or neither.
fn claim(request: &Parts) -> Result<Option<Claim>, Problem> {
    let number = |name: &HeaderName| {
        let value = request.headers.get(name);
        let number = value.map(|value| value.to_str().ok().and_then(|value| value.parse().ok()));
        match number {
            Some(None) => Err(Problem::bad_request(format!("{name} is a number from 0"))),
            Some(number) => Ok(number),
            None => Ok(None),
        }
    };
    match (number(&EPOCH)?, number(&SEQ)?) {
        (Some(epoch), Some(first)) => Ok(Some(Claim { epoch, first })),
        (None, None) => Ok(None),
        _ => Err(Problem::bad_request(
            "Producer-Epoch and Producer-Seq go together: give both, or neither",
        )),
    }
}

fn not_records() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "a run is pushed as application/x-ndjson or text/event-stream",
    )
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            headers: Vec::new(),
        }
    }
}

impl From<PushError> for Refused {
    fn from(error: PushError) -> Self {
        let headers = match error {
            PushError::Fenced { epoch } => vec![(EPOCH, epoch)],
            PushError::Gap { expected, received } => {
                vec![(EXPECTED, expected), (RECEIVED, received)]
            }
            PushError::Fed | PushError::Busy | PushError::Superseded | PushError::Over => {
                Vec::new()
            }
        };
        Self {
            problem: Problem::new(StatusCode::CONFLICT, error.to_string()),
            headers,
        }
    }
}
