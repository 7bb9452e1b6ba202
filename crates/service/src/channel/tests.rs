use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use http_body::Body;
use wellspring_event::Decoder;

use super::*;
use crate::body::{Broken, Outcome};

/// Three of these fit into [`CAPACITY`], a fourth does not.
const EVENT: &str = "0123456789";
const CAPACITY: usize = 64;

#[tokio::test]
async fn a_burst_leaves_as_one_frame() {
    let (mut sender, mut body) = quiet(CAPACITY);
    for _ in 0..3 {
        sender.send(&Event::new(EVENT)).await.unwrap();
    }
    sender.finish();
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
    assert_eq!(
        frame(&mut body).await.unwrap(),
        format!("data: {EVENT}\n\n").repeat(3)
    );
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn sending_waits_for_room_and_goes_on() {
    let (mut sender, mut body) = quiet(CAPACITY);
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
    for _ in 0..3 {
        sender.send(&Event::new(EVENT)).await.unwrap();
    }
    let (task, event) = (Count::new(), Event::new("fourth"));
    {
        let mut full = pin!(sender.send(&event));
        assert!(task.poll(full.as_mut()).is_pending());
        assert_eq!(task.woken(), 0);
        assert_eq!(frame(&mut body).await.unwrap().matches("data:").count(), 3);
        assert_eq!(task.woken(), 1, "there is room, and the producer is told");
        assert_eq!(task.poll(full.as_mut()), Poll::Ready(Ok(())));
    }
    assert_eq!(frame(&mut body).await.unwrap(), "data: fourth\n\n");
}

#[tokio::test]
async fn an_event_larger_than_the_room_goes_alone() {
    let (mut sender, mut body) = quiet(4);
    sender.send(&Event::new(EVENT)).await.unwrap();
    let event = Event::new(EVENT);
    assert!(Count::new().poll(pin!(sender.send(&event))).is_pending());
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
    assert_eq!(
        frame(&mut body).await.unwrap(),
        format!("data: {EVENT}\n\n")
    );
    sender.send(&event).await.unwrap();
}

#[tokio::test]
async fn what_was_not_awaited_to_its_end_was_not_sent() {
    let (mut sender, mut body) = quiet(4);
    sender.send(&Event::new("first")).await.unwrap();
    let dropped = Event::new("dropped");
    assert!(Count::new().poll(pin!(sender.send(&dropped))).is_pending());
    assert!(frame(&mut body).await.is_some());
    assert_eq!(frame(&mut body).await.unwrap(), "data: first\n\n");
    sender.send(&Event::new("second")).await.unwrap();
    sender.finish();
    assert_eq!(frame(&mut body).await.unwrap(), "data: second\n\n");
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn a_producer_learns_that_the_client_has_gone() {
    let (mut sender, body) = quiet(4);
    sender.send(&Event::new("first")).await.unwrap();
    let (task, event) = (Count::new(), Event::new("second"));
    {
        let mut full = pin!(sender.send(&event));
        assert!(task.poll(full.as_mut()).is_pending());
        drop(body);
        assert_eq!(task.woken(), 1);
        assert_eq!(task.poll(full.as_mut()), Poll::Ready(Err(ReaderGone)));
    }
    assert_eq!(sender.send(&event).await, Err(ReaderGone));
    sender.closed().await;
}

#[tokio::test]
async fn closed_resolves_when_the_body_is_dropped() {
    let (mut sender, body) = quiet(CAPACITY);
    let task = Count::new();
    let mut closed = pin!(sender.closed());
    assert!(task.poll(closed.as_mut()).is_pending());
    drop(body);
    assert_eq!(task.woken(), 1);
    assert!(task.poll(closed.as_mut()).is_ready());
}

#[tokio::test]
async fn a_producer_that_vanishes_breaks_the_stream_after_what_it_sent() {
    let (mut sender, mut body) = quiet(CAPACITY);
    sender.send(&Event::new("half of it")).await.unwrap();
    drop(sender);
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
    assert_eq!(frame(&mut body).await.unwrap(), "data: half of it\n\n");
    let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
    assert_eq!(next.unwrap().unwrap_err(), Broken);
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn the_reader_is_woken_by_an_event_and_by_the_end() {
    let (mut sender, mut body) = quiet(CAPACITY);
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
    let task = Count::new();
    let poll = |body: &mut EventBody| {
        let next = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
        task.poll(pin!(next)).is_ready()
    };
    assert!(!poll(&mut body));
    sender.send(&Event::new("a")).await.unwrap();
    assert_eq!(task.woken(), 1);
    assert!(poll(&mut body) && !poll(&mut body));
    sender.finish();
    assert_eq!(task.woken(), 2);
    assert!(poll(&mut body));
}

#[tokio::test]
async fn a_slow_client_gets_everything_in_order() {
    const EVENTS: u32 = 1_000;
    let (mut sender, mut body) = quiet(200);
    let producer = tokio::spawn(async move {
        for number in 0..EVENTS {
            sender.send(&Event::new(number.to_string())).await.unwrap();
        }
        sender.finish();
    });
    let (sender_outcome, outcome) = tokio::sync::oneshot::channel();
    body = body.on_end(|delivered| sender_outcome.send(delivered).unwrap());
    let (mut decoder, mut expected) = (Decoder::new(), 0u32);
    while let Some(text) = frame(&mut body).await {
        assert!(text.len() <= 200);
        let mut bytes = text.as_bytes();
        while let Some(message) = decoder.decode(&mut bytes).unwrap() {
            assert_eq!(message.data(), expected.to_string());
            expected += 1;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(expected, EVENTS);
    producer.await.unwrap();
    drop(body);
    let delivered = outcome.await.unwrap();
    assert_eq!(delivered.events, u64::from(EVENTS));
    assert_eq!(delivered.outcome, Outcome::Ended(End::Complete));
}

/// A channel whose body says nothing by itself but its opening line.
fn quiet(capacity: usize) -> (Sender, EventBody) {
    let options = StreamOptions::default()
        .with_heartbeat(None)
        .with_retry(None);
    channel(capacity, options)
}

async fn frame(body: &mut EventBody) -> Option<String> {
    let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
    let bytes = frame.expect("not broken").into_data().expect("no trailers");
    assert!(!bytes.is_empty());
    Some(String::from_utf8(bytes.into()).unwrap())
}

/// A task that only counts how often it is woken.
struct Count(AtomicUsize);

impl Count {
    fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self(AtomicUsize::new(0)))
    }

    fn poll<F: Future>(self: &std::sync::Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&self.clone().into()))
    }

    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
