//! Any text as an event: what is encoded is what is decoded, in exactly the bytes that were
//! foretold, and a text that cannot stand on a line is refused.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use wellspring_event::{Comment, Decoder, Event, EventId, EventType, Retry};

fuzz_target!(
    |input: (&str, Option<&str>, Option<&str>, Option<u64>, &str)| {
        let (data, event_type, id, retry, comment) = input;

        let mut event = Event::new(data);
        if let Some(text) = event_type {
            let possible = !text.is_empty() && !text.contains(['\r', '\n']);
            match EventType::new(text) {
                Ok(event_type) => event = event.with_type(event_type),
                Err(error) => assert!(!possible, "{error}"),
            }
            assert_eq!(event.event_type().is_some(), possible);
        }
        if let Some(text) = id {
            let possible = !text.contains(['\r', '\n', '\0']);
            match EventId::new(text) {
                Ok(id) => event = event.with_id(id),
                Err(error) => assert!(!possible, "{error}"),
            }
            assert_eq!(event.id().is_some(), possible);
        }
        let retry = retry.map(Duration::from_millis);
        if let Some(retry) = retry {
            event = event.with_retry(retry);
        }

        let mut wire = Vec::new();
        let comment = Comment::new(comment);
        comment.encode(&mut wire);
        assert_eq!(wire.len(), comment.encoded_len());
        event.encode(&mut wire);
        assert_eq!(wire.len(), comment.encoded_len() + event.encoded_len());
        assert_eq!(wire[comment.encoded_len()..], event.to_bytes());
        assert!(!wire.contains(&b'\r'));

        let mut decoder = Decoder::with_limit(usize::MAX);
        let mut input = wire.as_slice();
        let message = decoder.decode(&mut input).unwrap().expect("one event");
        assert_eq!(
            message.data(),
            data.replace("\r\n", "\n").replace('\r', "\n")
        );
        assert_eq!(
            message.event_type(),
            event.event_type().map_or("message", |text| text.as_str())
        );
        assert_eq!(
            message.last_event_id(),
            event.id().map_or("", |id| id.as_str())
        );
        assert!(!message.is_repaired());
        assert!(input.is_empty(), "nothing after the one event");
        assert_eq!(decoder.retry(), retry);

        if let Some(retry) = retry {
            let line = Retry::new(retry).to_bytes();
            let mut decoder = Decoder::new();
            assert_eq!(decoder.decode(&mut &line[..]), Ok(None));
            assert_eq!(decoder.retry(), Some(retry));
        }
    }
);
