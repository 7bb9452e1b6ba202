//! What a stream costs: nothing per delivery, and little to hold.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::{AllocationInfo, measure};
use http_body::Body;
use wellspring::event::Event;
use wellspring::{
    EventBody, Hub, Log, LogOptions, LogReader, Reader, Start, StreamOptions, TopicName,
};

const READERS: usize = 1_000;

/// What an event costs, however many read it: a slice is assembled once for the readers of one core
/// (these are of one), and shared with a count of its references.
const SLICE: u64 = 2;

#[test]
fn a_reader_is_some_tens_of_bytes() {
    assert!(size_of::<LogReader>() < 200, "{}", size_of::<LogReader>());
    assert!(size_of::<Reader>() < 200, "{}", size_of::<Reader>());
    assert!(size_of::<EventBody>() < 400, "{}", size_of::<EventBody>());
    println!(
        "LogReader {}, EventBody {}",
        size_of::<LogReader>(),
        size_of::<EventBody>()
    );
}

/// A stream that waits: its body, its timer, its place among the parked.
#[tokio::test]
async fn an_idle_stream_holds_less_than_a_kilobyte() {
    let log = Log::new(LogOptions::default());
    let mut bodies = Vec::with_capacity(READERS);
    let held = measure(|| {
        let options = StreamOptions::default;
        bodies.extend((0..READERS).map(|_| EventBody::new(log.read(Start::Tail), options())));
        for body in &mut bodies {
            read_up(body);
        }
    });
    assert_eq!(log.parked(), READERS);
    let each = size_of::<EventBody>() + held.bytes_current as usize / READERS;
    println!("{each} bytes per idle stream");
    assert!(each < 1_024, "{each} bytes");
}

#[tokio::test]
async fn a_delivery_to_a_parked_reader_allocates_nothing() {
    let log = Log::new(LogOptions::default());
    let event = Event::new("x".repeat(100));
    let mut bodies: Vec<EventBody> = (0..READERS).map(|_| body(&log)).collect();
    let cost = in_steady_state(|| {
        log.append(&event).unwrap();
        bodies.iter_mut().map(read_up).sum()
    });
    assert_eq!(cost.count_total, SLICE, "{cost:?} for {READERS} deliveries");
}

#[tokio::test]
async fn a_delivery_from_one_of_several_topics_allocates_nothing() {
    let hub = Hub::default();
    let topics = ["a", "b"].map(|name| TopicName::new(name).unwrap());
    let event = Event::new("x".repeat(100));
    let mut bodies: Vec<EventBody> = (0..READERS)
        .map(|_| EventBody::new(hub.subscribe(&topics, Start::Tail).unwrap(), quiet()))
        .collect();
    let mut cx = Context::from_waker(Waker::noop());
    let cost = in_steady_state(|| {
        let mut publishing = std::pin::pin!(hub.publish(&topics[0], &event));
        assert!(publishing.as_mut().poll(&mut cx).is_ready());
        bodies.iter_mut().map(read_up).sum()
    });
    assert_eq!(cost.count_total, SLICE, "{cost:?} for {READERS} deliveries");
}

#[test]
fn a_poll_that_finds_nothing_allocates_nothing() {
    let log = Log::new(LogOptions::default());
    let mut body = body(&log);
    read_up(&mut body);
    let cost = measure(|| assert_eq!(read_up(&mut body), 0));
    assert_eq!(cost.count_total, 0);
}

#[test]
fn what_is_taken_by_a_crowd_goes_with_it() {
    let log = Log::new(LogOptions::default());
    let event = Event::new("x");
    let left = measure(|| {
        let mut readers: Vec<LogReader> = (0..10_000).map(|_| log.read(Start::Tail)).collect();
        for _ in 0..3 {
            let mut cx = Context::from_waker(Waker::noop());
            for reader in &mut readers {
                while reader.poll_next(&mut cx).is_ready() {}
            }
            log.append(&event).unwrap();
        }
        for reader in &mut readers {
            while reader
                .poll_next(&mut Context::from_waker(Waker::noop()))
                .is_ready()
            {}
        }
    });
    assert!(left.bytes_current < 2_048, "{left:?}");
}

/// What one round costs after a few of them, where each delivers one event to all.
fn in_steady_state(mut round: impl FnMut() -> usize) -> AllocationInfo {
    // Enough for every list to have its room; a segment's growth and the next one's start lie within.
    for _ in 0..20 {
        assert_eq!(round(), READERS);
    }
    measure(|| assert_eq!(round(), READERS))
}

fn body(log: &Log) -> EventBody {
    EventBody::new(log.read(Start::Tail), quiet())
}

/// Reads what there is; says how many frames of events that were.
fn read_up(body: &mut EventBody) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut events = 0;
    while let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut cx) {
        let bytes = frame.expect("not the end").expect("not broken");
        let bytes = bytes.into_data().expect("no trailers");
        events += usize::from(bytes.ends_with(b"\n\n"));
    }
    events
}

fn quiet() -> StreamOptions {
    StreamOptions::default().with_heartbeat(None)
}
