//! Work to count the instructions of: `instructions <work> <times>` does it so many times.
//!
//! `.ci/instructions` runs each under valgrind, twice as often the second time; the difference is what one costs. Counts
//! do not depend on how busy the machine is, so CI can hold them to 2%.

use std::{
    hint::black_box,
    pin::Pin,
    process::ExitCode,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::Body;
use wellspring::{EventBody, Log, LogOptions, Retention, Start, StreamOptions};
use wellspring_event::{Decoder, Event, EventId};

/// What an LLM token's event is to its id and its data.
const ID: &str = "k3v9x2-000000001234";
/// A chunk of an OpenAI stream: 169 bytes on the wire.
const CHUNK: &str = r#"{"id":"chatcmpl-A1b2C3d4E5f6","object":"chat.completion.chunk","created":1750000000,"model":"gpt-x","choices":[{"index":0,"delta":{"content":" spring"}}]}"#;
/// Bodies that are parked on one log.
const BODIES: usize = 100;

type Work = (&'static str, fn(usize));

const WORKS: [Work; 6] = [
    ("encode-append", encode_append),
    ("encode-bytes", encode_bytes),
    ("decode-owned", decode_owned),
    ("decode-lent", decode_lent),
    ("log-append", log_append),
    ("deliver", deliver),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let work = arguments
        .first()
        .and_then(|name| WORKS.iter().find(|work| work.0 == name));
    let times = arguments.get(1).and_then(|times| times.parse().ok());
    if let (Some((_, work)), Some(times)) = (work, times) {
        work(times);
        return ExitCode::SUCCESS;
    }
    if arguments.is_empty() {
        for (name, _) in WORKS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    }
    eprintln!("instructions: give a work (none lists them) and how often");
    ExitCode::from(2)
}

fn event(data: &str) -> Event<'_> {
    Event::new(data).with_id(EventId::new(ID).expect("an id"))
}

/// 164 bytes of data, encoded behind one another into a buffer with room.
fn encode_append(times: usize) {
    let data = "x".repeat(164);
    let event = event(&data);
    let mut segment = Vec::with_capacity(64 * 1024);
    for _ in 0..times {
        if segment.capacity() - segment.len() < 256 {
            black_box(&segment).len();
            segment.clear();
        }
        black_box(&event).encode(&mut segment);
    }
}

/// The same, each into `Bytes` of its own.
fn encode_bytes(times: usize) {
    let data = "x".repeat(164);
    let event = event(&data);
    for _ in 0..times {
        black_box(black_box(&event).to_bytes());
    }
}

fn decode_owned(times: usize) {
    decode(times, |data| {
        black_box(data.to_owned());
    });
}

fn decode_lent(times: usize) {
    decode(times, |data| {
        black_box(data);
    });
}

/// LLM chunks, read in pieces as they come off the network.
fn decode(times: usize, each: fn(&str)) {
    let wire = Event::new(CHUNK).to_bytes().repeat(1_000);
    let mut decoder = Decoder::default();
    let mut events = 0;
    'whole: loop {
        for mut input in wire.chunks(1_460) {
            while let Some(message) = decoder.decode(&mut input).expect("within the limit") {
                each(message.data());
                events += 1;
                if events == times {
                    break 'whole;
                }
            }
        }
    }
}

/// One event into a log that is full and drops its oldest for each.
fn log_append(times: usize) {
    let log = Log::new(retaining_little());
    let data = "x".repeat(164);
    let event = event(&data);
    for _ in 0..times {
        log.append(black_box(&event)).expect("it is small");
    }
}

/// One event to one of many bodies that wait for it: append, wake and encode are shared by all of them.
fn deliver(times: usize) {
    let log = Log::new(retaining_little());
    let data = "x".repeat(100);
    let event = event(&data);
    // Without a heartbeat: its timer wants a runtime.
    let options = StreamOptions::default()
        .with_heartbeat(None)
        .with_retry(None);
    let mut bodies: Vec<EventBody> = (0..BODIES)
        .map(|_| EventBody::new(log.read(Start::Tail), options.clone()))
        .collect();
    let mut context = Context::from_waker(Waker::noop());
    let mut read = |body: &mut EventBody| -> Option<Bytes> {
        match Pin::new(body).poll_frame(&mut context) {
            Poll::Ready(frame) => frame?.ok()?.into_data().ok(),
            Poll::Pending => None,
        }
    };
    for body in &mut bodies {
        while read(body).is_some() {}
    }
    for _ in 0..times.div_ceil(BODIES) {
        log.append(black_box(&event)).expect("it is small");
        for body in &mut bodies {
            let frame = read(body).expect("an event");
            black_box(frame);
            assert!(read(body).is_none(), "one event each");
        }
    }
}

fn retaining_little() -> LogOptions {
    LogOptions::default().with_retention(Retention::default().with_bytes(64 * 1024))
}
