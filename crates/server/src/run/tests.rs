use proptest::prelude::*;
use wellspring::event::Decoder;
use wellspring::{End, Next, Start};

use super::*;
use crate::dialect::{DIALECTS, NATIVE};

fn run(options: RunOptions) -> Arc<Run> {
    let head = Head {
        id: "run_1".into(),
        model: "m".to_owned(),
        created: 1,
        include_usage: true,
        conversation: None,
    };
    Arc::new(Run::new(head, options, None))
}

fn at_once() -> RunOptions {
    RunOptions {
        coalescing: Coalescing::OFF,
        ..RunOptions::default()
    }
}

fn answer(text: &str) -> Part {
    Part::Answer(text.to_owned())
}

fn done() -> Ending {
    Ending::Done(Summary::default())
}

/// The events of a run, as a client sees them: type, id, data.
async fn seen(
    run: &Run,
    dialect: &'static dyn Dialect,
    from: From,
) -> Vec<(String, String, String)> {
    let mut reader = run.read(dialect, from).unwrap();
    let mut wire = Vec::new();
    loop {
        match reader.next().await {
            Next::Events { bytes, .. } => wire.extend_from_slice(&bytes),
            Next::End(end) => {
                assert_eq!(end, End::Complete);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let mut decoder = Decoder::with_limit(1 << 20);
    let mut input = &wire[..];
    let mut seen = Vec::new();
    while let Some(message) = decoder.decode(&mut input).unwrap() {
        seen.push((
            message.event_type().to_owned(),
            message.last_event_id().to_owned(),
            message.data().to_owned(),
        ));
    }
    seen
}

fn text(seen: &[(String, String, String)]) -> String {
    seen.iter()
        .filter(|(name, _, _)| name == "answer")
        .map(|(_, _, data)| {
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            data["text"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[tokio::test]
async fn each_dialect_tells_the_same_whether_it_was_read_before_or_after() {
    let before = run(at_once());
    let after = run(at_once());
    for dialect in DIALECTS {
        // Its log is made now, and filled as the run goes.
        before.read(*dialect, From::Now).unwrap();
    }
    for run in [&before, &after] {
        run.say(Part::Thinking("hm".to_owned()));
        run.say(answer("Gr\u{fc}\u{df}e"));
        run.say(Part::Tool(ToolCall {
            id: Some("c".to_owned()),
            name: Some("look".to_owned()),
            ..ToolCall::default()
        }));
        run.say(Part::Usage(serde_json::json!({ "total_tokens": 3 })));
        run.finish(&done());
    }
    for dialect in DIALECTS {
        let data = |seen: Vec<(String, String, String)>| -> Vec<(String, String)> {
            seen.into_iter()
                .map(|(name, _, data)| (name, data))
                .collect()
        };
        assert_eq!(
            data(seen(&before, *dialect, From::Beginning).await),
            data(seen(&after, *dialect, From::Beginning).await),
            "{dialect:?}"
        );
    }
}

#[tokio::test]
async fn who_comes_late_gets_few_large_events() {
    let run = run(at_once());
    for _ in 0..5_000 {
        run.say(answer("word "));
    }
    run.finish(&done());
    let late = seen(&run, NATIVE, From::Beginning).await;
    assert!(late.len() < 10, "{}", late.len());
    assert_eq!(text(&late), "word ".repeat(5_000));
    let (name, id, _) = late.last().unwrap();
    assert_eq!(name, "done");
    assert!(id.ends_with("-000000005000"), "{id}");
}

#[tokio::test]
async fn what_is_too_much_to_keep_is_a_gap_here_and_refused_elsewhere() {
    let run = run(at_once());
    let long = "x".repeat(64 * 1024);
    for _ in 0..70 {
        run.say(answer(&long));
    }
    run.finish(&done());
    let mut reader = run.read(NATIVE, From::Beginning).unwrap();
    assert!(matches!(reader.next().await, Next::Gap(_)));
    for dialect in &DIALECTS[1..] {
        assert_eq!(
            run.read(*dialect, From::Beginning).map(|_| ()),
            Err(Outgrown),
            "{dialect:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_is_said_in_time_and_before_the_end() {
    let run = run(RunOptions::default());
    let mut reader = run.read(NATIVE, From::Now).unwrap();
    let producer = Producer::of(&run);
    for word in ["a", "b", "c"] {
        producer.say(answer(word));
    }
    let began = Instant::now();
    let waited = producer.wait(async {
        let mut texts = Vec::new();
        for _ in 0..2 {
            let Next::Events { bytes, .. } = reader.next().await else {
                panic!("the run is open");
            };
            texts.push((String::from_utf8(bytes.to_vec()).unwrap(), began.elapsed()));
        }
        texts
    });
    let texts = waited.await.unwrap();
    assert!(texts[0].0.contains(r#"{"text":"a"}"#) && texts[0].1.is_zero());
    assert!(texts[1].0.contains(r#"{"text":"bc"}"#), "{texts:?}");
    assert!(texts[1].1 <= Duration::from_millis(60), "{texts:?}");
    producer.say(answer("d"));
    producer.finish(&done());
    assert_eq!(text(&seen(&run, NATIVE, From::Beginning).await), "abcd");
}

#[tokio::test(start_paused = true)]
async fn the_last_reader_to_leave_ends_what_is_to_be_ended() {
    for (policy, patience) in [
        (OnDisconnect::Cancel, Some(0)),
        (OnDisconnect::CancelAfter(30), Some(30)),
        (OnDisconnect::Continue, None),
    ] {
        let run = run(RunOptions {
            on_disconnect: policy,
            ..at_once()
        });
        let producer = Producer::of(&run);
        let (first, second) = (Presence::of(&run), Presence::of(&run));
        drop(first);
        assert_eq!(run.state(), State::Open, "somebody reads still");
        drop(second);
        let began = Instant::now();
        let hour = tokio::time::sleep(Duration::from_secs(3600));
        let stopped = producer.wait(hour).await;
        match patience {
            Some(seconds) => {
                assert_eq!(stopped, Err(Stopped), "{policy:?}");
                assert_eq!(began.elapsed().as_secs(), seconds, "{policy:?}");
                assert_eq!(run.state(), State::Cancelled);
            }
            None => assert_eq!(run.state(), State::Open),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_in_time_saves_the_run() {
    let run = run(RunOptions {
        on_disconnect: OnDisconnect::CancelAfter(30),
        ..at_once()
    });
    drop(Presence::of(&run));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let back = Presence::of(&run);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(run.state(), State::Open);
    drop(back);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(run.state(), State::Cancelled);
}

#[tokio::test]
async fn what_was_counted_on_the_way_is_told_at_the_end() {
    let run = run(at_once());
    run.read(NATIVE, From::Now).unwrap();
    run.say(Part::Usage(serde_json::json!({ "total_tokens": 3 })));
    run.say(answer("so many"));
    run.finish(&done());
    let told = seen(&run, NATIVE, From::Beginning).await;
    let (_, _, last) = told.last().unwrap();
    assert!(last.contains(r#""usage":{"total_tokens":3}"#), "{last}");
}

#[tokio::test]
async fn the_first_end_counts() {
    let run = run(at_once());
    let producer = Producer::of(&run);
    run.cancel();
    run.cancel();
    producer.say(answer("too late"));
    producer.finish(&done());
    let story = seen(&run, NATIVE, From::Beginning).await;
    assert_eq!(story.len(), 1, "{story:?}");
    assert!(story[0].2.contains("cancelled"), "{story:?}");
}

#[tokio::test]
async fn a_producer_that_vanishes_fails_its_run() {
    let run = run(at_once());
    drop(Producer::of(&run));
    assert_eq!(run.state(), State::Failed);
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        "[a-z]{1,3}".prop_map(Part::Answer),
        "[a-z]{1,3}".prop_map(Part::Thinking),
        Just(Part::Progress(serde_json::Map::new())),
    ];
    // Runs of one kind, as models say them.
    prop::collection::vec((part, 1..40_usize), 1..12).prop_map(|groups| {
        groups
            .into_iter()
            .flat_map(|(part, count)| std::iter::repeat_n(part, count))
            .collect()
    })
}

fn words(seen: &[(String, String, String)]) -> String {
    let words = seen.iter().map(|(name, _, data)| match name.as_str() {
        "answer" | "thinking" => {
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            let text = data["text"].as_str().unwrap();
            text.chars()
                .map(|letter| format!("{}{letter}", &name[..1]))
                .collect::<String>()
        }
        other => format!("<{other}>"),
    });
    words.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cut after any event of a replay, a reader goes on with its id and has lost and doubled nothing.
    #[test]
    fn a_replay_can_be_cut_anywhere(parts in parts(), cut in any::<prop::sample::Index>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let run = run(at_once());
            let single = run.read(NATIVE, From::Now).map(|_| ());
            assert_eq!(single, Ok(()));
            for part in &parts {
                run.say(part.clone());
            }
            run.finish(&done());
            let whole = seen(&run, NATIVE, From::Id(Start::Earliest)).await;
            let replay = seen(&run, NATIVE, From::Beginning).await;
            assert_eq!(words(&whole), words(&replay));
            let (before, _) = replay.split_at(cut.index(replay.len()) + 1);
            if before.len() == replay.len() {
                return;
            }
            let id = &before.last().unwrap().1;
            let from = From::Id(Start::from_last_event_id(id));
            let after = seen(&run, NATIVE, from).await;
            assert_eq!(words(before) + &words(&after), words(&whole));
        });
    }
}
