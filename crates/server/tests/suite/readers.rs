//! Reading a run: from where one likes, in few events when one comes late, and what becomes of it when one leaves.

use http::header::ACCEPT;
use http::{Request, StatusCode};
use serde_json::json;

use crate::program::Program;
use crate::runs::{
    answers, assert_numbered, begin, chunk, number, path, push, relayed, relaying, state, text,
    wait_for, wish,
};
use crate::stream::{Events, data};
use crate::transport::{Client, Transport, Whole, bare, get};

#[tokio::test]
async fn an_answer_can_be_read_by_who_asks_for_it() {
    let program = Program::start(&[]);
    for transport in Transport::ALL {
        let mut asked = wish(&relayed(&json!({})));
        let stream = "text/event-stream".parse().unwrap();
        asked.headers_mut().insert(ACCEPT, stream);
        let mut client = Client::connect(&program, transport).await;
        let mut events = Events::of(client.send(asked).await.unwrap());
        let seen = events.rest().await;
        assert_numbered(&seen);
        let done = seen.last().unwrap();
        assert_eq!(done.event, "done");
        assert!(done.json()["usage"]["total_tokens"].as_u64() > Some(1));
        let id = events.headers["x-run-id"].to_str().unwrap();
        let told = state(&program, id).await;
        let said = ["thinking", "text"].map(|name| told[name].as_str().unwrap());
        assert_eq!(said.concat(), text(&seen), "{transport:?}");
    }
}

#[tokio::test]
async fn a_post_with_the_last_id_goes_on_reading() {
    let (mut upstream, program) = relaying(&["--coalesce", "0"]).await;
    let asked = |last: Option<&str>| {
        let mut request = wish(&relayed(&json!({})));
        let headers = request.headers_mut();
        headers.insert(ACCEPT, "text/event-stream".parse().unwrap());
        if let Some(last) = last {
            headers.insert("last-event-id", last.parse().unwrap());
        }
        request
    };
    for transport in Transport::ALL {
        let mut client = Client::connect(&program, transport).await;
        let first = tokio::spawn(async move {
            let response = client.send(asked(None)).await.unwrap();
            (client, Events::of(response))
        });
        let pen = upstream.question().await.stream();
        for part in ["a", "b", "c"] {
            pen.write(chunk(part));
        }
        let (client, mut events) = first.await.unwrap();
        let mut seen = events.take(2).await;
        client.cut().await;
        let mut client = Client::connect(&program, transport).await;
        let again = client.send(asked(Some(&seen[1].id))).await.unwrap();
        let mut again = Events::of(again);
        pen.write(chunk("d"));
        pen.write("data: [DONE]\n\n");
        seen.extend(again.rest().await);
        assert_numbered(&seen);
        assert_eq!(text(&seen), "abcd", "{transport:?}");
        // It has all of it, and must not be sent another answer.
        let end = client.exchange(asked(Some(&seen[4].id))).await;
        assert_eq!(end.status, StatusCode::NO_CONTENT, "{transport:?}");
    }
    for gone in ["aaaaaa-000000000003", "of another server"] {
        let answer = Whole::of(&program, Transport::Http1, asked(Some(gone))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{gone}");
    }
    assert!(upstream.is_quiet(), "nobody pays twice");
}

#[tokio::test]
async fn a_reader_begins_where_it_says() {
    let program = Program::start(&["--coalesce", "0"]);
    let id = begin(&program, &json!({})).await;
    push(&program, &id, &answers(&["0", "1", "2", "3", "4", "5"])).await;
    let path = path(&id);
    let all = Events::open(&program, Transport::Http1, &path)
        .await
        .take(6)
        .await;
    let last = |place: usize| all[place].id.clone();
    let cases = [
        ("", String::new(), "0"),
        ("?after=-1", String::new(), "0"),
        ("?last_event_id=-1", String::new(), "0"),
        ("", "-1".to_owned(), "0"),
        ("?after=1", String::new(), "2"),
        (
            &format!("?after=1&last_event_id={}", last(2)),
            String::new(),
            "3",
        ),
        (&format!("?after=1&last_event_id={}", last(2)), last(3), "4"),
        ("?after=now", last(3), "4"),
        (&format!("?after={}", last(4)), String::new(), "5"),
        ("?after=now", String::new(), "new"),
        ("?last_event_id=now&after=1", String::new(), "new"),
    ];
    let mut waiting = Vec::new();
    for (query, header, first) in &cases {
        let path = format!("{path}{query}");
        let mut events = Events::resume(&program, Transport::Http2, &path, header).await;
        if *first == "new" {
            waiting.push(events);
        } else {
            let seen = events.next().await;
            assert_eq!(
                seen.json()["text"],
                json!(first),
                "{query} {header}: {seen:?}"
            );
        }
    }
    push(&program, &id, &answers(&["new"])).await;
    for events in &mut waiting {
        assert_eq!(data(&events.take(1).await), [r#"{"text":"new"}"#]);
    }
    push(&program, &id, r#"{"type":"done"}"#).await;
    // After the end: all of it for who comes new, and 204 for who has it.
    for query in ["?after=7", "?after=now"] {
        let answer = Whole::of(&program, Transport::Http1, get(&format!("{path}{query}"))).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{query}");
    }
    let mut request = get(&path);
    let end = all[5].id.replace("000005", "000007");
    let end = end.parse().unwrap();
    request.headers_mut().insert("last-event-id", end);
    let answer = Whole::of(&program, Transport::Http2, request).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn tokens_are_joined_before_they_are_numbered() {
    // So long that only what is to let them go does.
    let program = Program::start(&["--coalesce", "10m"]);
    let id = begin(&program, &json!({})).await;
    let mut events = Events::open(&program, Transport::Http1, &path(&id)).await;
    let half = "x".repeat(2048);
    let lines = [
        answers(&["first", "a", "b"]),
        r#"{"type":"thinking","text":"t"}"#.to_owned(),
        answers(&[&half, &half, "c"]),
        r#"{"type":"done"}"#.to_owned(),
    ];
    push(&program, &id, &lines.join("\n")).await;
    let seen = events.rest().await;
    assert_numbered(&seen);
    let told: Vec<_> = seen
        .iter()
        .map(|event| {
            (
                event.event.as_str(),
                event.json()["text"].as_str().unwrap_or("").len(),
            )
        })
        .collect();
    // At once; when the kind changes, twice; when there is 4 KiB of it; at the end.
    let expected = [
        ("answer", 5),
        ("answer", 2),
        ("thinking", 1),
        ("answer", 4096),
        ("answer", 1),
        ("done", 0),
    ];
    assert_eq!(told, expected);
    assert_eq!(state(&program, &id).await["tokens"], json!(7));
}

#[tokio::test]
async fn what_is_held_back_is_said_when_its_time_comes() {
    let program = Program::start(&[]);
    let id = begin(&program, &json!({})).await;
    let mut events = Events::open(&program, Transport::Http1, &path(&id)).await;
    let (lines, answer) = crate::push::pushing(&program, Transport::H2c, &id, None).await;
    lines
        .send((answers(&["a", "b", "c"]) + "\n").into())
        .unwrap();
    // The request stays open and says no more: only the 50 ms can let the rest go.
    assert_eq!(text(&events.take(2).await), "abc");
    drop(lines);
    assert_eq!(answer.await.unwrap().json()["accepted"], json!(3));
}

#[tokio::test]
async fn a_late_joiner_is_told_in_few_events_and_resumes_in_the_middle_of_them() {
    let program = Program::start(&["--coalesce", "0"]);
    let id = begin(&program, &json!({})).await;
    let tokens: Vec<String> = (0..5_000).map(|number| format!(" {number}")).collect();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let thought = answers(&tokens[..1_000]).replace("answer", "thinking");
    push(&program, &id, &thought).await;
    push(&program, &id, &answers(&tokens[1_000..])).await;
    push(&program, &id, r#"{"type":"done"}"#).await;
    for transport in Transport::ALL {
        let seen = Events::open(&program, transport, &path(&id))
            .await
            .rest()
            .await;
        assert!(seen.len() < 10, "{} events", seen.len());
        assert_eq!(text(&seen), tokens.concat(), "{transport:?}");
        // Each has the number of the last token in it, from which a resume goes on.
        for cut in 0..seen.len() - 1 {
            let rest = Events::resume(&program, transport, &path(&id), &seen[cut].id)
                .await
                .rest()
                .await;
            let whole = text(&seen[..=cut]) + &text(&rest);
            assert_eq!(whole, tokens.concat(), "{transport:?}, cut after {cut}");
            assert_eq!(number(rest.last().unwrap()), 5_000);
        }
    }
}

#[tokio::test]
async fn what_becomes_of_a_run_that_nobody_reads_is_its_own_affair() {
    let (mut upstream, program) = relaying(&["--on-disconnect", "cancel"]).await;
    for (policy, ended) in [
        (json!(null), true),
        (json!("cancel"), true),
        (json!({ "cancel_after": 1 }), true),
        (json!("continue"), false),
        (json!({ "cancel_after": 600 }), false),
    ] {
        let mut body = relayed(&json!({}));
        if !policy.is_null() {
            body["on_disconnect"] = policy.clone();
        }
        let mut request = wish(&body);
        let stream = "text/event-stream".parse().unwrap();
        request.headers_mut().insert(ACCEPT, stream);
        let mut client = Client::connect(&program, Transport::Http2).await;
        let asked = tokio::spawn(async move {
            let response = client.send(request).await.unwrap();
            (client, Events::of(response))
        });
        let pen = upstream.question().await.stream();
        pen.write(chunk("read"));
        let (client, mut events) = asked.await.unwrap();
        let id = events.headers["x-run-id"].to_str().unwrap().to_owned();
        assert_eq!(text(&events.take(1).await), "read");
        drop(events);
        if ended {
            pen.left().await;
            let told = state(&program, &id).await;
            assert_eq!(told["state"], json!("cancelled"), "{policy}");
        } else {
            wait_for(&program, &id, "readers", &json!(0)).await;
            pen.write(chunk(" and unread"));
            let told = wait_for(&program, &id, "tokens", &json!(2)).await;
            assert_eq!(
                (&told["state"], &told["unread_tokens"]),
                (&json!("open"), &json!(1)),
                "{policy}"
            );
        }
        client.cut().await;
    }
}

#[tokio::test]
async fn a_run_that_outgrew_its_memory_says_so() {
    let program = Program::start(&[]);
    let id = begin(&program, &json!({})).await;
    let line = answers(&[&"x".repeat(64 * 1024)]) + "\n";
    for _ in 0..5 {
        push(&program, &id, &line.repeat(20)).await;
    }
    push(&program, &id, r#"{"type":"done"}"#).await;
    let seen = Events::open(&program, Transport::Http2, &path(&id))
        .await
        .rest()
        .await;
    assert_eq!(seen[0].event, "gap", "{:?}", seen[0]);
    let gap = seen[0].json();
    assert_eq!(gap["reason"], json!("evicted"));
    let missed = gap["missed"].as_u64().unwrap();
    let first = number(&seen[1]);
    assert_eq!(missed, first, "{gap}");
    assert_eq!(
        seen.last().unwrap().event,
        "done",
        "and what there is, to the end"
    );
    for dialect in ["openai", "anthropic", "responses", "ai-sdk", "langgraph"] {
        let path = format!("{}?as={dialect}", path(&id));
        let gone = Whole::of(&program, Transport::Http1, get(&path)).await;
        assert_eq!(gone.status, StatusCode::GONE, "{dialect}");
    }
}

#[tokio::test]
async fn who_only_asks_for_the_head_is_no_reader() {
    let program = Program::start(&["--on-disconnect", "cancel"]);
    let id = begin(&program, &json!({})).await;
    for transport in Transport::ALL {
        let head = Whole::of(&program, transport, bare(Request::head(path(&id)))).await;
        assert_eq!(head.status, StatusCode::OK);
        assert_eq!(head.header("content-type"), "text/event-stream");
        assert_eq!(state(&program, &id).await["state"], json!("open"));
    }
}
