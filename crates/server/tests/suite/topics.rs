//! Topics as their readers see them: several at once, resumed after a break, and what is lost is told.

use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::program::Program;
use crate::stream::{Events, data};
use crate::transport::{Client, Transport, Whole, bare, get, header, post, publish, run_of};

#[tokio::test]
async fn several_topics_come_on_one_connection_in_publish_order_under_one_id() {
    let program = Program::start(&[]);
    let path = "/topics?topic=a&topic=b%2Fdeep";
    for transport in Transport::ALL {
        let mut events = Events::open(&program, transport, path).await;
        for (topic, text) in [
            ("a", "1"),
            ("b/deep", "2"),
            ("c", "not asked for"),
            ("a", "3"),
        ] {
            publish(&program, topic, text).await;
        }
        let seen = events.take(3).await;
        assert_eq!(data(&seen), ["1", "2", "3"], "{transport:?}");
        let ids: Vec<&str> = seen.iter().map(|event| event.id.as_str()).collect();
        assert!(
            ids.is_sorted() && ids[0] < ids[1] && ids[1] < ids[2],
            "{ids:?}"
        );
        events.cut().await;
        for (topic, text) in [
            ("b/deep", "4"),
            ("c", "nor this"),
            ("a", "5"),
            ("b/deep", "6"),
        ] {
            publish(&program, topic, text).await;
        }
        let mut events = Events::resume(&program, transport, path, ids[1]).await;
        assert_eq!(
            data(&events.take(4).await),
            ["3", "4", "5", "6"],
            "{transport:?}"
        );
        // The same id is good for one of the topics alone.
        let mut events = Events::resume(&program, transport, "/topics/a", ids[1]).await;
        assert_eq!(data(&events.take(2).await), ["3", "5"], "{transport:?}");
    }
}

#[tokio::test]
async fn a_reader_begins_where_it_asks_to() {
    let program = Program::start(&[]);
    let first = publish(&program, "begin", "1").await;
    publish(&program, "begin", "2").await;
    let mut tail = Events::open(&program, Transport::Http1, "/topics/begin").await;
    let mut earliest =
        Events::resume(&program, Transport::Http2, "/topics/begin", "earliest").await;
    let path = format!("/topics/begin?last_event_id={first}");
    let mut query = Events::open(&program, Transport::Http1, &path).await;
    // An `EventSource` keeps its first query for ever: the header is newer.
    let second = query.next().await.id;
    let mut header = Events::resume(&program, Transport::Http1, &path, &second).await;
    publish(&program, "begin", "3").await;
    assert_eq!(data(&tail.take(1).await), ["3"]);
    assert_eq!(data(&earliest.take(3).await), ["1", "2", "3"]);
    assert_eq!(data(&query.take(1).await), ["3"]);
    assert_eq!(data(&header.take(1).await), ["3"]);
}

#[tokio::test]
async fn whoever_is_cut_before_the_first_event_resumes_from_the_heads_id() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let topic = format!("/topics/head-{transport:?}");
        let events = Events::open(&program, transport, &topic).await;
        let id = header(&events.headers, "last-event-id").to_owned();
        events.cut().await;
        publish(&program, &topic["/topics/".len()..], "meanwhile").await;
        let mut events = Events::resume(&program, transport, &topic, &id).await;
        assert_eq!(events.next().await.data, "meanwhile", "{transport:?}");
    }
}

#[tokio::test]
async fn a_stream_with_a_limit_ends_in_good_order_after_so_many_events() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let topic = format!("limit-{transport:?}");
        for number in 0..7 {
            // An empty line within the data is no end of an event.
            publish(&program, &topic, &format!("{number}\n\nx")).await;
        }
        let path = format!("/topics/{topic}?last_event_id=earliest&limit=");
        // One connection throughout: the end is the response's, not the connection's.
        let mut client = Client::connect(&program, transport).await;
        for limit in [1, 3, 7] {
            let response = client.send(get(&format!("{path}{limit}"))).await.unwrap();
            let mut events = Events::of(response);
            let expected: Vec<String> = (0..limit).map(|n| format!("{n}\n\nx")).collect();
            assert_eq!(data(&events.rest().await), expected, "{transport:?}");
        }
        drop(client);
        let ended = |line: &str| line.contains(&topic) && line.contains("streams=3");
        let line = program.logged("the connection's line", ended).await;
        assert!(
            line.contains("left=0") && line.contains("events=11"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_limit_counts_events_that_come_one_by_one() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let mut events = Events::open(&program, transport, "/topics/live?limit=2").await;
        for number in 0..3 {
            publish(&program, "live", &number.to_string()).await;
        }
        assert_eq!(data(&events.rest().await), ["0", "1"], "{transport:?}");
    }
}

#[tokio::test]
async fn a_limit_that_is_no_number_is_refused() {
    let program = Program::start(&[]);
    for limit in ["0", "-1", "many", "", "99999999999999999999"] {
        let path = format!("/topics/refused?limit={limit}");
        let whole = Whole::of(&program, Transport::Http1, get(&path)).await;
        assert_eq!(whole.status, StatusCode::BAD_REQUEST, "{limit}");
        assert!(whole.text().contains("limit is the number"), "{whole:?}");
    }
}

#[tokio::test]
async fn what_was_evicted_is_told_as_a_gap() {
    let program = Program::start(&["--topic-events", "10"]);
    let mut ids = Vec::new();
    for number in 0..31 {
        ids.push(publish(&program, "short", &number.to_string()).await);
    }
    for transport in Transport::ALL {
        let mut events = Events::resume(&program, transport, "/topics/short", &ids[0]).await;
        let gap = events.next().await;
        assert_eq!(gap.event, "gap", "{transport:?}");
        // One sequence numbers all topics: how many of the numbers between were this one's, nobody knows.
        let told = json!({
            "reason": "evicted", "requested": ids[0], "first": ids[21], "last": ids[30], "missed": null,
        });
        assert_eq!(gap.json(), told, "{transport:?}");
        let kept: Vec<String> = (21..31).map(|number| number.to_string()).collect();
        assert_eq!(data(&events.take(10).await), kept);
        // Cut right after the gap, nobody hears of the same loss twice.
        let mut again = Events::resume(&program, transport, "/topics/short", &gap.id).await;
        assert_eq!(data(&again.take(10).await), kept);
    }
}

#[tokio::test]
async fn an_id_of_another_life_is_told_as_a_gap_and_never_matched() {
    let before = Program::start(&[]);
    let old = publish(&before, "life", "before").await;
    before.terminate().await;
    let program = Program::start(&[]);
    let new = publish(&program, "life", "after").await;
    for foreign in [old.as_str(), "12345", "<b>\"odd\"</b>"] {
        for transport in Transport::ALL {
            let mut events = Events::resume(&program, transport, "/topics/life", foreign).await;
            let gap = events.next().await;
            let told = json!({
                "reason": "epoch", "requested": foreign, "first": new, "last": new, "missed": null,
            });
            assert_eq!(
                (gap.event.as_str(), gap.json()),
                ("gap", told),
                "{transport:?}"
            );
            assert_eq!(events.next().await.data, "after");
        }
    }
}

#[tokio::test]
async fn a_reader_too_slow_for_its_topic_is_sent_away_and_told_when_it_returns() {
    let program = Program::start(&["--topic-events", "4", "--topic-bytes", "400000"]);
    let mut slow = Events::open(&program, Transport::Http1, "/topics/fast").await;
    let first = publish(&program, "fast", "first").await;
    assert_eq!(slow.next().await.id, first);
    // More than any socket buffer takes, while nobody reads.
    let mut publisher = Client::connect(&program, Transport::Http1).await;
    let large = format!("{{\"data\":\"{}\"}}\n", "x".repeat(90_000)).repeat(200);
    let receipt = post("/topics/fast", "application/x-ndjson", large);
    let receipt = publisher.exchange(receipt).await.json();
    assert_eq!(receipt["published"], json!(200));
    let seen = slow.rest().await;
    assert!(seen.len() < 200, "it kept up");
    let last = seen.last().map_or(first, |event| event.id.clone());
    let mut back = Events::resume(&program, Transport::Http1, "/topics/fast", &last).await;
    let gap = back.next().await;
    assert_eq!(gap.event, "gap");
    assert_eq!(gap.json()["requested"], json!(last), "{gap:?}");
    assert_eq!(
        back.take(4).await[3].id,
        receipt["last_id"].as_str().unwrap()
    );
}

#[tokio::test]
async fn whoever_has_all_of_a_run_is_told_never_to_come_back() {
    let program = Program::start(&[]);
    let chat = json!({
        "stream": true, "max_tokens": 5, "messages": [{ "role": "user", "content": "Hello" }],
    });
    let chat = post("/v1/chat/completions", "application/json", chat.to_string());
    let answer = Whole::of(&program, Transport::Http2, chat).await;
    let path = run_of(&answer.headers);
    let seen = Events::open(&program, Transport::Http1, &path)
        .await
        .rest()
        .await;
    let [.., before_last, last] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!(last.event, "done");
    for transport in Transport::ALL {
        let rest = Events::resume(&program, transport, &path, &before_last.id)
            .await
            .rest()
            .await;
        assert_eq!(rest, std::slice::from_ref(last), "{transport:?}");
        let request = Request::get(&path).header("last-event-id", &last.id);
        let whole = Whole::of(&program, transport, bare(request)).await;
        assert_eq!(whole.status, StatusCode::NO_CONTENT, "{transport:?}");
        assert_eq!((whole.body.len(), whole.header("content-length")), (0, ""));
    }
    assert!(matches!(last.json()["usage"], Value::Object(_)));
}
