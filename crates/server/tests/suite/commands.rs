//! `wellspring publish`, `wellspring tail` and `wellspring run` as people run them.

mod publish;
mod refusals;
mod run;
mod tail;
mod wire;

use crate::process::Process;
use crate::program::Program;

/// A server that keeps ten thousand lines, so that who reads late misses none.
fn server() -> Program {
    Program::start(&["--topic-bytes", "16777216"])
}

/// What a topic keeps, up to so many events, each its data.
fn topic(server: &Program, topic: &str, events: usize) -> Vec<String> {
    let url = format!("{}/topics/{topic}", server.http());
    let count = events.to_string();
    let tail = Process::start(&["tail", "--from", "earliest", "--count", &count, &url]);
    let finished = tail.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.output
}

/// `line 1` to `line N`, as lines of text.
fn lines(numbers: std::ops::RangeInclusive<usize>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

/// Lines of text as one text.
fn text(lines: &[String]) -> String {
    lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect()
}
