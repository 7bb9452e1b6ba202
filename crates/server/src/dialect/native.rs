//! Our own spelling of a run, with an id on every event, so that a plain `EventSource` resumes it.
//!
//! | part | event | data |
//! | --- | --- | --- |
//! | a piece of the answer | `answer` | `{"text":"Hel"}` |
//! | the end | `done` | `{"finish_reason":"stop","usage":{…}}` |
//! | a failure | `error` | `{"message":"…"}` |
//!
//! Numbers count from 0 without holes. After `done` or `error` the stream ends, and a client that comes
//! back with the last id is told to stay away (204).

use serde_json::{Value, json};
use wellspring::event::{Event, EventType};

use super::Part;

pub(super) fn spell(part: &Part<'_>) -> Vec<Event<'static>> {
    match part {
        Part::Answer(text)
        | Part::Relayed {
            answer: Some(text), ..
        } => {
            vec![event("answer", &json!({ "text": text }))]
        }
        Part::Begin | Part::Relayed { answer: None, .. } => Vec::new(),
        Part::Done(summary) => vec![event(
            "done",
            &json!({ "finish_reason": summary.finish_reason, "usage": summary.usage }),
        )],
        Part::Failed { message } => vec![event("error", &json!({ "message": message }))],
    }
}

fn event(name: &'static str, data: &Value) -> Event<'static> {
    let name = EventType::new(name).expect("a word");
    Event::new(data.to_string()).with_type(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Summary;

    fn wire(part: &Part<'_>) -> String {
        let events = spell(part);
        let wire = events
            .iter()
            .map(|event| String::from_utf8(event.to_bytes().to_vec()).unwrap());
        wire.collect()
    }

    #[test]
    fn a_run_in_our_own_words() {
        assert_eq!(wire(&Part::Begin), "");
        assert_eq!(
            wire(&Part::Answer("a\"\n")),
            "event: answer\ndata: {\"text\":\"a\\\"\\n\"}\n\n"
        );
        let done = Summary {
            finish_reason: Some("stop".to_owned()),
            ..Summary::default()
        };
        assert_eq!(
            wire(&Part::Done(done)),
            "event: done\ndata: {\"finish_reason\":\"stop\",\"usage\":null}\n\n"
        );
        assert_eq!(
            wire(&Part::Failed { message: "no" }),
            "event: error\ndata: {\"message\":\"no\"}\n\n"
        );
    }
}
