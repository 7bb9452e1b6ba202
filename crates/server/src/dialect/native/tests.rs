use std::path::Path;

use serde_json::json;
use wellspring::event::Decoder;
use wellspring::{Cursor, Log, LogOptions, Next, Retention, Start};

use super::*;
use crate::dialect::{NATIVE, golden};
use crate::run::Pushed;
use checker::Checker;

#[path = "../../../../../loadtest/tests/verify/schema/checker.rs"]
mod checker;

#[test]
fn stories_are_told_as_the_golden_files_have_them() {
    golden::assert_told(NATIVE, &golden::head());
}

#[tokio::test]
async fn every_event_is_as_the_schema_says() {
    let schema: Value = serde_json::from_str(include_str!("events.schema.json")).unwrap();
    let check = |event: &Value| {
        Checker {
            schema: &schema,
            exact: false,
        }
        .check(event, "event")
    };
    let mut names = Vec::new();
    for (name, data) in golden_events() {
        let data: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(check(&json!({ "event": name, "data": data })), Ok(()));
        names.push(name);
    }
    let gap: Value = serde_json::from_str(&a_gap().await).unwrap();
    assert_eq!(check(&json!({ "event": "gap", "data": gap })), Ok(()));
    names.push("gap".to_owned());
    // All that are described were seen, and what is wrong is noticed.
    for choice in schema["anyOf"].as_array().unwrap() {
        let name = choice["properties"]["event"]["const"].as_str().unwrap();
        assert!(names.iter().any(|seen| seen == name), "{name}");
    }
    for wrong in [
        json!({ "event": "answer", "data": {} }),
        json!({ "event": "answer", "data": { "text": "x", "more": 1 } }),
        json!({ "event": "shout", "data": { "text": "x" } }),
        json!({ "event": "done", "data": { "state": "failed", "finish_reason": null, "usage": null } }),
    ] {
        assert!(check(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_told_can_be_pushed() {
    let mut told = 0;
    for (name, data) in golden_events() {
        let again = match record::block(&name, &data).unwrap() {
            Pushed::Part(part) => spell_part(&part),
            Pushed::End(ending) => spell_end(&ending),
        };
        // Of an end, whether somebody cancelled it or its producer was too slow is ours to say.
        let ours = ["\"cancelled\"", "\"expired\""];
        if !ours.iter().any(|state| data.contains(state)) {
            assert_eq!(again.data(), data, "{name}");
            told += 1;
        }
    }
    assert!(told > 10);
}

/// What a reader is told that comes too late for the first of two events.
async fn a_gap() -> String {
    let kept = Retention::default().with_events(1);
    let log = Log::new(LogOptions::default().with_retention(kept));
    for text in ["lost", "kept"] {
        log.append(&Event::new(text)).unwrap();
    }
    let from = Start::After(Cursor::start(log.epoch()));
    let Next::Gap(gap) = log.read(from).next().await else {
        panic!("the first event is gone");
    };
    let wire = gap.to_bytes();
    let (mut decoder, mut input) = (Decoder::new(), &wire[..]);
    let message = decoder.decode(&mut input).unwrap().unwrap();
    assert_eq!(message.event_type(), "gap");
    message.data().to_owned()
}

/// The name and the data of each event in the golden files.
fn golden_events() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dialect/native/golden");
    let mut events = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let (mut decoder, mut input) = (Decoder::new(), &text[..]);
        while let Some(message) = decoder.decode(&mut input).unwrap() {
            events.push((message.event_type().to_owned(), message.data().to_owned()));
        }
    }
    events
}
