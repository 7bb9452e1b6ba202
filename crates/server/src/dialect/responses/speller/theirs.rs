//! An upstream's own events, as they are passed on.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// What an upstream said of its response.
#[derive(Debug, Default)]
pub(super) struct Theirs {
    /// The object, as it gave it last, byte for byte.
    response: Option<String>,
    end: Option<End>,
}

/// How an upstream told the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With the response as it is then.
    Whole,
    /// By an error, without it.
    Error,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "even_null")]
    sequence_number: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

impl Theirs {
    /// The event, with the number `at` where it has another one, or none.
    pub(super) fn repeat<'a>(&mut self, data: &'a str, at: u64) -> Cow<'a, str> {
        // What is no JSON object ends the run before it comes here.
        let Ok(event) = serde_json::from_str::<Data<'_>>(data) else {
            return Cow::Borrowed(data);
        };
        match &*event.kind {
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.end = Some(End::Whole);
            }
            "error" => self.end = Some(End::Error),
            _ => {}
        }
        if let Some(response) = event.response {
            self.response = Some(response.get().to_owned());
        }
        let number = event.sequence_number.map(RawValue::get);
        if number.is_some_and(|number| number.parse() == Ok(at)) {
            return Cow::Borrowed(data);
        }
        Cow::Owned(renumber(data, number, at))
    }

    pub(super) fn response(&self) -> Option<&str> {
        self.response.as_deref()
    }

    pub(super) fn parsed(&self) -> Option<Value> {
        serde_json::from_str(self.response()?).ok()
    }

    /// How it told the end, if it has.
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }
}

fn even_null<'de, D: Deserializer<'de>>(given: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(given).map(Some)
}

/// The same JSON object with another number; `number` is where it stands in `data`, if it does.
fn renumber(data: &str, number: Option<&str>, at: u64) -> String {
    if let Some(number) = number {
        let start = number.as_ptr().addr() - data.as_ptr().addr();
        let (before, rest) = data.split_at(start);
        return format!("{before}{at}{}", &rest[number.len()..]);
    }
    let (before, rest) = data.split_once('{').unwrap_or_default();
    let comma = if rest.trim_start().starts_with('}') {
        ""
    } else {
        ","
    };
    format!("{before}{{\"sequence_number\":{at}{comma}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_is_numbered_as_the_log_passes_untouched() {
        let data = r#"{ "type":"response.output_text.delta", "sequence_number" : 3, "x":1.00 }"#;
        let repeated = Theirs::default().repeat(data, 3);
        assert!(matches!(repeated, Cow::Borrowed(same) if same == data));
    }

    #[test]
    fn any_other_gets_its_number_and_keeps_the_rest() {
        for (data, numbered) in [
            (
                r#"{"type":"a","sequence_number":9,"x":1.00}"#,
                r#"{"type":"a","sequence_number":3,"x":1.00}"#,
            ),
            (
                r#"{"sequence_number": null ,"x":{"sequence_number":9}}"#,
                r#"{"sequence_number": 3 ,"x":{"sequence_number":9}}"#,
            ),
            (
                r#" {"type":"a","x":{"sequence_number":9}}"#,
                r#" {"sequence_number":3,"type":"a","x":{"sequence_number":9}}"#,
            ),
            ("{ }", r#"{"sequence_number":3 }"#),
        ] {
            assert_eq!(Theirs::default().repeat(data, 3), numbered);
        }
    }

    #[test]
    fn the_response_is_known_as_it_was_given_last() {
        let mut theirs = Theirs::default();
        theirs.repeat(
            r#"{"type":"response.created","response":{"id":"r", "x":1.00}}"#,
            0,
        );
        theirs.repeat(r#"{"type":"response.output_text.delta","delta":"a"}"#, 1);
        assert_eq!(theirs.response(), Some(r#"{"id":"r", "x":1.00}"#));
        assert_eq!(theirs.end(), None);
        theirs.repeat(r#"{"type":"response.completed","response":{"id":"r"}}"#, 2);
        assert_eq!(theirs.response(), Some(r#"{"id":"r"}"#));
        assert_eq!(theirs.end(), Some(End::Whole));
    }
}
