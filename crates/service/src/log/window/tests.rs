use proptest::prelude::*;

use super::*;
use crate::log::Retention;

/// Wire bytes of one event, as the oracle keeps them.
#[derive(Debug, Clone)]
struct Kept {
    seq: u64,
    wire: Vec<u8>,
    at: Instant,
    key: Option<String>,
}

/// What a window must be like: a plain list, and everything by looking through it.
#[derive(Debug)]
struct Oracle {
    retention: Retention,
    kept: VecDeque<Kept>,
    floor: u64,
    given: u64,
}

impl Oracle {
    fn retain(&mut self, now: Instant) {
        loop {
            let bytes: usize = self.kept.iter().map(|event| event.wire.len()).sum();
            let Some(oldest) = self.kept.front() else {
                return;
            };
            let age = now.duration_since(oldest.at);
            if self.kept.len() <= self.retention.events
                && bytes <= self.retention.bytes
                && self.retention.age.is_none_or(|limit| age <= limit)
            {
                return;
            }
            self.floor = oldest.seq + 1;
            self.kept.pop_front();
        }
    }

    fn from(&self, next: u64, limit: u64) -> Vec<&Kept> {
        let wanted = next..limit;
        let kept = self.kept.iter();
        kept.filter(|event| wanted.contains(&event.seq)).collect()
    }

    fn check(&self, window: &Window, next: u64, limit: u64) {
        let expected = self.from(next, limit);
        match window.after(next, limit) {
            Found::Evicted => assert!(next < self.floor, "{next} is evicted too early"),
            Found::Tail => assert!(expected.is_empty() && next >= self.floor),
            Found::Events {
                bytes,
                events,
                first,
                then,
                ordinal,
            } => {
                assert!(next >= self.floor, "{next} was evicted");
                let given = &expected[..events as usize];
                let wire: Vec<u8> = given.iter().flat_map(|event| event.wire.clone()).collect();
                assert_eq!(bytes, wire);
                assert_eq!(first, given[0].seq);
                let last = given.last().expect("no slice is empty");
                assert_eq!(then, last.seq + 1);
                let newer = self.kept.iter().filter(|event| event.seq > last.seq);
                assert_eq!(ordinal, self.given - newer.count() as u64);
                assert!(bytes.len() <= Window::SLICE || events == 1, "{events}");
            }
        }
        let at_or_above = |from: u64| self.kept.iter().filter(move |event| event.seq >= from);
        assert_eq!(
            window.first_from(next),
            at_or_above(next).next().map(|event| event.seq)
        );
        let before = self.given - at_or_above(next).count() as u64;
        assert_eq!(
            window.given_before(next),
            (next >= self.floor).then_some(before)
        );
    }

    fn check_all(&self, window: &Window) {
        assert_eq!(window.floor(), self.floor);
        assert_eq!(window.events(), self.kept.len());
        assert_eq!(window.appended(), self.given);
        assert_eq!(window.last(), self.kept.back().map(|event| event.seq));
        let wire: usize = self.kept.iter().map(|event| event.wire.len()).sum();
        assert_eq!(window.bytes(), wire);
        for key in KEYS {
            let held = |event: &&Kept| event.key.as_deref() == Some(key);
            let seq = self.kept.iter().find(held).map(|event| event.seq);
            assert_eq!(window.keyed(key), seq, "{key}");
        }
        // From the floor on, slice by slice, everything and in order.
        let (mut next, mut read) = (self.floor, Vec::new());
        while let Found::Events { bytes, then, .. } = window.after(next, u64::MAX) {
            read.extend_from_slice(&bytes);
            next = then;
        }
        let all: Vec<u8> = self.kept.iter().flat_map(|e| e.wire.clone()).collect();
        assert_eq!(read, all);
        check_memory(window, &self.retention);
    }
}

/// What is retained and one segment (or one event, if that is longer), and no room beside.
fn check_memory(window: &Window, retention: &Retention) {
    let segment = window.segment_size();
    let sealed: usize = window.sealed.iter().map(|sealed| sealed.bytes.len()).sum();
    let longest = retention.bytes.max(segment);
    assert!(window.open.bytes.capacity() <= longest);
    assert!(sealed <= retention.bytes + longest, "{sealed}");
    assert_eq!(window.keys.len(), window.keyed.len());
    if window.events == 0 {
        assert!(window.sealed.is_empty() && window.open.bytes.capacity() == 0);
        assert_eq!(window.keys.capacity() + window.keyed.capacity(), 0);
    }
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug, Clone)]
enum Step {
    /// Append an event of `len` bytes of data after a hole of so many numbers.
    Append {
        hole: u64,
        len: usize,
        key: Option<&'static str>,
    },
    /// Let so many tenths of a second pass.
    Pass(u32),
    /// Read at these per mille of all numbers, up to those.
    Read(u64, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![8 => 0..300usize, 2 => 2_000..9_000usize, 1 => 15_000..40_000usize];
    let key = proptest::option::weighted(0.2, proptest::sample::select(&KEYS[..]));
    let append = (0..4u64, len, key).prop_map(|(hole, len, key)| Step::Append { hole, len, key });
    let read = (0..1_100u64, 0..1_100u64).prop_map(|(from, to)| Step::Read(from, to));
    proptest::collection::vec(
        prop_oneof![6 => append, 1 => (0..12u32).prop_map(Step::Pass), 3 => read],
        1..150,
    )
}

fn retentions() -> impl Strategy<Value = Retention> {
    let bytes = prop_oneof![200..2_000usize, 20_000..200_000usize];
    let age =
        proptest::option::of((1..30u64).prop_map(|tenths| Duration::from_millis(100 * tenths)));
    (bytes, 1..80usize, age).prop_map(|(bytes, events, age)| Retention { bytes, events, age })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_window_is_a_list(retention in retentions(), floor in 0..20u64, steps in steps()) {
        paused(async {
            let options = LogOptions::default().with_retention(retention.clone());
            let epoch = Epoch::random();
            let mut window = Window::new(epoch, &options, floor);
            let mut oracle = Oracle { retention, kept: VecDeque::new(), floor, given: 0 };
            let mut next = floor;
            for step in steps {
                match step {
                    Step::Append { hole, len, key } => {
                        let seq = next + hole;
                        let key = key.filter(|key| window.keyed(key).is_none());
                        let data = "x".repeat(len);
                        let wire = format!("data: {data}\nid: {}\n\n", Position { epoch, seq });
                        let appended = window.append(seq, &Event::new(data), key, Instant::now());
                        if wire.len() > oracle.retention.bytes {
                            let limit = oracle.retention.bytes;
                            let bytes = wire.len();
                            assert_eq!(appended, Err(AppendError::TooLarge { bytes, limit }));
                            continue;
                        }
                        assert_eq!(appended, Ok(()));
                        next = seq + 1;
                        oracle.given += 1;
                        let (wire, key) = (wire.into_bytes(), key.map(str::to_owned));
                        oracle.kept.push_back(Kept { seq, wire, at: Instant::now(), key });
                        oracle.retain(Instant::now());
                    }
                    Step::Pass(tenths) => {
                        tokio::time::advance(Duration::from_millis(100) * tenths).await;
                        window.retain(Instant::now());
                        oracle.retain(Instant::now());
                    }
                    Step::Read(from, to) => {
                        oracle.check(&window, next * from / 1_000, next * to / 1_000);
                        oracle.check(&window, next * from / 1_000, u64::MAX);
                    }
                }
                oracle.check_all(&window);
            }
        });
    }
}

#[test]
fn a_sealed_segment_is_sliced_and_not_copied() {
    let (mut window, epoch) = empty(Retention::default());
    let event = Event::new("y".repeat(1_000));
    for seq in 0..100 {
        window.append(seq, &event, None, Instant::now()).unwrap();
    }
    assert!(!window.sealed.is_empty());
    let wire = format!(
        "data: {}\nid: {}\n\n",
        event.data(),
        Position { epoch, seq: 0 }
    );
    let slice = |window: &Window, next| match window.after(next, u64::MAX) {
        Found::Events { bytes, .. } => bytes,
        other => panic!("{other:?}"),
    };
    let (first, again, second) = (slice(&window, 0), slice(&window, 0), slice(&window, 1));
    assert_eq!(first.as_ptr(), window.sealed[0].bytes.as_ptr());
    assert_eq!(again.as_ptr(), first.as_ptr());
    assert_eq!(second.as_ptr(), first[wire.len()..].as_ptr());
    // The open one goes on growing, and may move: what is read of it is a copy.
    let open = slice(&window, 99);
    assert!(!window.open.bytes.as_ptr_range().contains(&open.as_ptr()));
}

#[test]
fn a_slice_outlives_its_segment() {
    let (mut window, _) = empty(Retention::default().with_bytes(40_000));
    let event = Event::new("z".repeat(1_000));
    for seq in 0..30 {
        window.append(seq, &event, None, Instant::now()).unwrap();
    }
    let Found::Events { bytes, .. } = window.after(0, u64::MAX) else {
        panic!("the first is there");
    };
    let before = bytes.to_vec();
    for seq in 30..300 {
        window.append(seq, &event, None, Instant::now()).unwrap();
    }
    assert!(matches!(window.after(0, u64::MAX), Found::Evicted));
    assert_eq!(bytes, before);
}

#[test]
fn one_event_is_kept_at_least() {
    let (mut window, _) = empty(Retention::default().with_events(0));
    window
        .append(0, &Event::new("a"), None, Instant::now())
        .unwrap();
    assert_eq!(window.events(), 1);
}

#[test]
fn an_event_longer_than_a_segment_goes_alone() {
    let (mut window, _) = empty(Retention::default());
    let long = Event::new("w".repeat(3 * Window::SEGMENT));
    for (seq, event) in [Event::new("a"), long, Event::new("b")].iter().enumerate() {
        window
            .append(seq as u64, event, None, Instant::now())
            .unwrap();
    }
    let mut found = Vec::new();
    let mut next = 0;
    while let Found::Events { events, then, .. } = window.after(next, u64::MAX) {
        found.push(events);
        next = then;
    }
    assert_eq!(found, [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn age_is_kept_to_a_tenth_of_a_second() {
    let (mut window, _) = empty(Retention::default().with_age(Duration::from_secs(1)));
    tokio::time::advance(Duration::from_millis(77)).await;
    window
        .append(0, &Event::new("a"), Some("k"), Instant::now())
        .unwrap();
    tokio::time::advance(Duration::from_millis(1_000)).await;
    window.retain(Instant::now());
    assert_eq!(
        (window.events(), window.keyed("k")),
        (1, Some(0)),
        "as old as it may get"
    );
    tokio::time::advance(Duration::from_millis(100)).await;
    window.retain(Instant::now());
    assert_eq!((window.events(), window.keyed("k")), (0, None), "too old");
    assert_eq!((window.floor(), window.last()), (1, None));
}

fn empty(retention: Retention) -> (Window, Epoch) {
    let epoch = Epoch::random();
    let options = LogOptions::default().with_retention(retention);
    (Window::new(epoch, &options, 0), epoch)
}

fn paused(steps: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(steps);
}
