//! Parking and waking, through every interleaving with up to three preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg wellspring_loom" cargo test -p wellspring --release --test loom
//! ```
//!
//! A wake-up that is lost shows as loom's "deadlock": the reader's thread blocks, and nobody is left
//! to unblock it.
#![cfg(wellspring_loom)]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use http_body::Body;
use loom::future::block_on;
use loom::thread;
use wellspring::event::{Decoder, Event};
use wellspring::{
    Attendant, End, Hub, HubOptions, Log, LogOptions, LogReader, Next, Overflow, Reader, Retention,
    Start, StreamOptions, TopicName, attend, channel, enter_shard,
};

#[test]
fn append_against_park() {
    model(|| {
        let log = Log::new(LogOptions::default());
        let mut reader = log.read(Start::Tail);
        let publisher = thread::spawn(move || {
            append(&log, "a");
            append(&log, "b");
        });
        assert_eq!(read(&mut reader, 2), ["a", "b"]);
        publisher.join().unwrap();
    });
}

#[test]
fn two_appends_against_park() {
    model(|| {
        let log = Log::new(LogOptions::default());
        let mut reader = log.read(Start::Tail);
        let other = log.clone();
        let publisher = thread::spawn(move || append(&other, "x"));
        append(&log, "x");
        assert_eq!(read(&mut reader, 2), ["x", "x"]);
        publisher.join().unwrap();
    });
}

#[test]
fn close_against_park() {
    model(|| {
        let log = Log::new(LogOptions::default());
        let mut reader = log.read(Start::Tail);
        let publisher = thread::spawn(move || {
            append(&log, "a");
            log.close(End::Complete);
        });
        assert_eq!(read(&mut reader, 1), ["a"]);
        assert_eq!(block_on(reader.next()), Next::End(End::Complete));
        publisher.join().unwrap();
    });
}

#[test]
fn drop_against_wake() {
    model(|| {
        let log = Log::new(LogOptions::default());
        let (mut leaving, gone) = (log.read(Start::Tail), Count::new());
        let (mut staying, here) = (log.read(Start::Tail), Count::new());
        assert!(gone.poll(&mut leaving).is_pending());
        assert!(here.poll(&mut staying).is_pending());
        assert_eq!((log.readers(), log.parked()), (2, 2));

        let leaver = thread::spawn(move || drop(leaving));
        append(&log, "a");
        // It parks again, perhaps in the place of the one that is leaving.
        assert!(here.poll(&mut staying).is_ready() && here.poll(&mut staying).is_pending());
        leaver.join().unwrap();

        assert_eq!((log.readers(), log.parked()), (1, 1));
        assert_eq!(here.woken(), 1);
        assert!(gone.woken() <= 1);
        append(&log, "b");
        assert_eq!(here.woken(), 2);
        assert!(gone.woken() <= 1, "woken after it had gone");
        assert!(here.poll(&mut staying).is_ready() && here.poll(&mut staying).is_pending());
        drop(staying);
        assert_eq!((log.readers(), log.parked()), (0, 0));
    });
}

#[test]
fn exactly_the_parked_are_woken() {
    model(|| {
        let log = Log::new(LogOptions::default());
        let (mut parked, waiting) = (log.read(Start::Tail), Count::new());
        let (mut moving, before, after) = (log.read(Start::Tail), Count::new(), Count::new());
        let busy = log.read(Start::Tail);
        assert!(waiting.poll(&mut parked).is_pending());
        assert!(before.poll(&mut moving).is_pending());

        // A stream that moves to another task while an event comes: the new task either finds the
        // event or is woken for it, and is not woken twice.
        let other = log.clone();
        let publisher = thread::spawn(move || append(&other, "a"));
        let found = after.poll(&mut moving).is_ready();
        publisher.join().unwrap();

        assert_eq!(waiting.woken(), 1);
        assert!(found || after.woken() == 1);
        assert!(before.woken() + after.woken() <= 1 + usize::from(found));
        assert_eq!(log.parked(), 0, "nobody has parked again");
        drop(busy);
    });
}

#[test]
fn each_lane_wakes_its_own() {
    model(|| {
        let log = Log::new(LogOptions::default());
        enter_shard(0);
        let mut first = log.read(Start::Tail);
        enter_shard(1);
        let mut second = log.read(Start::Tail);
        let reading = thread::spawn(move || read(&mut second, 1));
        let publisher = {
            let log = log.clone();
            thread::spawn(move || append(&log, "a"))
        };
        assert_eq!(read(&mut first, 1), ["a"]);
        assert_eq!(reading.join().unwrap(), ["a"]);
        publisher.join().unwrap();
    });
}

/// A core beside a publisher: its task answers the bell while its reader reads.
#[test]
fn appends_against_a_core() {
    model(|| {
        let log = Log::new(LogOptions::default());
        let mut core = attend(0);
        let mut reader = log.read(Start::Tail);
        let publisher = thread::spawn(move || {
            append(&log, "a");
            append(&log, "b");
        });
        let mut data = Vec::new();
        block_on(std::future::poll_fn(|cx| {
            let _ = Pin::new(&mut core).poll(cx);
            while data.len() < 2 {
                match std::task::ready!(reader.poll_next(cx)) {
                    Next::Events { bytes, .. } => data.extend(decode(&bytes)),
                    other => panic!("{other:?} instead of an event"),
                }
            }
            Poll::Ready(())
        }));
        assert_eq!(data, ["a", "b"]);
        publisher.join().unwrap();
    });
}

/// However many publishers ring for however many logs, the core's task is woken once, and each reader.
#[test]
fn two_publishers_ring_once() {
    model(|| {
        let logs = [(); 2].map(|()| Log::new(LogOptions::default()));
        let (mut core, ringing) = (attend(0), Count::new());
        assert!(ringing.attend(&mut core).is_pending());
        let mut readers = logs.each_ref().map(|log| log.read(Start::Tail));
        let waiting = [(); 2].map(|()| Count::new());
        for (reader, waiting) in readers.iter_mut().zip(&waiting) {
            assert!(waiting.poll(reader).is_pending());
        }
        let publishers = logs.map(|log| {
            thread::spawn(move || {
                append(&log, "a");
                append(&log, "b");
            })
        });
        for publisher in publishers {
            publisher.join().unwrap();
        }
        assert_eq!(ringing.woken(), 1);
        assert_eq!(waiting.each_ref().map(|task| task.woken()), [0, 0]);
        assert!(ringing.attend(&mut core).is_pending());
        assert_eq!(waiting.each_ref().map(|task| task.woken()), [1, 1]);
        for (reader, waiting) in readers.iter_mut().zip(&waiting) {
            assert!(matches!(
                waiting.poll(reader),
                Poll::Ready(Next::Events { events: 2, .. })
            ));
        }
    });
}

/// A core whose runtime ends while somebody rings: what was rung is woken, and later events too.
#[test]
fn append_against_a_core_that_ends() {
    model(|| {
        let log = Log::new(LogOptions::default());
        let mut core = attend(0);
        let _ = Pin::new(&mut core).poll(&mut Context::from_waker(Waker::noop()));
        let mut reader = log.read(Start::Tail);
        let publisher = thread::spawn(move || {
            append(&log, "a");
            append(&log, "b");
        });
        let ending = thread::spawn(move || drop(core));
        assert_eq!(read(&mut reader, 2), ["a", "b"]);
        ending.join().unwrap();
        publisher.join().unwrap();
    });
}

/// Readers of one core come, park and go while it is rung: the flag that they leave is right.
#[test]
fn a_neighbour_that_leaves_a_core_that_is_rung() {
    model(|| {
        let log = Log::new(LogOptions::default());
        let (mut core, ringing) = (attend(0), Count::new());
        assert!(ringing.attend(&mut core).is_pending());
        let (mut leaving, gone) = (log.read(Start::Tail), Count::new());
        let (mut staying, here) = (log.read(Start::Tail), Count::new());
        assert!(gone.poll(&mut leaving).is_pending());
        let publisher = thread::spawn(move || {
            append(&log, "a");
            append(&log, "b");
        });
        drop(leaving);
        let mut events = 0;
        while let Poll::Ready(Next::Events { events: more, .. }) = here.poll(&mut staying) {
            events += more;
        }
        publisher.join().unwrap();
        assert!(ringing.attend(&mut core).is_pending());
        assert!(
            events == 2 || here.woken() == 1,
            "{events} events, and none to come"
        );
        assert_eq!(gone.woken(), 0);
    });
}

#[test]
fn publishers_of_two_topics_against_one_reader() {
    model(|| {
        let hub = Hub::default();
        let topics = ["a", "b"].map(|name| TopicName::new(name).unwrap());
        let mut reader = hub.subscribe(&topics, Start::Tail).unwrap();
        let publish = |topic: &TopicName, data: &'static str| {
            let (hub, topic) = (hub.clone(), topic.clone());
            thread::spawn(move || {
                block_on(hub.publish(&topic, &Event::new(data)))
                    .unwrap()
                    .seq
            })
        };
        let publishers = [publish(&topics[0], "a"), publish(&topics[1], "b")];
        let got = read(&mut reader, 2);
        let [a, b] = publishers.map(|publisher| publisher.join().unwrap());
        let expected = if a < b { ["a", "b"] } else { ["b", "a"] };
        assert_eq!(got, expected);
        assert_eq!(reader.cursor().next, 2);
    });
}

/// What is evicted while a reader of several topics looks at them is announced, or given.
#[test]
fn evictions_against_a_reader_that_skips() {
    model(|| {
        let retention = Retention::default().with_events(1);
        let topic = LogOptions::default()
            .with_retention(retention)
            .with_overflow(Overflow::Skip);
        let hub = Hub::new(HubOptions::default().with_topic(topic));
        let topics = ["a", "b"].map(|name| TopicName::new(name).unwrap());
        let mut reader = hub.subscribe(&topics, Start::Tail).unwrap();
        let publish = |hub: &Hub, topic: &TopicName| {
            block_on(hub.publish(topic, &Event::new("x"))).unwrap();
        };
        publish(&hub, &topics[0]);
        assert_eq!(read(&mut reader, 1), ["x"]);
        publish(&hub, &topics[0]);
        publish(&hub, &topics[0]);
        let publisher = thread::spawn(move || {
            publish(&hub, &topics[0]);
            publish(&hub, &topics[0]);
        });
        let mut next = 1;
        while next < 5 {
            match block_on(reader.next()) {
                Next::Events { events, .. } => {
                    assert_eq!(reader.cursor().next, next + u64::from(events), "left out");
                }
                Next::Gap(gap) => assert!(gap.on.next >= next),
                other => panic!("{other:?}"),
            }
            next = reader.cursor().next;
        }
        publisher.join().unwrap();
    });
}

#[test]
fn drain_against_park() {
    model(|| {
        let hub = Hub::default();
        // One topic: those of a hub lie in a hash map, whose order differs from run to run.
        let topic = TopicName::new("a").unwrap();
        let mut reader = hub.subscribe(&[topic], Start::Tail).unwrap();
        let draining = {
            let hub = hub.clone();
            thread::spawn(move || {
                // Its first poll does the work; what follows waits for the readers, on tokio's clock.
                let mut draining = std::pin::pin!(hub.drain(std::time::Duration::ZERO));
                let _ = draining
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()));
            })
        };
        assert_eq!(block_on(reader.next()), Next::End(End::Drained));
        draining.join().unwrap();
    });
}

#[test]
fn a_channel_that_is_full_against_its_reader() {
    model(|| {
        let options = StreamOptions::default()
            .with_heartbeat(None)
            .with_retry(None);
        let (mut sender, mut body) = channel(1, options);
        let producer = thread::spawn(move || {
            // Each alone is more than the channel holds, so the second waits for the first to go.
            for data in ["a", "b"] {
                block_on(sender.send(&Event::new(data))).unwrap();
            }
            sender.finish();
        });
        let mut bytes = Vec::new();
        let next = |cx: &mut Context<'_>| Pin::new(&mut body).poll_frame(cx);
        let mut frames = std::future::poll_fn(next);
        while let Some(frame) = block_on(&mut frames) {
            bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
        assert_eq!(decode(&bytes), ["a", "b"]);
        producer.join().unwrap();
    });
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound.get_or_insert(3);
    model.check(check);
}

fn append(log: &Log, data: &str) {
    log.append(&Event::new(data)).unwrap();
}

/// The data of the next `events` events.
fn read(reader: &mut impl Read, events: usize) -> Vec<String> {
    let mut data = Vec::new();
    while data.len() < events {
        match block_on(std::future::poll_fn(|cx| reader.poll(cx))) {
            Next::Events { bytes, .. } => data.extend(decode(&bytes)),
            other => panic!("{other:?} instead of an event"),
        }
    }
    data
}

fn decode(mut bytes: &[u8]) -> Vec<String> {
    let mut decoder = Decoder::new();
    let mut data = Vec::new();
    while let Some(message) = decoder.decode(&mut bytes).unwrap() {
        data.push(message.data().to_owned());
    }
    data
}

/// Both kinds of readers.
trait Read {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next>;
}

impl Read for LogReader {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        self.poll_next(cx)
    }
}

impl Read for Reader {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        self.poll_next(cx)
    }
}

/// A task that only counts how often it is woken.
struct Count(AtomicUsize);

impl Count {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(0)))
    }

    fn poll(self: &Arc<Self>, reader: &mut impl Read) -> Poll<Next> {
        let waker = Waker::from(self.clone());
        reader.poll(&mut Context::from_waker(&waker))
    }

    fn attend(self: &Arc<Self>, core: &mut Attendant) -> Poll<()> {
        let waker = Waker::from(self.clone());
        Pin::new(core).poll(&mut Context::from_waker(&waker))
    }

    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
