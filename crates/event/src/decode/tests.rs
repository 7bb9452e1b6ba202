//! The decoder by the clauses of the standard, and what it promises beyond them.

mod clauses;
mod cost;
mod limit;
mod properties;

use std::time::Duration;

use super::reference::Reading;
use super::*;
use crate::EventId;

/// What a decoder made of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    /// Type, data and last event id of each event, or the error in its place.
    events: Vec<Result<(String, String, String), DecodeError>>,
    last_event_id: String,
    retry: Option<Duration>,
}

impl From<Reading> for Outcome {
    fn from(reading: Reading) -> Self {
        Self {
            events: reading.events.into_iter().map(Ok).collect(),
            last_event_id: reading.last_event_id,
            retry: reading.retry.map(Duration::from_millis),
        }
    }
}

/// Decodes a stream that comes in `chunks`.
fn decode_chunks<'c>(mut decoder: Decoder, chunks: impl IntoIterator<Item = &'c [u8]>) -> Outcome {
    let mut events = Vec::new();
    for mut input in chunks {
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => events.push(Ok((
                    message.event_type().to_owned(),
                    message.data().to_owned(),
                    message.last_event_id().to_owned(),
                ))),
                Ok(None) => break,
                Err(error) => events.push(Err(error)),
            }
        }
        assert!(input.is_empty(), "decode left input behind");
    }
    let last_event_id = decoder.last_event_id().to_owned();
    Outcome {
        events,
        last_event_id,
        retry: decoder.retry(),
    }
}

fn decode(stream: impl AsRef<[u8]>) -> Outcome {
    decode_chunks(Decoder::new(), [stream.as_ref()])
}

/// The data of each event of a stream that has no errors.
fn data(stream: impl AsRef<[u8]>) -> Vec<String> {
    decode(stream)
        .events
        .into_iter()
        .map(|event| event.unwrap().1)
        .collect()
}

/// Type, data and last event id of each event of a stream that has no errors.
fn events(stream: &str) -> Vec<(String, String, String)> {
    decode(stream)
        .events
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

fn event(event_type: &str, data: &str, last_event_id: &str) -> (String, String, String) {
    (event_type.into(), data.into(), last_event_id.into())
}
