//! A hub, as publishers and subscribers see it.

#[path = "reading/data.rs"]
mod data;

use std::collections::BTreeMap;
use std::task::Poll;
use std::time::Duration;

use data::{Got, all, decode, events, gap, numbers, poll};
use http_body_util::BodyExt;
use wellspring::event::Event;
use wellspring::{
    Cursor, End, EventBody, GapReason, Hub, HubOptions, LogOptions, Next, Overflow, Position,
    PublishError, Reader, Retention, Start, StreamOptions, SubscribeError, TopicName,
};

#[test]
fn a_topics_name_is_there_once_for_all_who_hold_it() {
    let hub = Hub::default();
    let [first, second] = topics(["t", "t"]);
    let place = |name: &TopicName| name.as_str().as_ptr();
    assert_eq!(place(&hub.shared_name(&second)), place(&second), "no topic");
    let _reader = hub.subscribe(std::slice::from_ref(&first), Start::Tail);
    assert_eq!(place(&hub.shared_name(&second)), place(&first));
}

#[tokio::test]
async fn one_sequence_numbers_all_topics() {
    let hub = Hub::default();
    let [a, b] = topics(["a", "b"]);
    let positions = [
        publish(&hub, &a, "0").await,
        publish(&hub, &b, "1").await,
        publish(&hub, &a, "2").await,
    ];
    assert_eq!(positions.map(|position| position.seq), [0, 1, 2]);
    assert!(
        positions
            .iter()
            .all(|position| position.epoch == hub.epoch())
    );
    assert_eq!(all(&mut subscribe(&hub, [&a], Start::Earliest)), ["0", "2"]);
    assert_eq!(all(&mut subscribe(&hub, [&b], Start::Earliest)), ["1"]);
    assert_eq!(hub.tail(), Cursor::after(positions[2]));
}

#[tokio::test]
async fn a_reader_of_several_topics_resumes_after_any_id() {
    let hub = Hub::default();
    let [a, b, c] = topics(["a", "b", "c"]);
    let mut expected = Vec::new();
    for number in 0..60 {
        let topic = [&a, &b, &c, &a, &a][number % 5];
        publish(&hub, topic, &number.to_string()).await;
        if topic != &b {
            expected.push(number.to_string());
        }
    }
    let mut whole = subscribe(&hub, [&a, &c], Start::Earliest);
    let mut ids = Vec::new();
    while let Poll::Ready(next) = poll(&mut whole) {
        ids.extend(events(next).into_iter().map(|event| event.id));
    }
    assert_eq!(ids.len(), expected.len());
    for (seen, id) in ids.iter().enumerate() {
        let mut reader = subscribe(&hub, [&a, &c], Start::from_last_event_id(id));
        assert_eq!(all(&mut reader), expected[seen + 1..]);
    }
}

#[tokio::test]
async fn live_events_of_several_topics_come_one_by_one() {
    let hub = Hub::default();
    let [a, b, c] = topics(["a", "b", "c"]);
    let mut reader = subscribe(&hub, [&a, &b], Start::Tail);
    for number in 0..20 {
        assert!(poll(&mut reader).is_pending());
        publish(&hub, &c, "of no concern").await;
        assert!(poll(&mut reader).is_pending());
        let topic = [&a, &b][number % 2];
        publish(&hub, topic, &number.to_string()).await;
        assert_eq!(all(&mut reader), [number.to_string()]);
    }
}

#[tokio::test]
async fn a_topic_that_is_named_twice_is_read_once() {
    let hub = Hub::default();
    let [a, b] = topics(["a", "b"]);
    let mut same = subscribe(&hub, [&a, &a], Start::Tail);
    let mut both = subscribe(&hub, [&a, &b, &a], Start::Tail);
    publish(&hub, &a, "x").await;
    assert_eq!(all(&mut same), ["x"]);
    assert_eq!(all(&mut both), ["x"]);
    assert_eq!(hub.readers(), 3, "one of a, one of a and of b");
    drop((same, both));
    assert_eq!(hub.readers(), 0);
}

/// Whatever publishers, evictions and readers do: what a reader gets rises, and nothing of its topics
/// is left out unless a gap says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishers_on_all_threads_and_readers_of_any_topics() {
    const EACH: u64 = 3_000;
    for (events, overflow) in [
        (1_000_000, Overflow::Disconnect),
        (16, Overflow::Skip),
        (16, Overflow::Disconnect),
    ] {
        let hub = Hub::new(
            HubOptions::default().with_topic(
                LogOptions::default()
                    .with_retention(Retention::default().with_events(events))
                    .with_overflow(overflow),
            ),
        );
        let names = topics(["a", "b", "c"]);
        let wanted: Vec<Vec<TopicName>> = [&[0][..], &[0, 1], &[2, 1], &[0, 1, 2], &[1, 2, 0]]
            .map(|wanted| wanted.iter().map(|topic| names[*topic].clone()).collect())
            .into();
        let reading: Vec<_> = wanted
            .iter()
            .map(|topics| tokio::spawn(follow(hub.clone(), topics.clone())))
            .collect();
        while hub.readers() < wanted.iter().map(Vec::len).sum() {
            tokio::task::yield_now().await;
        }
        let publishing: Vec<_> = (0..4usize)
            .map(|publisher| {
                let (hub, names) = (hub.clone(), names.clone());
                tokio::spawn(async move {
                    let mut published = Vec::new();
                    for number in 0..EACH {
                        let topic = (number as usize + publisher) % 3;
                        let position = publish(&hub, &names[topic], "x").await;
                        published.push((position.seq, names[topic].clone()));
                    }
                    published
                })
            })
            .collect();
        let mut published = BTreeMap::new();
        for publisher in publishing {
            published.extend(publisher.await.unwrap());
        }
        assert_eq!(
            published.len() as u64,
            4 * EACH,
            "two events had one number"
        );
        let drained = tokio::spawn({
            let hub = hub.clone();
            async move { hub.drain(Duration::from_secs(60)).await }
        });
        for (topics, reader) in wanted.iter().zip(reading) {
            let steps = reader.await.unwrap();
            account(&published, topics, &steps, events > 1_000);
        }
        assert_eq!(drained.await.unwrap(), 0);
    }
}

/// What a reader was given.
#[derive(Debug, Clone, Copy)]
enum Step {
    Event(u64),
    /// Where it goes on, and whether that is the tail: then nothing from there on is lost.
    Gap {
        on: u64,
        at_tail: bool,
    },
}

/// Reads until the hub is drained, coming back whenever it is sent away for being slow.
async fn follow(hub: Hub, topics: Vec<TopicName>) -> Vec<Step> {
    let mut reader = hub.subscribe(&topics, Start::Tail).unwrap();
    let mut steps = Vec::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let next = tokio::time::timeout_at(deadline, reader.next());
        match next.await.expect("a lost wake-up") {
            Next::Events { bytes, .. } => {
                steps.extend(decode(&bytes).iter().map(|event| Step::Event(event.seq())));
            }
            Next::Gap(gap) => steps.push(Step::Gap {
                on: gap.on.next,
                at_tail: gap.reason == GapReason::Overflow,
            }),
            Next::End(End::Drained) => return steps,
            Next::End(End::Overflow) => {
                let id = reader.cursor().to_string();
                let start = Start::from_last_event_id(&id);
                reader = hub.subscribe(&topics, start).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}

fn account(
    published: &BTreeMap<u64, TopicName>,
    topics: &[TopicName],
    steps: &[Step],
    complete: bool,
) {
    let lost = |topic: &TopicName, from: u64, to: u64| {
        let range = published.range(from..to);
        range.filter(|(_, of)| *of == topic).count()
    };
    // For each topic: up to where everything was given or announced as lost, and whether its next event
    // may lie further on, because a topic had lost more than the gap's first event shows.
    let mut accounts: Vec<_> = topics.iter().map(|topic| (topic, 0, false)).collect();
    let mut next = 0;
    for step in steps {
        match *step {
            Step::Event(seq) => {
                assert!(seq >= next, "{seq} after {next}: twice, or out of order");
                next = seq + 1;
                let mut of_topic = accounts.iter_mut();
                let (topic, given, excused) = of_topic
                    .find(|(topic, ..)| **topic == published[&seq])
                    .expect("an event of another topic");
                if !*excused {
                    assert_eq!(lost(topic, *given, seq), 0, "before {seq} of {topic}");
                }
                (*given, *excused) = (next, false);
            }
            Step::Gap { on, at_tail } => {
                assert!(!complete, "nothing was evicted");
                assert!(on >= next, "a gap goes back from {next} to {on}");
                next = on;
                for (_, given, excused) in &mut accounts {
                    (*given, *excused) = (on, !at_tail);
                }
            }
        }
    }
    for (topic, given, _) in accounts {
        assert_eq!(lost(topic, given, u64::MAX), 0, "the last ones of {topic}");
    }
}

#[tokio::test]
async fn a_loss_in_one_of_several_topics_is_told_and_the_rest_comes_in_order() {
    let hub = Hub::new(keeping(2, Overflow::Disconnect));
    let [a, b] = topics(["a", "b"]);
    // a: 0 2 3 4 (0 and 2 go), b: 1 5
    for (number, topic) in [&a, &b, &a, &a, &a, &b].into_iter().enumerate() {
        publish(&hub, topic, &number.to_string()).await;
    }
    let start = Start::from_last_event_id(&Cursor::start(hub.epoch()).to_string());
    let mut reader = subscribe(&hub, [&a, &b], start);
    let told = gap(&mut reader);
    assert_eq!(told.reason, GapReason::Evicted);
    assert_eq!((told.first.unwrap().seq, told.last.unwrap().seq), (1, 5));
    assert_eq!(all(&mut reader), ["1", "3", "4", "5"]);

    let mut earliest = subscribe(&hub, [&a, &b], Start::Earliest);
    assert_eq!(all(&mut earliest), ["1", "3", "4", "5"]);
}

#[tokio::test]
async fn ids_that_prove_nothing_are_told_a_gap() {
    let hub = Hub::default();
    let [a, b] = topics(["a", "b"]);
    publish(&hub, &a, "0").await;
    publish(&hub, &b, "1").await;
    let foreign = Hub::default().tail().to_string();
    let future = Position {
        epoch: hub.epoch(),
        seq: 2,
    }
    .to_string();
    for asked in [foreign.as_str(), "7", &future] {
        let mut both = subscribe(&hub, [&a, &b], Start::from_last_event_id(asked));
        let told = gap(&mut both);
        assert_eq!(
            (told.reason, told.requested.as_str()),
            (GapReason::Epoch, asked)
        );
        assert_eq!(told.first.unwrap().seq, 0);
        assert_eq!(all(&mut both), ["0", "1"]);

        let mut one = subscribe(&hub, [&b], Start::from_last_event_id(asked));
        assert_eq!(gap(&mut one).reason, GapReason::Epoch);
        assert_eq!(all(&mut one), ["1"]);
    }
    let mut neither = subscribe(
        &hub,
        topics(["c", "d"]).each_ref(),
        Start::from_last_event_id("7"),
    );
    let told = gap(&mut neither);
    assert_eq!((told.first, told.last, told.on), (None, None, hub.tail()));
}

#[tokio::test]
async fn a_slow_reader_of_several_topics_is_treated_by_the_policy() {
    for (overflow, expected) in [
        (Overflow::Disconnect, None),
        (Overflow::Skip, Some(vec![])),
        (Overflow::Latest, Some(vec!["8"])),
    ] {
        let hub = Hub::new(keeping(2, overflow));
        let [a, b] = topics(["a", "b"]);
        publish(&hub, &a, "0").await;
        let mut reader = subscribe(&hub, [&a, &b], Start::Earliest);
        assert_eq!(all(&mut reader), ["0"]);
        for number in 1..9 {
            let topic = if number == 5 { &b } else { &a };
            publish(&hub, topic, &number.to_string()).await;
        }
        match (overflow, expected) {
            (_, None) => assert_eq!(poll(&mut reader), Poll::Ready(Next::End(End::Overflow))),
            (Overflow::Skip, Some(rest)) => {
                let told = gap(&mut reader);
                assert_eq!((told.reason, told.first), (GapReason::Overflow, None));
                assert_eq!((told.on, told.last.unwrap().seq), (hub.tail(), 8));
                assert_eq!(all(&mut reader), rest);
                publish(&hub, &b, "9").await;
                assert_eq!(all(&mut reader), ["9"]);
            }
            (_, Some(rest)) => assert_eq!(all(&mut reader), rest),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn topics_vanish_when_empty_and_idle_and_who_returns_is_told() {
    let hub = Hub::new(aging());
    let [a, b] = topics(["a", "b"]);
    let seen = publish(&hub, &a, "seen").await;
    publish(&hub, &a, "missed").await;
    publish(&hub, &b, "b").await;
    assert_eq!(hub.topics(), 2);

    tokio::time::advance(Duration::from_secs(2)).await;
    hub.sweep();
    assert_eq!(
        hub.topics(),
        2,
        "they are empty, and have not been idle for long"
    );
    tokio::time::advance(Duration::from_secs(61)).await;
    let waiting = subscribe(&hub, [&b], Start::Tail);
    hub.sweep();
    assert_eq!(hub.topics(), 1, "one is being read");

    let mut back = subscribe(&hub, [&a], Start::After(Cursor::after(seen)));
    assert_eq!(gap(&mut back).reason, GapReason::Evicted);
    publish(&hub, &a, "new").await;
    assert_eq!(all(&mut back), ["new"]);
    drop((waiting, back));
}

#[tokio::test(start_paused = true)]
async fn who_missed_nothing_of_a_topic_that_vanished_is_told_nothing() {
    let hub = Hub::new(aging());
    let [a] = topics(["a"]);
    let seen = publish(&hub, &a, "seen").await;
    tokio::time::advance(Duration::from_secs(120)).await;
    hub.sweep();
    tokio::time::advance(Duration::from_secs(120)).await;
    hub.sweep();
    assert_eq!(hub.topics(), 0);
    let mut back = subscribe(&hub, [&a], Start::After(Cursor::after(seen)));
    assert!(poll(&mut back).is_pending());
    publish(&hub, &a, "new").await;
    assert_eq!(all(&mut back), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_hub_makes_room_by_itself() {
    let hub = Hub::new(aging().with_topics(2));
    let [a, b, c] = topics(["a", "b", "c"]);
    publish(&hub, &a, "x").await;
    let reading = subscribe(&hub, [&b], Start::Tail);
    let refused = hub.publish(&c, &Event::new("x")).await;
    assert_eq!(refused, Err(PublishError::TooManyTopics { limit: 2 }));
    let refused = hub.subscribe(std::slice::from_ref(&c), Start::Tail);
    assert_eq!(
        refused.unwrap_err(),
        SubscribeError::TooManyTopics { limit: 2 }
    );

    // Its events go, and after them the topic itself.
    for _ in 0..2 {
        tokio::time::advance(Duration::from_secs(70)).await;
        let _ = hub.publish(&c, &Event::new("x")).await;
    }
    assert_eq!(all(&mut subscribe(&hub, [&c], Start::Earliest)), ["x"]);
    assert_eq!(hub.topics(), 2);
    drop(reading);
}

#[tokio::test]
async fn a_key_counts_once_within_its_topic() {
    let hub = Hub::default();
    let [a, b] = topics(["a", "b"]);
    let event = Event::new("x");
    let first = hub.publish_keyed(&a, &event, Some("k")).await.unwrap();
    let again = hub.publish_keyed(&a, &event, Some("k")).await.unwrap();
    let other = hub.publish_keyed(&b, &event, Some("k")).await.unwrap();
    assert!(!first.repeated && again.repeated && !other.repeated);
    assert_eq!(again.position, first.position);
    assert_eq!(all(&mut subscribe(&hub, [&a], Start::Earliest)), ["x"]);
    assert_eq!(hub.tail().next, 2);
}

#[tokio::test]
async fn limits_are_named() {
    let options = HubOptions::default().with_topics_per_reader(2);
    let hub = Hub::new(
        options
            .with_topic(LogOptions::default().with_retention(Retention::default().with_bytes(64))),
    );
    let names = topics(["a", "b", "c"]);
    let refused = hub.subscribe(&names, Start::Tail).unwrap_err();
    assert_eq!(
        refused,
        SubscribeError::TooManyForReader { asked: 3, limit: 2 }
    );
    assert_eq!(
        hub.subscribe(&[], Start::Tail).unwrap_err(),
        SubscribeError::NoTopic
    );
    assert!(matches!(
        hub.publish(&names[0], &Event::new("x".repeat(64))).await,
        Err(PublishError::TooLarge { limit: 64, .. })
    ));
    assert_eq!(
        publish(&hub, &names[0], "y").await.seq,
        0,
        "the refused one took no number"
    );
}

#[tokio::test]
async fn drain_sends_everybody_away_in_good_order() {
    let hub = Hub::default();
    let [a, b] = topics(["a", "b"]);
    publish(&hub, &a, "0").await;
    publish(&hub, &b, "1").await;
    let body = |topics: &[TopicName], start| {
        let retry = Duration::from_millis(1_500)..=Duration::from_millis(1_500);
        let options = StreamOptions::default().with_retry(retry);
        EventBody::new(hub.subscribe(topics, start).unwrap(), options)
    };
    let text = |body: EventBody| async {
        let bytes = body.collect().await.expect("it ends cleanly").to_bytes();
        String::from_utf8(bytes.into()).unwrap()
    };
    let one = tokio::spawn(text(body(std::slice::from_ref(&a), Start::Earliest)));
    let both = tokio::spawn(text(body(&[a.clone(), b.clone()], Start::Earliest)));
    let idle = tokio::spawn(text(body(std::slice::from_ref(&b), Start::Tail)));
    let gone = body(std::slice::from_ref(&b), Start::Tail);
    drop(gone);
    assert_eq!(hub.drain(Duration::from_secs(60)).await, 0);

    let (opening, last) = (":\nretry: 1500\n", "retry: 1500\n");
    for (task, data) in [(one, &["0"][..]), (both, &["0", "1"]), (idle, &[])] {
        let text = task.await.unwrap();
        assert!(
            text.starts_with(opening) && text.ends_with(last),
            "{text:?}"
        );
        let got: Vec<String> = decode(text.as_bytes())
            .into_iter()
            .map(|e: Got| e.data)
            .collect();
        assert_eq!(got, data);
    }

    // Publishing goes on, and who comes now is sent away at once: on topics old and new.
    publish(&hub, &a, "2").await;
    for topic in [&a, &topics(["new"])[0]] {
        let told = text(body(std::slice::from_ref(topic), Start::Tail)).await;
        assert_eq!(told, format!("{opening}{last}"));
    }
    assert_eq!(hub.readers(), 0);
}

#[tokio::test(start_paused = true)]
async fn drain_gives_up_at_its_deadline() {
    let hub = Hub::default();
    let [a] = topics(["a"]);
    let stalled = subscribe(&hub, [&a], Start::Tail);
    let begun = tokio::time::Instant::now();
    assert_eq!(hub.drain(Duration::from_secs(5)).await, 1);
    assert_eq!(begun.elapsed().as_secs(), 5);
    drop(stalled);
    assert_eq!(hub.drain(Duration::MAX).await, 0);
}

#[tokio::test]
async fn replay_of_one_topic_is_the_whole_topic() {
    let hub = Hub::default();
    let [a, b] = topics(["a", "b"]);
    for number in 0..1_000u64 {
        publish(&hub, &a, &number.to_string()).await;
        publish(&hub, &b, "x".repeat(100).as_str()).await;
    }
    assert_eq!(
        all(&mut subscribe(&hub, [&a], Start::Earliest)),
        numbers(0..1_000)
    );
    let merged = all(&mut subscribe(&hub, [&b, &a], Start::Earliest));
    assert_eq!(merged.len(), 2_000);
    let of_a: Vec<String> = merged
        .into_iter()
        .filter(|data| !data.starts_with('x'))
        .collect();
    assert_eq!(of_a, numbers(0..1_000));
}

fn topics<const N: usize>(names: [&str; N]) -> [TopicName; N] {
    names.map(|name| TopicName::new(name).expect("a fine name"))
}

fn subscribe<const N: usize>(hub: &Hub, topics: [&TopicName; N], start: Start) -> Reader {
    let topics = topics.map(TopicName::clone);
    hub.subscribe(&topics, start).expect("there is room")
}

async fn publish(hub: &Hub, topic: &TopicName, data: &str) -> Position {
    hub.publish(topic, &Event::new(data))
        .await
        .expect("it is small")
}

fn keeping(events: usize, overflow: Overflow) -> HubOptions {
    let retention = Retention::default().with_events(events);
    HubOptions::default().with_topic(
        LogOptions::default()
            .with_retention(retention)
            .with_overflow(overflow),
    )
}

/// A hub whose events are too old after a second, and its topics idle after a minute.
fn aging() -> HubOptions {
    let retention = Retention::default().with_age(Duration::from_secs(1));
    HubOptions::default()
        .with_topic(LogOptions::default().with_retention(retention))
        .with_idle(Duration::from_secs(60))
}
