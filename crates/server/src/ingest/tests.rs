use http::Request;
use http_body_util::{Full, StreamBody};
use hyper::body::Frame;
use wellspring::{HubOptions, Next, Start};

use super::*;

const LONGEST: usize = 64;

/// Runs one request whose body comes in these pieces; what a subscriber saw, and the answer in JSON.
async fn ingest(format: Format, pieces: &[&[u8]]) -> (String, serde_json::Value) {
    let hub = Hub::new(HubOptions::default());
    let topic = TopicName::new("t").unwrap();
    let mut reader = hub
        .subscribe(std::slice::from_ref(&topic), Start::Tail)
        .unwrap();
    let frames: Vec<_> = pieces
        .iter()
        .map(|piece| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let answer = match Ingest::new(&hub, topic, LONGEST).run(format, body).await {
        Ok(receipt) => serde_json::to_value(&receipt).unwrap(),
        Err(problem) => serde_json::to_value(&problem).unwrap(),
    };
    hub.drain(Duration::ZERO).await;
    let mut seen = String::new();
    while let Next::Events { bytes, .. } = reader.next().await {
        seen.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    (without_ids(&seen), answer)
}

fn without_ids(wire: &str) -> String {
    let lines = wire.lines().filter(|line| !line.starts_with("id: "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn text_is_the_data_of_one_event() {
    let (seen, answer) = ingest(Format::Text, &[b"one\n", b"two"]).await;
    assert_eq!(seen, "data: one\ndata: two\n\n");
    assert_eq!(answer["published"], 1);
}

#[tokio::test]
async fn lines_count_as_they_arrive_in_any_pieces() {
    let (seen, answer) = ingest(
        Format::Ndjson,
        &[
            b"{\"data\":\"a\"}\n\n{\"da",
            b"ta\":{\"n\":1},\"event\":\"x\"}\r",
            b"\n{\"data\":\"last\"}",
        ],
    )
    .await;
    assert_eq!(
        seen,
        "data: a\n\nevent: x\ndata: {\"n\":1}\n\ndata: last\n\n"
    );
    assert_eq!(answer["published"], 3);
    assert!(
        answer["last_id"]
            .as_str()
            .unwrap()
            .ends_with("-000000000002")
    );
}

#[tokio::test]
async fn what_is_wrong_names_its_line_and_what_came_before_stays() {
    for (wrong, status, named) in [
        (&b"{\"data\":"[..], 400, "EOF"),
        (b"{\"dat\":1}", 400, "dat"),
        (b"{\"data\":\"\xff\"}", 400, "UTF-8"),
        (b"{\"data\":1,\"event\":\"a\\nb\"}", 400, "type"),
        (b"[1]", 400, "invalid type"),
        (
            &[b"{\"data\":\"", &[b'x'; LONGEST + 1][..], b"\"}"].concat(),
            413,
            "longer than 64",
        ),
        (&[b' '; 2 * LONGEST + 4097], 413, "the line"),
    ] {
        let (seen, answer) = ingest(Format::Ndjson, &[b"{\"data\":\"kept\"}\n", wrong]).await;
        assert_eq!(seen, "data: kept\n\n");
        assert_eq!(
            (&answer["line"], &answer["published"]),
            (&2.into(), &1.into()),
            "{answer}"
        );
        assert_eq!(answer["status"], status, "{answer}");
        assert!(
            answer["detail"].as_str().unwrap().contains(named),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_key_counts_once() {
    let twice = b"{\"data\":\"a\",\"key\":\"k\"}\n{\"data\":\"a\",\"key\":\"k\"}\n";
    let (seen, answer) = ingest(Format::Ndjson, &[twice]).await;
    assert_eq!(seen, "data: a\n\n");
    assert_eq!(
        (&answer["published"], &answer["repeated"]),
        (&1.into(), &1.into())
    );
    let long = format!("{{\"data\":1,\"key\":\"{}\"}}", "k".repeat(257));
    let (_, answer) = ingest(Format::Json, &[long.as_bytes()]).await;
    assert_eq!(answer["status"], 413);
}

#[tokio::test]
async fn an_event_stream_goes_through_as_it_is() {
    let (seen, answer) = ingest(
        Format::EventStream,
        &[b"event: x\ndata: a\nda", b"ta: b\n\n: no\n\ndata:c\n\n"],
    )
    .await;
    assert_eq!(seen, "event: x\ndata: a\ndata: b\n\ndata: c\n\n");
    assert_eq!(answer["published"], 2);
    let (seen, answer) = ingest(Format::EventStream, &[b"data: a\n\ndata: \xff\n\n"]).await;
    assert_eq!(seen, "data: a\n\n");
    assert!(
        answer["detail"].as_str().unwrap().contains("event 2"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_body_too_long_is_refused() {
    let (seen, answer) = ingest(Format::Text, &[&[b'x'; LONGEST + 1]]).await;
    assert_eq!((seen.as_str(), &answer["status"]), ("", &413.into()));
    let collected = collect(Full::new(Bytes::from_static(b"abc")), 3)
        .await
        .unwrap();
    assert_eq!(&collected[..], b"abc");
}

#[test]
fn the_content_type_says_how_events_are_spelt() {
    let format = |given: &str| {
        let request = Request::post("/")
            .header(CONTENT_TYPE, given)
            .body(())
            .unwrap();
        Format::of(&request.into_parts().0).ok()
    };
    assert_eq!(
        format("application/x-ndjson; charset=utf-8"),
        Some(Format::Ndjson)
    );
    assert_eq!(format("TEXT/Event-Stream"), Some(Format::EventStream));
    assert_eq!(format("application/json"), Some(Format::Json));
    assert_eq!(format("image/png"), None);
}
