//! What a reader got, as a client would understand it.

use std::task::{Context, Poll, Waker};

use wellspring::event::Decoder;
use wellspring::{Cursor, Gap, Next, Reader};

/// One event as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) data: String,
    pub(crate) id: String,
}

impl Got {
    /// The event's number.
    pub(crate) fn seq(&self) -> u64 {
        self.id.parse::<Cursor>().expect("an id of ours").next - 1
    }
}

pub(crate) fn decode(mut bytes: &[u8]) -> Vec<Got> {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    while let Some(message) = decoder.decode(&mut bytes).expect("a small event") {
        events.push(Got {
            data: message.data().to_owned(),
            id: message.last_event_id().to_owned(),
        });
    }
    events
}

/// The events of one slice.
pub(crate) fn events(next: Next) -> Vec<Got> {
    let Next::Events { bytes, events } = next else {
        panic!("{next:?} instead of events");
    };
    let got = decode(&bytes);
    assert_eq!(got.len(), events as usize);
    got
}

/// The data of the events that are there now; the reader has nothing else to say.
pub(crate) fn all(reader: &mut Reader) -> Vec<String> {
    let mut all = Vec::new();
    while let Poll::Ready(next) = poll(reader) {
        all.extend(events(next).into_iter().map(|event| event.data));
    }
    all
}

/// What is next, which is a gap.
pub(crate) fn gap(reader: &mut Reader) -> Gap {
    match poll(reader) {
        Poll::Ready(Next::Gap(gap)) => gap,
        other => panic!("{other:?} instead of a gap"),
    }
}

pub(crate) fn poll(reader: &mut Reader) -> Poll<Next> {
    reader.poll_next(&mut Context::from_waker(Waker::noop()))
}

pub(crate) fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}
