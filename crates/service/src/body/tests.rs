use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use wellspring_event::{Decoder, Event};

use super::*;
use crate::log::{Log, LogOptions, Overflow, Retention};
use crate::position::Start;

#[tokio::test]
async fn headers_leave_at_once_with_a_comment_and_the_retry_time() {
    let log = Log::new(LogOptions::default());
    let mut body = EventBody::new(log.read(Start::Tail), StreamOptions::default());
    let opening = frame(&mut body).await.unwrap();
    let retry = opening.strip_prefix(":\nretry: ").unwrap();
    let retry: u64 = retry.strip_suffix('\n').unwrap().parse().unwrap();
    assert!((1_000..=4_000).contains(&retry), "{retry}");
}

#[tokio::test]
async fn the_retry_time_is_in_the_first_events_block() {
    let log = Log::new(LogOptions::default());
    let options = StreamOptions::default()
        .with_retry(Duration::from_millis(2_500)..=Duration::from_millis(2_500));
    let mut body = EventBody::new(log.read(Start::Tail), options);
    let position = log.append(&Event::new("first")).unwrap();
    let wire = [
        frame(&mut body).await.unwrap(),
        frame(&mut body).await.unwrap(),
    ]
    .concat();
    assert_eq!(
        wire,
        format!(":\nretry: 2500\ndata: first\nid: {position}\n\n")
    );

    let (mut decoder, mut bytes) = (Decoder::new(), wire.as_bytes());
    let message = decoder.decode(&mut bytes).unwrap().expect("one event");
    assert_eq!(message.data(), "first");
    assert_eq!(message.last_event_id(), position.to_string());
    assert_eq!(decoder.decode(&mut bytes).unwrap(), None);
    assert_eq!(decoder.retry(), Some(Duration::from_millis(2_500)));
}

#[tokio::test]
async fn without_a_retry_time_the_opening_is_a_comment() {
    let log = Log::new(LogOptions::default());
    let mut body = EventBody::new(log.read(Start::Tail), silent());
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
}

#[tokio::test(start_paused = true)]
async fn it_beats_from_the_start_and_after_every_event() {
    let log = Log::new(LogOptions::default());
    let options = StreamOptions::default().with_retry(None);
    let mut body = EventBody::new(log.read(Start::Tail), options);
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
    for _ in 0..5 {
        let begun = Instant::now();
        assert_eq!(frame(&mut body).await.unwrap(), ":\n");
        let silence = begun.elapsed().as_millis();
        assert!((7_500..=10_001).contains(&silence), "{silence} ms");

        log.append(&Event::new("x")).unwrap();
        let begun = Instant::now();
        assert!(frame(&mut body).await.unwrap().contains("data: x\n"));
        assert_eq!(
            begun.elapsed(),
            Duration::ZERO,
            "an event waits for nothing"
        );
    }
}

#[tokio::test]
async fn a_complete_log_ends_the_body_cleanly() {
    let log = Log::new(LogOptions::default());
    log.append(&Event::new("all")).unwrap();
    log.close(End::Complete);
    let (mut body, delivered) = watched(EventBody::new(log.read(Start::Earliest), silent()));
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
    let event = frame(&mut body).await.unwrap();
    assert!(!body.is_end_stream());
    assert!(frame(&mut body).await.is_none());
    assert!(body.is_end_stream());
    assert_eq!(
        log.readers(),
        0,
        "the reader goes with the end, not with the body"
    );
    assert!(delivered.lock().unwrap().is_none());
    drop(body);
    let expected = Delivered {
        events: 1,
        bytes: 2 + event.len() as u64,
        outcome: Outcome::Ended(End::Complete),
    };
    assert_eq!(*delivered.lock().unwrap(), Some(expected));
}

#[tokio::test]
async fn a_drained_log_ends_the_body_with_a_retry_line() {
    let log = Log::new(LogOptions::default());
    let options =
        StreamOptions::default().with_retry(Duration::from_secs(1)..=Duration::from_secs(1));
    let (mut body, delivered) = watched(EventBody::new(log.read(Start::Tail), options));
    assert_eq!(frame(&mut body).await.unwrap(), ":\nretry: 1000\n");
    log.append(&Event::new("last")).unwrap();
    log.close(End::Drained);
    assert!(frame(&mut body).await.unwrap().contains("data: last\n"));
    assert_eq!(frame(&mut body).await.unwrap(), "retry: 1000\n");
    assert!(body.is_end_stream());
    assert!(frame(&mut body).await.is_none());
    drop(body);
    let delivered = delivered.lock().unwrap().unwrap();
    assert_eq!(delivered.outcome, Outcome::Ended(End::Drained));
}

#[tokio::test]
async fn a_failed_log_breaks_the_body() {
    let log = Log::new(LogOptions::default());
    log.append(&Event::new("half")).unwrap();
    log.close(End::Failed);
    let (mut body, delivered) = watched(EventBody::new(log.read(Start::Earliest), silent()));
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
    assert!(frame(&mut body).await.unwrap().contains("data: half\n"));
    let broken = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
    assert_eq!(broken.unwrap().unwrap_err(), Broken);
    assert!(frame(&mut body).await.is_none());
    drop(body);
    let delivered = delivered.lock().unwrap().unwrap();
    assert_eq!(delivered.outcome, Outcome::Ended(End::Failed));
}

#[tokio::test]
async fn a_reader_that_fell_behind_ends_cleanly() {
    let retention = Retention::default().with_events(2);
    let log = Log::new(LogOptions::default().with_retention(retention));
    log.append(&Event::new("0")).unwrap();
    let (mut body, delivered) = watched(EventBody::new(log.read(Start::Earliest), silent()));
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
    assert!(frame(&mut body).await.unwrap().contains("data: 0\n"));
    for number in 1..10 {
        log.append(&Event::new(number.to_string())).unwrap();
    }
    assert!(frame(&mut body).await.is_none());
    drop(body);
    let delivered = delivered.lock().unwrap().unwrap();
    assert_eq!(delivered.outcome, Outcome::Ended(End::Overflow));
}

#[tokio::test]
async fn a_gap_counts_as_an_event() {
    let options = LogOptions::default().with_overflow(Overflow::Skip);
    let log = Log::new(options);
    let start = Start::from_last_event_id("zzzzzz-000000000009");
    let (mut body, delivered) = watched(EventBody::new(log.read(start), silent()));
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
    assert!(frame(&mut body).await.unwrap().starts_with("event: gap\n"));
    drop(body);
    let delivered = delivered.lock().unwrap().unwrap();
    assert_eq!((delivered.events, delivered.outcome), (1, Outcome::Left));
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_ends_at_its_age() {
    let log = Log::new(LogOptions::default());
    let options = silent().with_max_age(Duration::from_secs(60));
    let (mut body, delivered) = watched(EventBody::new(log.read(Start::Tail), options));
    assert_eq!(frame(&mut body).await.unwrap(), ":\n");
    let begun = Instant::now();
    assert!(frame(&mut body).await.is_none());
    assert!((45_000..=60_001).contains(&begun.elapsed().as_millis()));
    assert_eq!(log.readers(), 0);
    drop(body);
    assert_eq!(delivered.lock().unwrap().unwrap().outcome, Outcome::Expired);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_never_idle_ends_at_its_age_too() {
    let log = Log::new(LogOptions::default());
    let options = silent().with_max_age(Duration::from_secs(60));
    let mut body = EventBody::new(log.read(Start::Tail), options);
    let begun = Instant::now();
    let mut frames = 0;
    loop {
        log.append(&Event::new("more")).unwrap();
        if frame(&mut body).await.is_none() {
            break;
        }
        frames += 1;
        assert!(frames < 100, "it goes on and on");
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(
        (45..=62).contains(&begun.elapsed().as_secs()),
        "{frames} frames"
    );
}

#[tokio::test]
async fn what_is_full_has_a_length_and_what_streams_has_none() {
    let mut body = EventBody::full("sorry\n");
    assert_eq!(body.size_hint().exact(), Some(6));
    assert_eq!(frame(&mut body).await.unwrap(), "sorry\n");
    assert!(body.is_end_stream() && frame(&mut body).await.is_none());

    let empty = EventBody::full("");
    assert!(empty.is_end_stream());
    assert_eq!(empty.size_hint().exact(), Some(0));

    let log = Log::new(LogOptions::default());
    let stream = EventBody::new(log.read(Start::Tail), silent());
    assert_eq!(stream.size_hint().exact(), None);
    assert!(!stream.is_end_stream());
}

#[test]
fn a_body_goes_to_any_thread() {
    fn assert<T: Send + Sync + Unpin + 'static>() {}
    assert::<EventBody>();
}

/// Nothing but the opening comment and what the source says.
fn silent() -> StreamOptions {
    StreamOptions::default()
        .with_heartbeat(None)
        .with_retry(None)
}

async fn frame(body: &mut EventBody) -> Option<String> {
    let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
    let bytes = frame.expect("not broken").into_data().expect("no trailers");
    assert!(!bytes.is_empty(), "an empty frame");
    Some(String::from_utf8(bytes.into()).unwrap())
}

/// The body, and what it says when it is over.
fn watched(body: EventBody) -> (EventBody, Arc<Mutex<Option<Delivered>>>) {
    let over = Arc::new(Mutex::new(None));
    let told = over.clone();
    let body = body.on_end(move |delivered| *told.lock().unwrap() = Some(delivered));
    (body, over)
}
