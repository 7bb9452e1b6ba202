//! One stream's body: finds its events, and sees that they come once and in order.

use memchr::memchr;

use super::Fault;
use super::tally::Tally;
use crate::event::Stamp;

/// Where a stream stands. Small: a client may hold a million.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// The number of the event that comes next.
    next: u32,
    /// The event whose data has come, but not its blank line.
    open: Option<Stamp>,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
}

impl Scanner {
    /// Takes what came, wherever it was cut.
    pub(super) fn take(&mut self, mut bytes: &[u8], tally: &mut Tally) -> Result<(), Fault> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.begun.is_empty() {
                self.line(line, tally)?;
            } else {
                let mut whole = std::mem::take(&mut self.begun);
                whole.extend_from_slice(line);
                self.line(&whole, tally)?;
            }
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, line: &[u8], tally: &mut Tally) -> Result<(), Fault> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            self.open = Some(Stamp::read(data).ok_or(Fault::Unstamped)?);
        } else if line.is_empty()
            && let Some(stamp) = self.open.take()
        {
            if stamp.number != self.next {
                return Err(Fault::Sequence {
                    expected: self.next,
                    got: stamp.number,
                });
            }
            self.next += 1;
            tally.deliver(stamp);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(numbers: &[u32]) -> String {
        let mut text = String::from(":\n");
        for &number in numbers {
            text.push_str("id: 7\ndata: ");
            Stamp { number, time: 1 }.write(100, &mut text);
            text.push_str("\n\n:\n");
        }
        text
    }

    #[test]
    fn counts_each_event_once_however_it_is_cut() {
        let text = events(&[0, 1, 2]);
        for size in 1..text.len() {
            let (mut scanner, mut tally) = (Scanner::default(), Tally::new());
            for piece in text.as_bytes().chunks(size) {
                scanner.take(piece, &mut tally).expect("in order");
            }
            assert_eq!(tally.delivered(), 3, "in pieces of {size}");
        }
    }

    #[test]
    fn a_lost_event_and_a_doubled_one_are_faults() {
        for (numbers, word) in [([0, 2], "lost"), ([0, 0], "doubled")] {
            let fault = Scanner::default()
                .take(events(&numbers).as_bytes(), &mut Tally::new())
                .expect_err("out of order");
            assert!(fault.to_string().contains(word), "{fault}");
        }
    }

    #[test]
    fn an_event_counts_only_when_it_is_whole() {
        let text = events(&[0]);
        let mut tally = Tally::new();
        let cut = text.len() - 3;
        Scanner::default()
            .take(&text.as_bytes()[..cut], &mut tally)
            .expect("in order");
        assert_eq!(tally.delivered(), 0);
    }
}
