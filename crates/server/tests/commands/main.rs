//! `wellspring publish` and `wellspring tail` as people run them: the real program in processes of its own.

mod process;
mod publish;
mod refusals;
mod tail;
mod wire;

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
