//! What the log costs: an append, a fan-out to readers that wait, a replay, and finding a place in it.
//!
//! `cargo bench -p wellspring-benches --bench log` prints, beside criterion's own lines, each result in
//! the unit that matters: nanoseconds per event or delivery, gigabytes per second.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http_body::Body;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use wellspring::event::Event;
use wellspring::{
    Cursor, EventBody, Hub, HubOptions, Log, LogOptions, Next, Position, Reader, Retention, Start,
    StreamOptions, TopicName, enter_shard,
};

/// Data of one event: an LLM's token in its JSON.
const DATA: usize = 164;
/// Events in the long log.
const LONG: u64 = 1_000_000;

fn append(criterion: &mut Criterion) {
    let event = Event::new(token_text(DATA));
    let mut group = criterion.benchmark_group("append 164 bytes");
    group.throughput(Throughput::Elements(1));
    let log = Log::new(LogOptions::default());
    group.bench_function("to a log", |bench| {
        bench.iter(|| log.append(black_box(&event)).expect("it is small"));
    });
    let hub = Hub::default();
    let topic = TopicName::new("t").expect("a fine name");
    group.bench_function("to a hub's topic", |bench| {
        bench.iter(|| publish(&hub, &topic, &event));
    });
    let many = Hub::new(HubOptions::default());
    for number in 0..50_000 {
        publish(
            &many,
            &TopicName::new(&format!("other {number}")).expect("fine"),
            &event,
        );
    }
    group.bench_function("to a hub's topic, one of 50,001", |bench| {
        bench.iter(|| publish(&many, &topic, &event));
    });
    group.finish();
}

/// One append, and every reader polled until it waits again: as hyper does it, without the socket.
fn fan_out(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _clock = runtime.enter();
    let event = Event::new(token_text(DATA));
    for readers in [1_000, 10_000] {
        let mut group = criterion.benchmark_group(format!("deliver to {readers} parked readers"));
        group.throughput(Throughput::Elements(readers as u64));
        group.sample_size(30);

        let log = Log::new(LogOptions::default());
        let mut cursors: Vec<Reader> = (0..readers).map(|_| log.read(Start::Tail).into()).collect();
        group.bench_function("readers of a log", |bench| {
            bench.iter(|| {
                log.append(&event).expect("it is small");
                assert_eq!(read_up(&mut cursors), readers);
            });
        });
        drop(cursors);

        let hub = Hub::default();
        let topics = ["a", "b", "c"].map(|name| TopicName::new(name).expect("a fine name"));
        let merged = || hub.subscribe(&topics, Start::Tail).expect("there is room");
        let mut cursors: Vec<Reader> = (0..readers).map(|_| merged()).collect();
        group.bench_function("readers of three topics", |bench| {
            bench.iter(|| {
                publish(&hub, &topics[1], &event);
                assert_eq!(read_up(&mut cursors), readers);
            });
        });
        drop(cursors);

        let body = || EventBody::new(log.read(Start::Tail), StreamOptions::default());
        let mut bodies: Vec<EventBody> = (0..readers).map(|_| body()).collect();
        group.bench_function("bodies with a heartbeat", |bench| {
            bench.iter(|| {
                log.append(&event).expect("it is small");
                let mut delivered = 0;
                let mut cx = Context::from_waker(Waker::noop());
                for body in &mut bodies {
                    // Three polls an event, as hyper makes them: one finds it, two find nothing.
                    for _ in 0..3 {
                        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut cx) {
                            delivered += usize::from(black_box(frame).is_some());
                        }
                    }
                }
                assert!(delivered >= readers);
            });
        });
        group.finish();
    }
}

/// Tasks with a body each, a thousand on each of two cores' runtimes, and a publisher among the first
/// core's: from the append until every task has its event.
fn fan_out_to_cores(criterion: &mut Criterion) {
    let mut group =
        criterion.benchmark_group(format!("deliver to {TASKS} tasks on each of 2 cores"));
    group.throughput(Throughput::Elements(2 * TASKS));
    group.sample_size(20);
    let log = Log::new(LogOptions::default());
    let cores = [0, 1].map(|shard| Core::start(shard, log.clone()));
    for burst in [1, 10] {
        let name = BenchmarkId::new("bodies with a heartbeat, in bursts of", burst);
        group.bench_function(name, |bench| {
            bench.iter_custom(|rounds| publish_from_core(&cores, &log, rounds, burst));
        });
    }
    group.finish();
    for burst in [1, 10] {
        let (rounds, before) = (1_000, cores.each_ref().map(Core::account));
        publish_from_core(&cores, &log, rounds, burst);
        for (core, (account, before)) in cores
            .iter()
            .zip(cores.iter().map(Core::account).zip(before))
        {
            let each = |count: u64| count as f64 / rounds as f64;
            println!(
                "core {}: a burst of {burst:2} is {:.2} frames a task, and its thread slept {:.2} times",
                core.shard,
                each(account.0 - before.0) / TASKS as f64,
                each(account.1 - before.1),
            );
        }
    }
}

/// Tasks on each core.
const TASKS: u64 = 1_000;

/// What the tasks of one core were handed.
#[derive(Default)]
struct Got {
    frames: AtomicU64,
    bytes: AtomicU64,
}

/// A thread that is a shard, with tasks that read.
struct Core {
    shard: usize,
    runtime: Handle,
    got: Arc<Got>,
    /// Dropped, it ends the thread.
    _end: oneshot::Sender<()>,
}

impl Core {
    fn start(shard: usize, log: Log) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel();
        let got = Arc::<Got>::default();
        let counted = Arc::clone(&got);
        thread::spawn(move || {
            runtime.block_on(async {
                enter_shard(shard);
                for _ in 0..TASKS {
                    let body = EventBody::new(log.read(Start::Tail), StreamOptions::default());
                    tokio::spawn(drink(body, Arc::clone(&counted)));
                }
                let _ = ended.await;
            });
        });
        // Each begins with a frame of its own.
        while got.frames.load(Ordering::Relaxed) < TASKS {
            thread::yield_now();
        }
        Self {
            shard,
            runtime: handle,
            got,
            _end: end,
        }
    }

    /// The frames of its tasks, and how often its thread went to sleep.
    fn account(&self) -> (u64, u64) {
        let parks = self.runtime.metrics().worker_park_count(0);
        (self.got.frames.load(Ordering::Relaxed), parks)
    }
}

async fn drink(mut body: EventBody, got: Arc<Got>) {
    while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let bytes = black_box(frame).into_data().map_or(0, |bytes| bytes.len());
        got.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        got.frames.fetch_add(1, Ordering::Relaxed);
    }
}

/// Publishes from a task of the first core, each burst when all have what came before.
fn publish_from_core(cores: &[Core; 2], log: &Log, rounds: u64, burst: u64) -> Duration {
    let got = cores.each_ref().map(|core| Arc::clone(&core.got));
    let (log, event) = (log.clone(), Event::new(token_text(DATA)));
    let (done, elapsed) = mpsc::channel();
    cores[0].runtime.spawn(async move {
        let bytes = || got.each_ref().map(|got| got.bytes.load(Ordering::Relaxed));
        let wire = {
            let other = Log::new(LogOptions::default());
            other.append(&event).expect("it is small");
            other.bytes() as u64
        };
        let begun = Instant::now();
        for _ in 0..rounds {
            let due = bytes().map(|bytes| bytes + TASKS * burst * wire);
            for _ in 0..burst {
                log.append(&event).expect("it is small");
            }
            while bytes().iter().zip(&due).any(|(bytes, due)| bytes < due) {
                tokio::task::yield_now().await;
            }
        }
        let _ = done.send(begun.elapsed());
    });
    elapsed.recv().expect("it tells")
}

fn catch_up(criterion: &mut Criterion) {
    let log = long_log();
    let mut group = criterion.benchmark_group(format!("replay {LONG} events"));
    group.throughput(Throughput::Bytes(log.bytes() as u64));
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(5));
    group.bench_function("slices, not copied", |bench| {
        bench.iter(|| {
            let mut reader = Reader::from(log.read(Start::Earliest));
            let (mut events, mut bytes) = (0, 0);
            while let Some((slice, count)) = slice(&mut reader) {
                bytes += black_box(slice).len();
                events += count;
            }
            assert_eq!((events, bytes), (LONG, log.bytes()));
        });
    });
    let mut sent = Vec::with_capacity(64 * 1024);
    group.bench_function("slices, each copied once, as a socket would", |bench| {
        bench.iter(|| {
            let mut reader = Reader::from(log.read(Start::Earliest));
            while let Some((slice, _)) = slice(&mut reader) {
                sent.clear();
                sent.extend_from_slice(&slice);
                black_box(sent.as_slice());
            }
        });
    });
    group.finish();
}

fn seek(criterion: &mut Criterion) {
    let log = long_log();
    let epoch = log.epoch();
    let mut group = criterion.benchmark_group(format!("resume by id in {LONG} events"));
    for (place, seq) in [("oldest", 0), ("middle", LONG / 2), ("newest", LONG - 2)] {
        let id = Position { epoch, seq }.to_string();
        group.bench_with_input(BenchmarkId::new("first slice", place), &id, |bench, id| {
            bench.iter(|| {
                let start = Start::from_last_event_id(black_box(id));
                let mut reader = Reader::from(log.read(start));
                slice(&mut reader).expect("there is more")
            });
        });
    }
    // Places that the cache has not just seen: a stride that visits all, in no order.
    let mut seq = 0;
    group.bench_function(BenchmarkId::new("first slice", "anywhere"), |bench| {
        bench.iter(|| {
            seq = (seq + 618_033_989) % (LONG - 1);
            let mut reader = Reader::from(log.read(Start::After(Cursor { epoch, next: seq })));
            slice(&mut reader).expect("there is more")
        });
    });
    group.finish();
}

/// The same figures once more, in one line each and with their units.
fn summary(_: &mut Criterion) {
    let event = Event::new(token_text(DATA));
    let log = Log::new(LogOptions::default());
    let append = median(|| {
        time(100_000, || {
            log.append(black_box(&event)).expect("it is small");
        })
    });
    println!("\nappend                 {append:8.1} ns/event ({DATA} bytes of data)");
    for readers in [1_000u32, 10_000] {
        let log = Log::new(LogOptions::default());
        let mut cursors: Vec<Reader> = (0..readers).map(|_| log.read(Start::Tail).into()).collect();
        read_up(&mut cursors);
        let round = median(|| {
            time(20, || {
                log.append(&event).expect("it is small");
                read_up(&mut cursors);
            })
        });
        let each = round / f64::from(readers);
        println!("fan-out to {readers:6}      {each:8.1} ns/delivery");
    }
    let log = long_log();
    let replay = median(|| {
        time(1, || {
            let mut reader = Reader::from(log.read(Start::Earliest));
            while let Some(slice) = slice(&mut reader) {
                black_box(slice);
            }
        })
    });
    let rate = log.bytes() as f64 / replay;
    println!("replay                 {rate:8.1} GB/s of slices ({LONG} events)");
    let mut seq = 0;
    let seek = median(|| {
        time(10_000, || {
            seq = (seq + 618_033_989) % (LONG - 1);
            let next = Cursor {
                epoch: log.epoch(),
                next: seq,
            };
            black_box(slice(&mut Reader::from(log.read(Start::After(next)))));
        })
    });
    println!("resume by id           {seek:8.1} ns to the first slice ({LONG} events)");
}

/// Reads until each waits again; says how many events that were.
fn read_up(readers: &mut [Reader]) -> usize {
    let mut events = 0;
    for reader in readers {
        while let Some((slice, count)) = slice(reader) {
            black_box(slice);
            events += count as usize;
        }
    }
    events
}

fn slice(reader: &mut Reader) -> Option<(bytes::Bytes, u64)> {
    match reader.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Next::Events { bytes, events }) => Some((bytes, u64::from(events))),
        Poll::Ready(other) => panic!("{other:?}"),
        Poll::Pending => None,
    }
}

fn long_log() -> Log {
    let retention = Retention::default()
        .with_bytes(usize::MAX)
        .with_events(usize::MAX);
    let log = Log::new(LogOptions::default().with_retention(retention));
    let event = Event::new(token_text(DATA));
    for _ in 0..LONG {
        log.append(&event).expect("it is small");
    }
    log
}

fn publish(hub: &Hub, topic: &TopicName, event: &Event<'_>) {
    let mut publishing = std::pin::pin!(hub.publish(topic, black_box(event)));
    let published = publishing
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(
        matches!(published, Poll::Ready(Ok(_))),
        "topics in memory accept at once"
    );
}

fn token_text(len: usize) -> String {
    "the quick brown fox jumps over the lazy dog "
        .chars()
        .cycle()
        .take(len)
        .collect()
}

/// Nanoseconds of one of `turns`.
fn time(turns: u32, mut turn: impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..turns {
        turn();
    }
    begun.elapsed().as_nanos() as f64 / f64::from(turns)
}

/// Of eleven, after one to warm up.
fn median(mut measure: impl FnMut() -> f64) -> f64 {
    measure();
    let mut all: Vec<f64> = (0..11).map(|_| measure()).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

criterion_group!(
    log,
    append,
    fan_out,
    fan_out_to_cores,
    catch_up,
    seek,
    summary
);
criterion_main!(log);
