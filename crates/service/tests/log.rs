//! A log, as those who append to it and read from it see it.

#[path = "reading/data.rs"]
mod data;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use data::{all, decode, events, gap, numbers, poll};
use http_body::Body;
use wellspring::event::Event;
use wellspring::{
    AppendError, Cursor, End, EventBody, GapReason, Log, LogOptions, Next, Overflow, Position,
    Reader, Retention, Start, StreamOptions,
};

#[test]
fn live_events_come_as_they_are_appended() {
    let log = Log::new(LogOptions::default());
    let mut reader = Reader::from(log.read(Start::Tail));
    let task = Count::new();
    for number in 0..3 {
        assert!(task.poll(&mut reader).is_pending());
        assert_eq!(task.woken(), number);
        let position = append(&log, number);
        assert_eq!(task.woken(), number + 1);
        let Poll::Ready(next) = task.poll(&mut reader) else {
            panic!("woken for nothing");
        };
        let [event] = &events(next)[..] else {
            panic!("one event");
        };
        assert_eq!(event.data, number.to_string());
        assert_eq!(event.id, position.to_string());
        assert_eq!(position.seq, number as u64);
        assert_eq!(reader.cursor(), Cursor::after(position));
    }
}

#[test]
fn live_and_replay_and_resume_are_one_path() {
    let log = filled(LogOptions::default(), 100);
    assert_eq!(all(&mut read(&log, Start::Earliest)), numbers(0..100));
    assert_eq!(all(&mut read(&log, Start::Tail)), numbers(0..0));
    for seen in 0..100 {
        let id = Position {
            epoch: log.epoch(),
            seq: seen,
        }
        .to_string();
        let mut reader = read(&log, Start::from_last_event_id(&id));
        assert_eq!(all(&mut reader), numbers(seen + 1..100));
    }
    let nothing_seen = Cursor::start(log.epoch()).to_string();
    let mut reader = read(&log, Start::from_last_event_id(&nothing_seen));
    assert_eq!(all(&mut reader), numbers(0..100));
    append(&log, 100);
    assert_eq!(all(&mut reader), ["100"]);
}

#[test]
fn a_burst_is_one_slice() {
    let log = filled(LogOptions::default(), 50);
    let Poll::Ready(next) = poll(&mut read(&log, Start::Earliest)) else {
        panic!("there are events");
    };
    assert_eq!(events(next).len(), 50);
}

#[test]
fn readers_at_one_place_share_one_slice() {
    let log = filled(LogOptions::default(), 3);
    let mut readers = [(); 2].map(|()| read(&log, Start::Earliest));
    let [first, second] = readers.each_mut().map(|reader| match poll(reader) {
        Poll::Ready(Next::Events { bytes, .. }) => bytes,
        other => panic!("{other:?}"),
    });
    assert_eq!(first.as_ptr(), second.as_ptr());
}

#[test]
fn an_id_whose_successors_are_evicted_is_told_a_gap() {
    let log = filled(keeping(3), 10);
    let asked = Position {
        epoch: log.epoch(),
        seq: 2,
    }
    .to_string();
    let mut reader = read(&log, Start::from_last_event_id(&asked));
    let gap = gap(&mut reader);
    assert_eq!(gap.reason, GapReason::Evicted);
    assert_eq!(gap.requested, asked);
    assert_eq!(gap.first.unwrap().seq, 7);
    assert_eq!(gap.last.unwrap().seq, 9);
    assert_eq!(gap.missed, Some(4));
    assert_eq!(all(&mut reader), numbers(7..10));

    // A client that is cut right after the gap does not hear of the same loss twice.
    let mut again = read(&log, Start::from_last_event_id(&gap.on.to_string()));
    assert_eq!(all(&mut again), numbers(7..10));
}

#[test]
fn the_last_id_before_the_evicted_is_no_gap() {
    let log = filled(keeping(3), 10);
    let seen = Position {
        epoch: log.epoch(),
        seq: 6,
    };
    assert_eq!(
        all(&mut read(&log, Start::After(Cursor::after(seen)))),
        numbers(7..10)
    );
}

#[test]
fn what_cannot_be_proven_is_told_and_then_everything_comes() {
    let log = filled(keeping(3), 10);
    let other = filled(LogOptions::default(), 5);
    let foreign_epoch = other.tail().to_string();
    let future = Position {
        epoch: log.epoch(),
        seq: 10,
    }
    .to_string();
    for asked in [foreign_epoch.as_str(), &future, "42", "who \"knows\""] {
        let mut reader = read(&log, Start::from_last_event_id(asked));
        let gap = gap(&mut reader);
        assert_eq!(gap.reason, GapReason::Epoch, "{asked}");
        assert_eq!(gap.requested, asked);
        assert_eq!(gap.first.unwrap().seq, 7);
        assert_eq!(gap.last.unwrap().seq, 9);
        assert_eq!(gap.missed, None);
        assert_eq!(all(&mut reader), numbers(7..10));
    }
}

#[test]
fn a_gap_in_an_empty_log_is_told_too() {
    let log = Log::new(LogOptions::default());
    let mut reader = read(&log, Start::from_last_event_id("42"));
    let gap = gap(&mut reader);
    assert_eq!((gap.first, gap.last), (None, None));
    assert_eq!(gap.on, Cursor::start(log.epoch()));
    append(&log, 0);
    assert_eq!(all(&mut reader), ["0"]);
    let mut again = read(&log, Start::After(gap.on));
    assert_eq!(all(&mut again), ["0"]);
}

#[test]
fn a_reader_that_falls_behind_is_disconnected_and_told_when_it_is_back() {
    let log = filled(keeping(3), 1);
    let mut reader = read(&log, Start::Earliest);
    assert_eq!(all(&mut reader), ["0"]);
    for number in 1..10 {
        append(&log, number);
    }
    assert_eq!(poll(&mut reader), Poll::Ready(Next::End(End::Overflow)));
    let mut back = read(&log, Start::After(reader.cursor()));
    let gap = gap(&mut back);
    assert_eq!((gap.reason, gap.missed), (GapReason::Evicted, Some(6)));
    assert_eq!(all(&mut back), numbers(7..10));
}

#[test]
fn a_reader_that_never_got_anything_is_told_and_stays() {
    let log = filled(keeping(3), 5);
    let mut reader = read(&log, Start::Tail);
    for number in 5..10 {
        append(&log, number);
    }
    let gap = gap(&mut reader);
    assert_eq!((gap.reason, gap.missed), (GapReason::Evicted, Some(2)));
    assert_eq!(all(&mut reader), numbers(7..10));
}

#[test]
fn skip_jumps_to_the_tail_and_says_how_many_it_skipped() {
    let log = filled(keeping(3).with_overflow(Overflow::Skip), 1);
    let mut reader = read(&log, Start::Earliest);
    assert_eq!(all(&mut reader), ["0"]);
    for number in 1..10 {
        append(&log, number);
    }
    let gap = gap(&mut reader);
    assert_eq!((gap.reason, gap.missed), (GapReason::Overflow, Some(9)));
    assert_eq!((gap.first, gap.last.unwrap().seq), (None, 9));
    assert_eq!(gap.on, log.tail());
    assert!(poll(&mut reader).is_pending());
    append(&log, 10);
    assert_eq!(all(&mut reader), ["10"]);
}

#[test]
fn latest_gives_the_newest_and_never_speaks_of_gaps() {
    let log = filled(keeping(3).with_overflow(Overflow::Latest), 1);
    let mut reader = read(&log, Start::Earliest);
    assert_eq!(all(&mut reader), ["0"]);
    for number in 1..10 {
        append(&log, number);
    }
    assert_eq!(all(&mut reader), ["9"]);
    assert_eq!(all(&mut read(&log, Start::Earliest)), ["9"]);
    let seen = Cursor {
        epoch: log.epoch(),
        next: 1,
    };
    assert_eq!(all(&mut read(&log, Start::After(seen))), ["9"]);
    append(&log, 10);
    assert_eq!(all(&mut reader), ["10"]);
}

#[test]
fn readers_get_what_is_left_and_then_the_end() {
    for end in [End::Complete, End::Failed, End::Drained] {
        let log = filled(LogOptions::default(), 2);
        let mut reader = read(&log, Start::Earliest);
        log.close(end);
        log.close(End::Overflow);
        assert_eq!(log.end(), Some(end), "the first end counts");
        let Poll::Ready(left) = poll(&mut reader) else {
            panic!("there is something left");
        };
        assert_eq!(events(left).len(), 2);
        for _ in 0..2 {
            assert_eq!(poll(&mut reader), Poll::Ready(Next::End(end)));
        }
        assert_eq!(reader.is_finished(), end == End::Complete);
    }
}

#[test]
fn closing_wakes_who_waits() {
    let log = filled(LogOptions::default(), 1);
    let mut reader = read(&log, Start::Tail);
    let task = Count::new();
    assert!(task.poll(&mut reader).is_pending());
    log.close(End::Complete);
    assert_eq!(task.woken(), 1);
    assert_eq!(
        task.poll(&mut reader),
        Poll::Ready(Next::End(End::Complete))
    );
    assert_eq!(log.append(&Event::new("late")), Err(AppendError::Closed));
}

#[test]
fn a_drained_log_goes_on_without_those_who_left() {
    let log = filled(LogOptions::default(), 2);
    let mut reader = read(&log, Start::Earliest);
    log.close(End::Drained);
    append(&log, 2);
    let Poll::Ready(left) = poll(&mut reader) else {
        panic!("there is something left");
    };
    assert_eq!(
        events(left).len(),
        2,
        "what came after the drain is for the next connection"
    );
    assert_eq!(poll(&mut reader), Poll::Ready(Next::End(End::Drained)));
    assert_eq!(log.len(), 3);
}

#[test]
fn a_key_counts_once_while_its_event_is_kept() {
    let log = Log::new(keeping(2));
    let keyed = |data: &str| {
        log.append_keyed(&Event::new(data.to_owned()), Some("k"))
            .unwrap()
    };
    let first = keyed("a");
    let again = keyed("b");
    assert!(!first.repeated && again.repeated);
    assert_eq!(first.position, again.position);
    assert_eq!(all(&mut read(&log, Start::Earliest)), ["a"]);
    append(&log, 1);
    append(&log, 2);
    let anew = keyed("c");
    assert!(!anew.repeated, "its first event is gone");
    assert_eq!(anew.position.seq, 3);
}

#[test]
fn an_event_that_a_log_could_not_keep_is_refused() {
    let log = Log::new(LogOptions::default().with_retention(Retention::default().with_bytes(100)));
    let refused = log.append(&Event::new("x".repeat(100)));
    assert_eq!(
        refused,
        Err(AppendError::TooLarge {
            // 24 for the id line, 107 for the data line, 1 for the blank one.
            bytes: 24 + 107 + 1,
            limit: 100
        })
    );
    assert_eq!(append(&log, 0).seq, 0, "the refused one took no number");
}

#[test]
fn ids_can_be_left_off() {
    let log = Log::new(LogOptions::default().with_ids(false));
    append(&log, 7);
    let Poll::Ready(Next::Events { bytes, .. }) = poll(&mut read(&log, Start::Earliest)) else {
        panic!("there is an event");
    };
    assert_eq!(bytes, "data: 7\n\n");
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_dropped_without_traffic() {
    let retention = Retention::default().with_age(Duration::from_secs(1));
    let log = filled(LogOptions::default().with_retention(retention), 3);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(log.len(), 3);
    log.retain();
    assert!(log.is_empty() && log.bytes() == 0);
    let mut reader = read(
        &log,
        Start::from_last_event_id(&Cursor::start(log.epoch()).to_string()),
    );
    let gap = gap(&mut reader);
    assert_eq!((gap.reason, gap.missed), (GapReason::Evicted, Some(3)));
    assert_eq!(append(&log, 3).seq, 3);
    assert_eq!(all(&mut reader), ["3"]);
}

#[test]
fn ten_thousand_dropped_readers_leave_no_trace() {
    const READERS: usize = 10_000;
    let log = filled(LogOptions::default(), 1);
    let task = Count::new();
    let mut readers: Vec<Reader> = (0..READERS).map(|_| read(&log, Start::Tail)).collect();
    let read_up = |readers: &mut [Reader]| {
        let pending = |reader: &mut Reader| {
            while task.poll(reader).is_ready() {}
        };
        readers.iter_mut().for_each(pending);
    };
    read_up(&mut readers);
    assert_eq!((log.readers(), log.parked()), (READERS, READERS));
    append(&log, 1);
    assert_eq!((task.woken(), log.parked()), (READERS, 0));
    // A third has read and waits again, a third has not yet; all of them go.
    read_up(&mut readers[..READERS / 3]);
    assert_eq!(log.parked(), READERS / 3);
    readers.truncate(READERS / 6);
    assert_eq!((log.readers(), log.parked()), (READERS / 6, READERS / 6));
    drop(readers);
    assert_eq!((log.readers(), log.parked()), (0, 0));
    assert_eq!(Arc::strong_count(&task), 1, "somebody still holds a waker");
    append(&log, 2);
    assert_eq!(task.woken(), READERS);
}

#[test]
fn a_reader_that_was_woken_takes_nobodys_place_with_it() {
    let log = filled(LogOptions::default(), 1);
    let (mut leaving, mut staying) = (read(&log, Start::Tail), read(&log, Start::Tail));
    let (gone, here) = (Count::new(), Count::new());
    assert!(gone.poll(&mut leaving).is_pending() && here.poll(&mut staying).is_pending());
    append(&log, 1);
    // The one that parks first now has the place that the other one had before.
    assert!(here.poll(&mut staying).is_ready() && here.poll(&mut staying).is_pending());
    drop(leaving);
    assert_eq!(log.parked(), 1);
    append(&log, 2);
    assert_eq!((gone.woken(), here.woken()), (1, 2));
}

#[test]
fn dropping_a_body_frees_its_reader_at_once() {
    let log = filled(LogOptions::default(), 1);
    let options = StreamOptions::default().with_heartbeat(None);
    let mut body = EventBody::new(log.read(Start::Tail), options);
    let mut cx = Context::from_waker(Waker::noop());
    while std::pin::Pin::new(&mut body).poll_frame(&mut cx).is_ready() {}
    assert_eq!((log.readers(), log.parked()), (1, 1));
    drop(body);
    assert_eq!((log.readers(), log.parked()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_on_all_threads_get_everything_in_order() {
    const EVENTS: usize = 5_000;
    const PUBLISHERS: usize = 4;
    let log = Log::new(LogOptions::default());
    let readers: Vec<_> = (0..16)
        .map(|_| {
            let mut reader = log.read(Start::Tail);
            tokio::spawn(async move {
                let mut seqs = Vec::new();
                loop {
                    match reader.next().await {
                        Next::Events { bytes, .. } => {
                            seqs.extend(decode(&bytes).iter().map(data::Got::seq));
                        }
                        Next::End(End::Complete) => return seqs,
                        other => panic!("{other:?}"),
                    }
                }
            })
        })
        .collect();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|_| {
            let log = log.clone();
            tokio::task::spawn_blocking(move || {
                for number in 0..EVENTS / PUBLISHERS {
                    append(&log, number);
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    log.close(End::Complete);
    let all: Vec<u64> = (0..EVENTS as u64).collect();
    for reader in readers {
        assert_eq!(within(reader).await.unwrap(), all);
    }
    assert_eq!((log.readers(), log.parked()), (0, 0));
}

/// What is delivered and what is said to be missed add up, however evictions and readers race.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_not_delivered_was_announced() {
    const EVENTS: u64 = 20_000;
    for overflow in [Overflow::Skip, Overflow::Disconnect] {
        let log = Log::new(keeping(8).with_overflow(overflow));
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let log = log.clone();
                // Here and not in its task: nothing is lost to it that went before it came.
                let mut reader = log.read(Start::Earliest);
                tokio::spawn(async move {
                    let (mut delivered, mut missed, mut last) = (0, 0, None);
                    loop {
                        match reader.next().await {
                            Next::Events { bytes, .. } => {
                                for event in decode(&bytes) {
                                    assert!(Some(event.seq()) > last, "twice, or out of order");
                                    last = Some(event.seq());
                                    delivered += 1;
                                }
                            }
                            Next::Gap(gap) => missed += gap.missed.expect("a log of its own"),
                            Next::End(End::Complete) => return (delivered, missed),
                            Next::End(End::Overflow) => {
                                reader = log.read(Start::After(reader.cursor()));
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                })
            })
            .collect();
        let publisher = {
            let log = log.clone();
            tokio::task::spawn_blocking(move || {
                for number in 0..EVENTS {
                    append(&log, number as usize);
                }
                log.close(End::Complete);
            })
        };
        publisher.await.unwrap();
        for reader in readers {
            let (delivered, missed) = within(reader).await.unwrap();
            assert_eq!(delivered + missed, EVENTS, "{overflow:?}");
        }
    }
}

fn keeping(events: usize) -> LogOptions {
    LogOptions::default().with_retention(Retention::default().with_events(events))
}

/// A log of events whose data is their number.
fn filled(options: LogOptions, events: usize) -> Log {
    let log = Log::new(options);
    for number in 0..events {
        append(&log, number);
    }
    log
}

#[test]
fn a_reader_without_ids_that_misses_something_is_cut() {
    let retention = Retention::default().with_events(2);
    let options = LogOptions::default()
        .with_retention(retention)
        .with_ids(false);
    let log = Log::new(options);
    let mut behind = read(&log, Start::Earliest);
    append(&log, 0);
    let task = Count::new();
    assert!(matches!(
        task.poll(&mut behind),
        Poll::Ready(Next::Events { .. })
    ));
    for number in 1..5 {
        append(&log, number);
    }
    assert_eq!(task.poll(&mut behind), Poll::Ready(Next::End(End::Failed)));
}

fn append(log: &Log, number: usize) -> Position {
    log.append(&Event::new(number.to_string()))
        .expect("it is small")
}

fn read(log: &Log, start: Start) -> Reader {
    log.read(start).into()
}

async fn within<F: Future>(future: F) -> F::Output {
    let deadline = Duration::from_secs(60);
    tokio::time::timeout(deadline, future)
        .await
        .expect("a lost wake-up")
}

/// A task that only counts how often it is woken.
struct Count(AtomicUsize);

impl Count {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(0)))
    }

    fn poll(self: &Arc<Self>, reader: &mut Reader) -> Poll<Next> {
        let waker = Waker::from(self.clone());
        reader.poll_next(&mut Context::from_waker(&waker))
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
