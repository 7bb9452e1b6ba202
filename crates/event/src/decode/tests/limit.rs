//! The limit on one event, which is ours.

use super::*;

const TOO_LARGE: Result<(String, String, String), DecodeError> =
    Err(DecodeError::TooLarge { limit: 10 });

fn limited(stream: &str) -> Outcome {
    let whole = decode_chunks(Decoder::with_limit(10), [stream.as_bytes()]);
    let bytewise = decode_chunks(Decoder::with_limit(10), stream.as_bytes().chunks(1));
    assert_eq!(whole, bytewise);
    whole
}

#[test]
fn counts_the_values_of_data_event_and_id_and_one_for_each_line() {
    assert_eq!(
        limited("data: 123456789\n\n").events,
        [Ok(event("message", "123456789", ""))]
    );
    assert_eq!(limited("data: 1234567890\n\n").events, [TOO_LARGE]);
    assert_eq!(limited("data: 1234\ndata: 6789\n\n").events.len(), 1);
    assert_eq!(limited("data: 1234\ndata: 67890\n\n").events, [TOO_LARGE]);
    assert_eq!(limited("event: 12\nid: 12\ndata: 123\n\n").events.len(), 1);
    assert_eq!(
        limited("event: 12\nid: 12\ndata: 1234\n\n").events,
        [TOO_LARGE]
    );
}

#[test]
fn the_error_names_it() {
    let error = limited("data: 1234567890\n\n").events[0]
        .clone()
        .unwrap_err();
    assert_eq!(error.to_string(), "event larger than the limit of 10 bytes");
}

#[test]
fn the_error_comes_before_the_event_ends_and_once() {
    let stream = "data: 12345678901234567890\ndata: 12345678901234567890\n";
    assert_eq!(limited(stream).events, [TOO_LARGE]);
}

#[test]
fn the_stream_goes_on_after_the_event() {
    let stream = "data: a\n\nevent: b\ndata: 1234567890\ndata: b\n\ndata: c\n\n";
    let expected = [
        Ok(event("message", "a", "")),
        TOO_LARGE,
        Ok(event("message", "c", "")),
    ];
    assert_eq!(limited(stream).events, expected);
}

#[test]
fn the_id_of_the_event_counts_before_and_after_the_data() {
    assert_eq!(limited("id: 1\ndata: 1234567890\n\n").last_event_id, "1");
    assert_eq!(limited("data: 1234567890\nid: 1\n\n").last_event_id, "1");
    assert_eq!(limited("data: 1234567890\nid: 1\n").last_event_id, "");
}

#[test]
fn an_id_beyond_it_is_not_taken() {
    let outcome = limited("id: 1\n\nid: 12345678901\ndata: x\n\n");
    assert_eq!(
        (outcome.events, outcome.last_event_id),
        (vec![TOO_LARGE], "1".to_owned())
    );
}

#[test]
fn an_id_after_one_beyond_it_is_taken() {
    let outcome = limited("id: 12345678901\n\nid: 2\ndata: x\n\n");
    assert_eq!(outcome.events, [TOO_LARGE, Ok(event("message", "x", "2"))]);
}

#[test]
fn comments_and_unknown_fields_do_not_count() {
    let long = "x".repeat(1_000);
    let stream = format!(": {long}\n{long}\n{long}: {long}\nretry: {long}\ndata: a\n\n");
    assert_eq!(limited(&stream).events, [Ok(event("message", "a", ""))]);
}

#[test]
fn memory_stays_within_a_few_times_of_it_whatever_comes() {
    let limit = 1_000;
    let long = "x".repeat(100_000);
    let mut decoder = Decoder::with_limit(limit);
    for name in [
        "data: ", "event: ", "id: ", "retry: ", "foo: ", ": ", "", "data\n",
    ] {
        for read in [1, 700] {
            let line = format!("{name}{long}\n\n");
            for mut input in line.as_bytes().chunks(read) {
                while !input.is_empty() {
                    let _ = decoder.decode(&mut input);
                }
                assert!(decoder.retained_bytes() <= 8 * limit, "{name}");
            }
        }
    }
    let many = "data\n".repeat(100_000);
    assert!(decoder.decode(&mut many.as_bytes()).is_err());
    assert!(decoder.retained_bytes() <= 8 * limit);
}
