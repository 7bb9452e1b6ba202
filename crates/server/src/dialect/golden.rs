//! The stories that dialects are shown to tell, and the files that hold their bytes.
//!
//! `dialect/NAME/golden/STORY.txt` is what a client gets of that story, byte for byte. With the variable
//! `WRITE_GOLDEN` set, a test writes the files instead, for somebody to read before they are committed.

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use wellspring::event::EventId;

use super::{Dialect, Head, Said};
use crate::run::{Ending, Part, Summary, ToolCall};

/// A run, whole.
pub(crate) struct Story {
    name: &'static str,
    parts: Vec<Part>,
    ending: Ending,
}

/// Asserts that the dialect tells each story as its files have it.
pub(crate) fn assert_told(dialect: &dyn Dialect, head: &Head) {
    let folder = format!("src/dialect/{}/golden", dialect.name().replace('-', "_"));
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    for story in stories() {
        let told = tell(dialect, head, &story);
        let file = folder.join(story.name).with_extension("txt");
        if std::env::var_os("WRITE_GOLDEN").is_some() {
            std::fs::write(&file, &told).unwrap();
        }
        let golden = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            told == golden,
            "{} is not told as {} has it:\n{told}",
            story.name,
            file.display()
        );
    }
}

/// A head in which nothing is left to chance.
pub(crate) fn head() -> Head {
    Head {
        id: "run_1".into(),
        model: "m".to_owned(),
        created: 1,
        include_usage: true,
        conversation: None,
    }
}

fn tell(dialect: &dyn Dialect, head: &Head, story: &Story) -> String {
    let mut speller = dialect.speller(head);
    let parts = story.parts.iter().map(Said::Part);
    let all = std::iter::once(Said::Beginning)
        .chain(parts)
        .chain([Said::End(&story.ending)]);
    let mut events = Vec::new();
    for said in all {
        let at = events.len() as u64;
        speller.spell(&said, at, &mut events);
    }
    let mut told = String::new();
    for (number, event) in events.into_iter().enumerate() {
        let id = format!("epoch0-{number:012}");
        let event = match dialect.has_ids() {
            true => event.with_id(EventId::new(&id).unwrap()),
            false => event,
        };
        told.push_str(str::from_utf8(&event.to_bytes()).unwrap());
    }
    told
}

fn stories() -> Vec<Story> {
    let answer = |text: &str| Part::Answer(text.to_owned());
    let thinking = |text: &str| Part::Thinking(text.to_owned());
    let story = |name, parts, ending| Story {
        name,
        parts,
        ending,
    };
    let counts = json!({ "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3 });
    vec![
        story(
            "answer",
            vec![
                answer("Hel"),
                answer("lo\n\"you\" \u{1f30a}"),
                Part::Usage(counts.clone()),
            ],
            done("stop", Some(counts)),
        ),
        story(
            "thinking",
            vec![
                thinking("Hm"),
                thinking(", no"),
                answer("Yes"),
                thinking("Or"),
                answer("no"),
            ],
            done("length", None),
        ),
        story(
            "tools",
            vec![
                answer("Let me look."),
                call(0, Some(("call_a", "look")), ""),
                call(0, None, r#"{"at":"#),
                call(0, None, r#""Rome"}"#),
                call(1, Some(("call_b", "note")), ""),
            ],
            done("tool_calls", None),
        ),
        story(
            "job",
            vec![
                progress(&json!({ "percent": 25, "message": "building" })),
                answer("built\n"),
                progress(&json!({ "percent": 100 })),
            ],
            Ending::Done(Summary {
                more: object(&json!({ "exit_code": 0 })),
                ..Summary::default()
            }),
        ),
        story("nothing", vec![], done("stop", None)),
        story("cancelled", vec![answer("Hel")], Ending::Cancelled),
        story(
            "failed",
            vec![
                thinking("Hm"),
                call(0, Some(("call_a", "look")), r#"{"at":"#),
            ],
            Ending::failed("the upstream ended before its answer did"),
        ),
        story("expired", vec![thinking("Hm")], Ending::Expired),
    ]
}

fn done(reason: &str, usage: Option<Value>) -> Ending {
    Ending::Done(Summary {
        finish_reason: Some(reason.to_owned()),
        usage,
        ..Summary::default()
    })
}

fn call(index: u32, named: Option<(&str, &str)>, arguments: &str) -> Part {
    Part::Tool(ToolCall {
        index,
        id: named.map(|(id, _)| id.to_owned()),
        name: named.map(|(_, name)| name.to_owned()),
        arguments: arguments.to_owned(),
    })
}

fn progress(progress: &Value) -> Part {
    Part::Progress(object(progress))
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}
