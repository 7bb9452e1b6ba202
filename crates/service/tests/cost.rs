//! What a stream costs: nothing per delivery, and little to hold.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::{AllocationInfo, measure};
use http_body::Body;
use wellspring::event::Event;
use wellspring::{
    EventBody, Hub, Log, LogOptions, LogReader, Reader, Start, StreamOptions, TopicName,
    enter_shard,
};

const READERS: usize = 1_000;

/// What an event costs, however many read it: a slice is assembled once for the readers of one core
/// (these are of one), and shared with a count of its references.
const SLICE: u64 = 2;

#[test]
fn a_reader_is_some_tens_of_bytes() {
    println!("LogReader {LOG_READER}, Reader {READER}, EventBody {EVENT_BODY}");
    const { assert!(LOG_READER <= 88 && READER <= 88 && EVENT_BODY <= 200) };
}

const LOG_READER: usize = size_of::<LogReader>();
const READER: usize = size_of::<Reader>();
const EVENT_BODY: usize = size_of::<EventBody>();

/// A stream of a shard that waits: its body, its timer, its place among the parked. (The lists of both
/// have room for twice as many, at worst.)
#[tokio::test]
async fn an_idle_stream_of_a_shard_holds_a_quarter_of_a_kilobyte() {
    enter_shard(0);
    let each = idle_stream();
    println!("{each} bytes per idle stream of a shard");
    assert!(each <= 256, "{each} bytes");
}

/// The same elsewhere, where it has a timer of its own.
#[tokio::test]
async fn an_idle_stream_holds_less_than_half_a_kilobyte() {
    let each = idle_stream();
    println!("{each} bytes per idle stream");
    assert!(each < 512, "{each} bytes");
}

fn idle_stream() -> usize {
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
    EVENT_BODY + held.bytes_current as usize / READERS
}

/// A topic that had one event and has no readers, its name and its place in the hub included.
#[test]
fn an_idle_topic_holds_less_than_a_kilobyte() {
    let hub = Hub::default();
    let mut cx = Context::from_waker(Waker::noop());
    let event = Event::new("x".repeat(100));
    let held = measure(|| {
        for number in 0..1_000 {
            let topic = TopicName::new(&format!("topic {number}")).unwrap();
            let mut publishing = std::pin::pin!(hub.publish(&topic, &event));
            assert!(publishing.as_mut().poll(&mut cx).is_ready());
        }
    });
    let each = held.bytes_current / 1_000;
    println!("{each} bytes per idle topic");
    assert!(each < 1_024, "{each} bytes");
}

/// From one core to another: the publisher rings, the core's task wakes, its wheel keeps the time.
#[test]
fn a_delivery_on_another_core_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async { enter_shard(1) });
    let log = Log::new(LogOptions::default());
    let event = Event::new("x".repeat(100));
    let mut bodies: Vec<EventBody> = (0..READERS)
        .map(|_| EventBody::new(log.read(Start::Tail), StreamOptions::default()))
        .collect();
    std::thread::scope(|threads| {
        let (go, gone) = std::sync::mpsc::sync_channel(1);
        let (done, published) = std::sync::mpsc::sync_channel(1);
        threads.spawn(|| {
            let done = done;
            for () in gone {
                let cost = measure(|| assert!(log.append(&event).is_ok()));
                done.send(cost.count_total).unwrap();
            }
        });
        let mut costs = [0; 3];
        for round in 0..30 {
            go.send(()).unwrap();
            let publishing = published.recv().unwrap();
            let waking = measure(|| runtime.block_on(a_turn()));
            let reading = measure(|| {
                assert_eq!(bodies.iter_mut().map(read_up).sum::<usize>(), READERS);
            });
            // As in `in_steady_state`.
            if round >= 20 {
                costs[0] += publishing;
                costs[1] += waking.count_total;
                costs[2] += reading.count_total;
            }
        }
        drop(go);
        assert_eq!(costs, [0, 0, 10 * SLICE], "to publish, to wake, to read");
    });
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

/// Everything else that this thread's runtime has to do. (Tokio's own `yield_now` allocates.)
async fn a_turn() {
    let mut yielded = false;
    let turn = |cx: &mut Context<'_>| {
        cx.waker().wake_by_ref();
        match std::mem::replace(&mut yielded, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    };
    std::future::poll_fn(turn).await;
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
