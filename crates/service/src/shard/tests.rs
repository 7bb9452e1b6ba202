use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use wellspring_event::Event;

use super::*;
use crate::log::{Log, LogOptions};
use crate::position::Start;
use crate::reader::{LogReader, Next};

const EVENTS: u64 = 200;

/// Two shards with tasks that wait, and publishers on both and elsewhere: everybody gets everything.
#[test]
fn publishers_everywhere_reach_the_tasks_of_each_core() {
    let _alone = alone();
    let log = Log::new(LogOptions::default());
    let ready = Barrier::new(3);
    thread::scope(|threads| {
        for shard in 0..2 {
            let (log, ready) = (&log, &ready);
            threads.spawn(move || {
                single_threaded().block_on(async {
                    enter_shard(shard);
                    let readers = (0..50).map(|_| log.read(Start::Tail));
                    let tasks: Vec<_> = readers.map(|it| tokio::spawn(read_all(it))).collect();
                    ready.wait();
                    publish(log).await;
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            });
        }
        ready.wait();
        single_threaded().block_on(publish(&log));
    });
    assert_eq!((log.readers(), log.parked()), (0, 0));
}

async fn publish(log: &Log) {
    for _ in 0..EVENTS {
        append(log);
        tokio::task::yield_now().await;
    }
}

async fn read_all(mut reader: LogReader) {
    while reader.cursor().next < 3 * EVENTS {
        let next = tokio::time::timeout(Duration::from_secs(10), reader.next()).await;
        assert!(matches!(next, Ok(Next::Events { .. })), "{next:?}");
    }
}

/// A thousand readers wait on another core: what is published wakes that core, that core its readers,
/// and the first of them looks at the log for all.
#[test]
fn a_publisher_wakes_another_core_once() {
    let _alone = alone();
    let log = Log::new(LogOptions::default());
    let (ringing, waiting) = (Arc::<Count>::default(), Arc::<Count>::default());
    let mut core = std::pin::pin!(attend(0));
    let mut answer = || {
        core.as_mut()
            .poll(&mut Context::from_waker(&ringing.waker()))
    };
    assert!(answer().is_pending());
    let mut readers: Vec<_> = (0..1_000).map(|_| log.read(Start::Tail)).collect();
    for round in 0..4 {
        let mut slices = HashSet::new();
        for reader in &mut readers {
            let waker = waiting.waker();
            let cx = &mut Context::from_waker(&waker);
            while let Poll::Ready(next) = reader.poll_next(cx) {
                let Next::Events { bytes, events: 10 } = next else {
                    panic!("{next:?}");
                };
                slices.insert(bytes.as_ptr());
            }
        }
        assert_eq!(slices.len(), usize::from(round > 0), "one slice for all");

        thread::scope(|threads| {
            threads.spawn(|| (0..10).for_each(|_| append(&log)));
        });
        assert_eq!(ringing.woken(), round + 1, "once, for ten events");
        assert_eq!(waiting.woken(), round * 1_000, "by their own core only");
        assert!(answer().is_pending());
        assert_eq!(waiting.woken(), (round + 1) * 1_000);
    }
}

#[test]
fn on_its_own_core_a_publisher_wakes_the_readers_itself() {
    let _alone = alone();
    let log = Log::new(LogOptions::default());
    let (ringing, waiting) = (Arc::<Count>::default(), Arc::<Count>::default());
    let mut core = std::pin::pin!(attend(0));
    let poll = core
        .as_mut()
        .poll(&mut Context::from_waker(&ringing.waker()));
    assert!(poll.is_pending());
    let mut reader = log.read(Start::Tail);
    let poll = reader.poll_next(&mut Context::from_waker(&waiting.waker()));
    assert!(poll.is_pending());
    append(&log);
    assert_eq!((ringing.woken(), waiting.woken()), (0, 1));
}

#[test]
fn a_runtime_that_ends_leaves_its_readers_to_the_publishers() {
    let _alone = alone();
    let log = Log::new(LogOptions::default());
    let mut reader = single_threaded().block_on(async {
        enter_shard(0);
        tokio::task::yield_now().await;
        log.read(Start::Tail)
    });
    let (asked, told) = mpsc::channel();
    let reading = thread::spawn(move || {
        single_threaded().block_on(poll_fn(|cx| {
            let polled = reader.poll_next(cx);
            asked.send(()).unwrap();
            polled
        }))
    });
    told.recv().unwrap();
    append(&log);
    assert!(matches!(
        reading.join().unwrap(),
        Next::Events { events: 1, .. }
    ));
}

/// What a lane shares goes with its last reader, though the log lives on.
#[test]
fn a_lane_without_readers_pins_nothing() {
    let log = Log::new(LogOptions::default());
    append(&log);
    let mut reader = log.read(Start::Earliest);
    let Poll::Ready(Next::Events { bytes, .. }) =
        reader.poll_next(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("there is an event");
    };
    assert!(!bytes.is_unique(), "the lane has it too");
    drop(reader);
    assert!(bytes.is_unique());
}

/// The tests that are a shard: there is one of each number in a process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn append(log: &Log) {
    log.append(&Event::new("x")).unwrap();
}

fn single_threaded() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A task that only counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
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
