//! The chunked transfer coding (RFC 9112, section 7.1), taken apart in place.

use std::io;

use super::invalid;

/// Extensions and trailers are passed over, but not for ever: longer lines are an attack.
const LINE: usize = 8 << 10;

/// Where in a chunked body we are.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// Bytes of the present line that were passed over.
    passed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a chunk's size, of which this much is read, with so many digits.
    Size(u64, u8),
    /// After the size, before the end of its line.
    Extension(u64),
    /// In a chunk with so much left.
    Data(u64),
    /// Before the CRLF that ends a chunk.
    AfterData,
    /// In the trailers; whether the present line is empty so far.
    Trailer(bool),
    /// After the end.
    Over,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            state: State::Size(0, 0),
            passed: 0,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The next piece of data at the front of `bytes`; `None` when they are used up or the body is over.
    pub(super) fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> io::Result<Option<&'b [u8]>> {
        while !bytes.is_empty() {
            if let State::Data(left) = self.state {
                let count = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let (data, rest) = bytes.split_at(count);
                *bytes = rest;
                let left = left - count as u64;
                self.state = if left == 0 {
                    State::AfterData
                } else {
                    State::Data(left)
                };
                return Ok(Some(data));
            }
            if self.state == State::Over {
                return Ok(None);
            }
            let byte = bytes[0];
            *bytes = &bytes[1..];
            self.step(byte)?;
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> io::Result<()> {
        let no_size = || invalid("a chunk has no size");
        self.state = match (self.state, byte) {
            (State::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                // Sixteen digits are all that a u64 holds.
                if digits == 16 {
                    return Err(no_size());
                }
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                State::Size(size << 4 | digit, digits + 1)
            }
            (State::Size(_, 0), _) => return Err(no_size()),
            (State::Size(size, _) | State::Extension(size), b'\n') => {
                self.passed = 0;
                if size == 0 {
                    State::Trailer(true)
                } else {
                    State::Data(size)
                }
            }
            (State::Size(size, _), b'\r' | b';' | b' ' | b'\t') => State::Extension(size),
            (State::Size(..), _) => return Err(no_size()),
            (State::Extension(size), _) => self.pass(State::Extension(size))?,
            (State::AfterData, b'\r') => State::AfterData,
            (State::AfterData, b'\n') => State::Size(0, 0),
            (State::AfterData, _) => return Err(invalid("a chunk is longer than its size")),
            (State::Trailer(true), b'\n') => State::Over,
            (State::Trailer(false), b'\n') => State::Trailer(true),
            (State::Trailer(empty), b'\r') => State::Trailer(empty),
            (State::Trailer(_), _) => self.pass(State::Trailer(false))?,
            (State::Data(_) | State::Over, _) => unreachable!("handled by next()"),
        };
        Ok(())
    }

    fn pass(&mut self, state: State) -> io::Result<State> {
        self.passed += 1;
        if self.passed > LINE {
            return Err(invalid("a line between chunks has no end"));
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body, and whether it is over, when `text` arrives in pieces of `size`.
    fn unchunk(text: &[u8], size: usize) -> io::Result<(Vec<u8>, bool)> {
        let (mut chunked, mut body) = (Chunked::new(), Vec::new());
        for mut piece in text.chunks(size) {
            while let Some(data) = chunked.next(&mut piece)? {
                body.extend_from_slice(data);
            }
        }
        Ok((body, chunked.is_over()))
    }

    #[test]
    fn chunks_are_joined_however_they_arrive() {
        let text =
            b"5;name=value\r\ndata:\r\n1\r\n \r\nA \r\n0123456789\r\n0\r\ntrailer: x\r\n\r\n";
        for size in 1..=text.len() {
            let (body, over) = unchunk(text, size).unwrap();
            assert_eq!(
                (body.as_slice(), over),
                (&b"data: 0123456789"[..], true),
                "{size}"
            );
        }
    }

    #[test]
    fn without_its_end_a_body_is_not_over() {
        assert_eq!(
            unchunk(b"3\r\nabc\r\n", 64).unwrap(),
            (b"abc".to_vec(), false)
        );
        assert_eq!(
            unchunk(b"3\r\nabc\r\n0\r\n", 64).unwrap(),
            (b"abc".to_vec(), false)
        );
    }

    #[test]
    fn malformed_chunks_are_errors() {
        for text in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"3\r\nabcd\r\n",
            b"11111111111111111\r\n",
            b"3!\r\n",
        ] {
            assert!(
                unchunk(text, 64).is_err(),
                "{:?}",
                String::from_utf8_lossy(text)
            );
        }
        let endless = [b"0\r\n".as_slice(), &[b'a'; LINE + 1]].concat();
        assert!(unchunk(&endless, 1_000).is_err());
    }
}
