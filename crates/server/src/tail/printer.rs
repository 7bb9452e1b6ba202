//! How events are printed.

use std::io::{self, Write, stderr};

use serde::{Deserialize, Serialize};
use wellspring_event::Message;

/// Prints events to its output, and what is to be told of them to standard error.
#[derive(Debug)]
pub(super) struct Printer<W> {
    output: W,
    json: bool,
}

/// An event as a line of JSON.
#[derive(Serialize)]
struct Line<'m> {
    event: &'m str,
    id: &'m str,
    data: &'m str,
}

/// What a server says of a loss.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Gap {
    reason: String,
    requested: String,
    missed: Option<u64>,
}

impl<W: Write> Printer<W> {
    pub(super) fn new(output: W, json: bool) -> Self {
        Self { output, json }
    }

    /// Prints an event; whether it is a gap.
    ///
    /// A gap is told on standard error. Among data it would be taken for data, so that it is printed only as JSON.
    pub(super) fn print(&mut self, message: &Message<'_>) -> io::Result<bool> {
        let gap = Gap::of(message);
        if let Some(gap) = &gap {
            self.say(&gap.to_string())?;
        }
        if self.json {
            let line = Line {
                event: message.event_type(),
                id: message.last_event_id(),
                data: message.data(),
            };
            serde_json::to_writer(&mut self.output, &line)?;
            self.output.write_all(b"\n")?;
        } else if gap.is_none() {
            self.output.write_all(message.data().as_bytes())?;
            self.output.write_all(b"\n")?;
        }
        Ok(gap.is_some())
    }

    /// Hands what was printed over to whoever reads it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// Tells something on standard error, after what was printed before.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        self.flush()?;
        // A standard error that is gone is no reason to end.
        let _ = writeln!(stderr(), "wellspring: {text}");
        Ok(())
    }
}

impl Gap {
    /// The gap that a message tells of. Somebody else's events may be called so, too.
    fn of(message: &Message<'_>) -> Option<Self> {
        if message.event_type() != "gap" {
            return None;
        }
        serde_json::from_str(message.data()).ok()
    }
}

impl std::fmt::Display for Gap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            reason, requested, ..
        } = self;
        match self.missed {
            Some(1) => write!(
                formatter,
                "gap: 1 event after {requested} is lost ({reason})"
            ),
            Some(missed) => {
                write!(
                    formatter,
                    "gap: {missed} events after {requested} are lost ({reason})"
                )
            }
            None => write!(
                formatter,
                "gap: events after {requested} may be lost ({reason})"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use wellspring_event::Decoder;

    use super::*;

    /// What is printed for a stream.
    fn printed(stream: &str, json: bool) -> String {
        let mut printer = Printer::new(Vec::new(), json);
        let mut decoder = Decoder::new();
        let mut input = stream.as_bytes();
        while let Some(message) = decoder.decode(&mut input).unwrap() {
            printer.print(&message).unwrap();
        }
        String::from_utf8(printer.output).unwrap()
    }

    const STREAM: &str = "id: a-1\ndata: one\ndata: more\n\nevent: note\ndata: \"two\"\n\n";

    const GAP: &str = "event: gap\nid: a-41\ndata: {\"reason\":\"evicted\",\"requested\":\"a-7\",\
                       \"first\":\"a-42\",\"last\":\"a-99\",\"missed\":34}\n\ndata: next\n\n";

    #[test]
    fn an_event_is_its_data() {
        assert_eq!(printed(STREAM, false), "one\nmore\n\"two\"\n");
    }

    #[test]
    fn an_event_is_a_line_of_json() {
        assert_eq!(
            printed(STREAM, true),
            "{\"event\":\"message\",\"id\":\"a-1\",\"data\":\"one\\nmore\"}\n\
             {\"event\":\"note\",\"id\":\"a-1\",\"data\":\"\\\"two\\\"\"}\n"
        );
    }

    #[test]
    fn a_gap_is_no_data() {
        assert_eq!(printed(GAP, false), "next\n");
        assert!(printed(GAP, true).starts_with("{\"event\":\"gap\",\"id\":\"a-41\","));
    }

    #[test]
    fn an_event_that_is_only_called_a_gap_is_data() {
        assert_eq!(printed("event: gap\ndata: mind it\n\n", false), "mind it\n");
    }

    #[test]
    fn a_gap_says_how_much_is_lost() {
        let mut gap = Gap {
            reason: "evicted".to_owned(),
            requested: "a-7".to_owned(),
            missed: Some(34),
        };
        assert_eq!(
            gap.to_string(),
            "gap: 34 events after a-7 are lost (evicted)"
        );
        gap.missed = Some(1);
        assert_eq!(gap.to_string(), "gap: 1 event after a-7 is lost (evicted)");
        gap.missed = None;
        assert_eq!(
            gap.to_string(),
            "gap: events after a-7 may be lost (evicted)"
        );
    }
}
