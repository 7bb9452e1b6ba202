//! What a command says, as the parts of a run.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Number;

use super::StartError;
use super::output::{Line, Stream};

/// One part of the run, as a line of NDJSON has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Record {
    Answer {
        text: String,
    },
    Progress(Progress),
    Done {
        exit_code: u8,
        finish_reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
    },
    Error {
        message: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Progress {
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_seconds: Option<u64>,
}

/// Makes records of lines.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// Whether it was said that not all is UTF-8.
    has_repaired: bool,
}

impl Recorder {
    /// A line as one record, or two where something is to be said about it.
    pub(super) fn records(&mut self, line: &Line) -> impl Iterator<Item = Record> + use<> {
        let text = String::from_utf8_lossy(&line.bytes);
        let is_repaired = matches!(text, std::borrow::Cow::Owned(_));
        let note = (is_repaired && !self.has_repaired).then(|| {
            let message = "what is not UTF-8 is shown as \u{fffd}";
            Record::Progress(Progress {
                message: Some(message.to_owned()),
                ..Progress::default()
            })
        });
        self.has_repaired |= is_repaired;
        let text = text.into_owned();
        let percent = percent(&text);
        let record = match line.stream {
            Stream::Out if percent.is_none() => {
                let end = if line.is_ended { "\n" } else { "" };
                Record::Answer { text: text + end }
            }
            stream => Record::Progress(Progress {
                percent,
                message: Some(text),
                stream: (stream == Stream::Err).then_some("stderr"),
                ..Progress::default()
            }),
        };
        note.into_iter().chain([record])
    }
}

impl Record {
    pub(super) fn started(command: &OsStr) -> Self {
        let name = Path::new(command).file_name().unwrap_or(command);
        let name = name.to_string_lossy().into_owned();
        Self::Progress(Progress {
            message: Some(format!("{name} is running")),
            command: Some(name),
            ..Progress::default()
        })
    }

    pub(super) fn silence(time: Duration) -> Self {
        Self::Progress(Progress {
            silent_seconds: Some(time.as_secs()),
            ..Progress::default()
        })
    }

    pub(super) fn ended(status: ExitStatus) -> Self {
        Self::Done {
            exit_code: exit_code(status),
            finish_reason: match status.signal() {
                Some(_) => "signal",
                None => "exit",
            },
            signal: status.signal(),
        }
    }

    pub(super) fn failed(error: &StartError) -> Self {
        Self::Error {
            message: error.to_string(),
        }
    }

    /// JSON with an LF.
    pub(super) fn to_line(&self) -> Bytes {
        let mut line = serde_json::to_vec(self).expect("our own structs have string keys");
        line.push(b'\n');
        line.into()
    }
}

/// The command's exit code; 128 and the signal's number, as shells have it, if one ended it.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, signal) => 128 + signal.unwrap_or_default(),
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// The first percentage in a line: `25%`, `99.5%`. A number above 100, or one that is part of a word, is none.
fn percent(line: &str) -> Option<Number> {
    line.match_indices('%').find_map(|(end, _)| {
        let before = &line[..end];
        let is_digit = |character: char| character.is_ascii_digit() || character == '.';
        let number = &before[before.trim_end_matches(is_digit).len()..];
        let is_apart = !before
            .trim_end_matches(is_digit)
            .ends_with(|character: char| character.is_alphanumeric() || "_-+".contains(character));
        let value: f64 = number.parse().ok().filter(|value| *value <= 100.0)?;
        if !is_apart || number.starts_with('.') {
            None
        } else if number.contains('.') {
            Number::from_f64(value)
        } else {
            number.parse::<u64>().ok().map(Number::from)
        }
    })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn records(recorder: &mut Recorder, stream: Stream, bytes: &[u8]) -> Vec<String> {
        let line = Line {
            stream,
            bytes: BytesMut::from(bytes),
            is_ended: true,
        };
        let records = recorder.records(&line);
        records
            .map(|record| String::from_utf8(record.to_line().to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_line_is_an_answer_a_message_or_a_percentage() {
        let recorder = &mut Recorder::default();
        for (stream, line, record) in [
            (
                Stream::Out,
                "a \"b\"",
                r#"{"type":"answer","text":"a \"b\"\n"}"#,
            ),
            (
                Stream::Err,
                "warning: x",
                r#"{"type":"progress","message":"warning: x","stream":"stderr"}"#,
            ),
            (
                Stream::Out,
                "25% of it",
                r#"{"type":"progress","percent":25,"message":"25% of it"}"#,
            ),
            (
                Stream::Err,
                " 99.5%",
                r#"{"type":"progress","percent":99.5,"message":" 99.5%","stream":"stderr"}"#,
            ),
        ] {
            assert_eq!(
                records(recorder, stream, line.as_bytes()),
                [format!("{record}\n")]
            );
        }
    }

    #[test]
    fn a_start_names_the_command_without_its_path_and_silence_has_a_length() {
        let line = |record: Record| String::from_utf8(record.to_line().to_vec()).unwrap();
        assert_eq!(
            line(Record::started(OsStr::new("/usr/bin/make"))),
            "{\"type\":\"progress\",\"command\":\"make\",\"message\":\"make is running\"}\n"
        );
        assert_eq!(
            line(Record::silence(Duration::from_secs(60))),
            "{\"type\":\"progress\",\"silent_seconds\":60}\n"
        );
    }

    #[test]
    fn what_is_not_utf_8_is_replaced_and_told_once() {
        let recorder = &mut Recorder::default();
        let first = records(recorder, Stream::Out, b"caf\xe9");
        assert_eq!(first.len(), 2);
        assert!(first[0].contains("not UTF-8"), "{first:?}");
        let answer = "{\"type\":\"answer\",\"text\":\"caf\u{fffd}\\n\"}\n";
        assert_eq!(first[1], answer);
        assert_eq!(records(recorder, Stream::Out, b"caf\xe9"), [answer]);
    }

    #[test]
    fn a_percentage_is_a_number_of_its_own_up_to_100() {
        for (line, expected) in [
            ("0%", "0"),
            ("100%", "100"),
            ("[####] 42.5% done", "42.5"),
            ("120% of 50%", "50"),
            ("  7%|=", "7"),
        ] {
            let percent = percent(line).map(|percent| percent.to_string());
            assert_eq!(percent.as_deref(), Some(expected), "{line}");
        }
        for line in [
            "", "%", "a25%", "-5%", "1.2.3%", ".5%", "101%", "100.5%", "%20", "25",
        ] {
            assert_eq!(percent(line), None, "{line}");
        }
    }

    #[test]
    fn an_end_has_the_exit_code_of_a_shell() {
        let line = |raw| {
            String::from_utf8(Record::ended(ExitStatus::from_raw(raw)).to_line().to_vec()).unwrap()
        };
        assert_eq!(
            line(3 << 8),
            "{\"type\":\"done\",\"exit_code\":3,\"finish_reason\":\"exit\"}\n"
        );
        assert_eq!(
            line(15),
            "{\"type\":\"done\",\"exit_code\":143,\"finish_reason\":\"signal\",\"signal\":15}\n"
        );
    }
}
