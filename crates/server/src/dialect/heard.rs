//! The streams of upstreams that dialects are shown to understand, and the files that hold them.
//!
//! `dialect/NAME/golden/heard_STREAM.txt` has an upstream's bytes, then what is heard in them, and then
//! what a client of the same dialect gets. With the variable `WRITE_GOLDEN` set, a test writes the latter
//! two anew, for somebody to read before they are committed.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::json;
use wellspring::event::{Decoder, Event, EventType};

use super::golden::head;
use super::{Heard, Language, Said};
use crate::run::{Ending, Part};

const HEARD: &str = "==== heard\n";
const RELAYED: &str = "==== relayed\n";

/// Asserts that the language is understood as its files have it, of which there are some.
pub(crate) fn assert_heard(language: &Language) {
    let folder = format!("src/dialect/{}/golden", language.dialect.name());
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(&folder).unwrap();
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    let is_stream = |file: &&PathBuf| file_name(file).starts_with("heard_");
    let streams: Vec<&PathBuf> = files.iter().filter(is_stream).collect();
    assert!(!streams.is_empty(), "nothing is shown to be understood");
    for file in streams {
        let golden = std::fs::read_to_string(file).unwrap();
        let said = golden.split(HEARD).next().unwrap();
        let told = format!("{said}{HEARD}{}", hear(language, said));
        if std::env::var_os("WRITE_GOLDEN").is_some() {
            std::fs::write(file, &told).unwrap();
        } else {
            assert!(told == golden, "{}:\n{told}", file.display());
        }
    }
}

fn file_name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

fn hear(language: &Language, said: &str) -> String {
    let mut decoder = Decoder::with_limit(1 << 20);
    let mut interpreter = (language.interpreter)();
    let mut speller = language.dialect.speller(&head());
    let (mut heard, mut relayed, mut count) = (String::new(), Vec::new(), 0);
    let mut input = said.as_bytes();
    let mut ending = Ending::failed("the upstream ended before its answer did");
    while let Some(message) = decoder.decode(&mut input).unwrap() {
        let mut parts = Vec::new();
        let (name, data) = (message.event_type(), message.data());
        let told = match interpreter.read(name, data, &mut parts) {
            Ok(told) => told,
            Err(why) => {
                ending = Ending::failed(why.to_string());
                break;
            }
        };
        let event = Event::new(speller.repeat(name, data, count));
        let event = event.with_type(EventType::new(name).unwrap());
        relayed.extend_from_slice(&event.to_bytes());
        count += 1;
        for part in parts {
            writeln!(heard, "{}", spell(&part)).unwrap();
        }
        ending = match told {
            Heard::More => continue,
            Heard::End(summary) => Ending::Done(summary),
            Heard::Failed(message) => Ending::failed(message),
        };
        break;
    }
    let mut events = Vec::new();
    speller.spell(&Said::End(&ending), count, &mut events);
    for event in events {
        relayed.extend_from_slice(&event.to_bytes());
    }
    writeln!(heard, "{}", spell_end(&ending)).unwrap();
    if let Some(name) = interpreter.name() {
        writeln!(heard, "called {name}").unwrap();
    }
    heard + RELAYED + str::from_utf8(&relayed).unwrap()
}

fn spell(part: &Part) -> String {
    match part {
        Part::Thinking(text) => format!("thinking {}", json!(text)),
        Part::Answer(text) => format!("answer {}", json!(text)),
        Part::Tool(call) => format!("tool {}", json!(call)),
        Part::Progress(progress) => format!("progress {}", json!(progress)),
        Part::Usage(usage) => format!("usage {usage}"),
    }
}

fn spell_end(ending: &Ending) -> String {
    match ending {
        Ending::Done(summary) => {
            let usage = summary.usage.clone().unwrap_or_default();
            format!("done {:?} {usage}", summary.finish_reason)
        }
        other => format!("{other:?}"),
    }
}
