//! From a line of the input to an event on the wire.

use bytes::Bytes;
use rand::RngExt;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::source::LONGEST_LINE;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The data of an event.
    Text,
    /// An event as the topic's NDJSON has it. Blank lines are none.
    Json,
}

/// A line that cannot be an event.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum LineError {
    #[error("line {number} is not UTF-8")]
    NotUtf8 { number: u64 },
    #[error("line {number} is longer than {} MiB", LONGEST_LINE >> 20)]
    TooLong { number: u64 },
    #[error("line {number} is no event: {reason}")]
    NoEvent { number: u64, reason: String },
}

/// Writes events, each with a key of its own by which the topic counts it once however often it is sent.
#[derive(Debug)]
pub(super) struct LineWriter {
    format: Format,
    /// Drawn at random, so that the keys of two runs of the program differ.
    session: String,
}

/// An event made of a line of text.
#[derive(Serialize)]
struct Text<'l> {
    data: &'l str,
    key: &'l str,
}

/// What has to be known of an event that is JSON already.
#[derive(Deserialize)]
struct Keyed {
    #[serde(default, deserialize_with = "is_string")]
    key: bool,
}

impl LineWriter {
    pub(super) fn new(format: Format) -> Self {
        let session = format!("{:016x}", rand::rng().random::<u64>());
        Self { format, session }
    }

    /// The event of a line, as JSON with an LF; none for a blank line of NDJSON.
    pub(super) fn write(&self, number: u64, line: &[u8]) -> Result<Option<Bytes>, LineError> {
        let line = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8 { number })?;
        let key = format!("{}-{number}", self.session);
        match self.format {
            Format::Text => {
                let event = Text {
                    data: line,
                    key: &key,
                };
                let mut json = serde_json::to_vec(&event).expect("two strings are JSON");
                json.push(b'\n');
                Ok(Some(json.into()))
            }
            Format::Json if line.trim_ascii().is_empty() => Ok(None),
            Format::Json => with_key(line.trim_ascii_end(), &key)
                .map(Some)
                .map_err(|error| LineError::NoEvent {
                    number,
                    reason: without_place(&error),
                }),
        }
    }
}

/// The same object with a key at its end, unless it has one. It is left as it was written otherwise: numbers do not
/// lose digits, and a server that finds fault with a column means the user's.
fn with_key(object: &str, key: &str) -> serde_json::Result<Bytes> {
    // serde would take an array for a struct, too.
    if !object.trim_ascii_start().starts_with('{') {
        return Err(serde_json::Error::custom("expected a JSON object"));
    }
    let keyed: Keyed = serde_json::from_str(object)?;
    let event = match object.strip_suffix('}') {
        Some(members) if !keyed.key => {
            let is_empty = members.trim_ascii_end().ends_with('{');
            let comma = if is_empty { "" } else { "," };
            format!("{members}{comma}\"key\":\"{key}\"}}\n")
        }
        _ => format!("{object}\n"),
    };
    Ok(event.into())
}

/// Whether there is such a member; only a string will do.
fn is_string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    String::deserialize(deserializer).map(|_| true)
}

/// What serde says, without the line and column of a text that is one line.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line 1 column ") {
        Some(at) => format!("{} at column {}", &text[..at], error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(format: Format, line: &[u8]) -> Result<Option<String>, LineError> {
        let writer = LineWriter {
            format,
            session: "s".to_owned(),
        };
        let event = writer.write(7, line)?;
        Ok(event.map(|event| String::from_utf8(event.into()).unwrap()))
    }

    fn json(line: &str) -> String {
        write(Format::Json, line.as_bytes()).unwrap().unwrap()
    }

    fn reason(line: &str) -> String {
        write(Format::Json, line.as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_line_of_text_is_data_whatever_it_holds() {
        assert_eq!(
            write(Format::Text, "say \"hü\"\t\\".as_bytes())
                .unwrap()
                .unwrap(),
            "{\"data\":\"say \\\"hü\\\"\\t\\\\\",\"key\":\"s-7\"}\n"
        );
        assert_eq!(
            write(Format::Text, b"").unwrap().unwrap(),
            "{\"data\":\"\",\"key\":\"s-7\"}\n"
        );
    }

    #[test]
    fn an_event_is_left_as_written_but_for_its_key() {
        assert_eq!(
            json(" {\"data\": 0.10000000000000000000001} "),
            " {\"data\": 0.10000000000000000000001,\"key\":\"s-7\"}\n"
        );
        assert_eq!(json("{}"), "{\"key\":\"s-7\"}\n");
        assert_eq!(json("{ }"), "{ \"key\":\"s-7\"}\n");
    }

    #[test]
    fn a_key_of_the_users_is_kept() {
        let event = "{\"data\":\"x\",\"\\u006bey\":\"mine\"}";
        assert_eq!(json(event), format!("{event}\n"));
    }

    #[test]
    fn blank_lines_are_no_events_in_json() {
        assert_eq!(write(Format::Json, b" \t").unwrap(), None);
    }

    #[test]
    fn what_is_no_event_is_named() {
        assert_eq!(reason("[1]"), "line 7 is no event: expected a JSON object");
        assert_eq!(
            reason("{\"data\":"),
            "line 7 is no event: EOF while parsing a value at column 8"
        );
        assert_eq!(
            reason("{\"key\":1}"),
            "line 7 is no event: invalid type: integer `1`, expected a string at column 8"
        );
        assert_eq!(
            write(Format::Text, b"\xff").unwrap_err().to_string(),
            "line 7 is not UTF-8"
        );
    }

    #[test]
    fn two_runs_of_the_program_have_different_keys() {
        let (one, other) = (LineWriter::new(Format::Text), LineWriter::new(Format::Text));
        assert_ne!(one.write(1, b"x").unwrap(), other.write(1, b"x").unwrap());
    }
}
