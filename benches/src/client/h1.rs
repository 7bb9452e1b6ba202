//! HTTP/1.1: one request, one head, then a body in chunks (RFC 9112, section 7.1) or up to the close.

use super::tally::Tally;
use super::{Fault, Target};
use crate::client::scanner::Scanner;

#[derive(Debug)]
pub(super) struct Response {
    part: Part,
    scanner: Scanner,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum Part {
    Head(Vec<u8>),
    Size(u64),
    Extension(u64),
    Data(u64),
    /// CR and LF after a chunk's data.
    DataEnd,
    /// A body without chunks.
    Plain,
}

impl Response {
    pub(super) fn new() -> Self {
        Self {
            part: Part::Head(Vec::new()),
            scanner: Scanner::default(),
        }
    }

    pub(super) fn request(target: &Target) -> Vec<u8> {
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
            target.path, target.address
        )
        .into_bytes()
    }

    pub(super) fn take(&mut self, mut bytes: &[u8], tally: &mut Tally) -> Result<(), Fault> {
        while !bytes.is_empty() {
            match &mut self.part {
                Part::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(bytes);
                    let from = before.saturating_sub(3);
                    let Some(end) = memchr::memmem::find(&head[from..], b"\r\n\r\n") else {
                        return Ok(());
                    };
                    let length = from + end + 4;
                    bytes = &bytes[length - before..];
                    let chunked = is_chunked(&head[..length])?;
                    self.part = if chunked { Part::Size(0) } else { Part::Plain };
                    tally.head();
                }
                Part::Size(size) => {
                    match bytes[0] {
                        b'\r' | b';' => self.part = Part::Extension(*size),
                        digit => {
                            let digit = char::from(digit).to_digit(16);
                            let digit = digit.ok_or(Fault::Protocol("a chunk's size"))?;
                            *size = *size << 4 | u64::from(digit);
                        }
                    }
                    bytes = &bytes[1..];
                }
                Part::Extension(size) => {
                    if bytes[0] == b'\n' {
                        if *size == 0 {
                            return Err(Fault::Closed);
                        }
                        self.part = Part::Data(*size);
                    }
                    bytes = &bytes[1..];
                }
                Part::Data(left) => {
                    let size = usize::try_from(*left).unwrap_or(usize::MAX);
                    let (data, rest) = bytes.split_at(size.min(bytes.len()));
                    self.scanner.take(data, tally)?;
                    *left -= data.len() as u64;
                    if *left == 0 {
                        self.part = Part::DataEnd;
                    }
                    bytes = rest;
                }
                Part::DataEnd => {
                    if bytes[0] == b'\n' {
                        self.part = Part::Size(0);
                    }
                    bytes = &bytes[1..];
                }
                Part::Plain => return self.scanner.take(bytes, tally),
            }
        }
        Ok(())
    }
}

/// Whether the body comes in chunks, of a head that is a stream's.
fn is_chunked(head: &[u8]) -> Result<bool, Fault> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let is_stream = head.starts_with("http/1.1 200 ") && head.contains("text/event-stream");
    if !is_stream {
        return Err(Fault::Refused(head.lines().next().unwrap_or("").to_owned()));
    }
    Ok(head.contains("\r\ntransfer-encoding: chunked\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stamp;

    #[test]
    fn events_are_found_in_chunks_however_they_are_cut() {
        let mut events = String::new();
        for number in 0..3 {
            events.push_str("data: ");
            Stamp { number, time: 1 }.write(100, &mut events);
            events.push_str("\n\n");
        }
        let mut text = String::from(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        for chunk in [&events[..50], &events[50..]] {
            text.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        }
        for size in 1..text.len() {
            let (mut response, mut tally) = (Response::new(), Tally::new());
            for piece in text.as_bytes().chunks(size) {
                response.take(piece, &mut tally).expect("it is valid");
            }
            assert_eq!(
                (tally.heads(), tally.delivered()),
                (1, 3),
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn a_refusal_and_an_end_are_faults() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (text, word) in [
            ("HTTP/1.1 503 Busy\r\n\r\n".to_owned(), "503"),
            (format!("{head}0\r\n\r\n"), "closed"),
            (format!("{head}x\r\n"), "size"),
        ] {
            let fault = Response::new()
                .take(text.as_bytes(), &mut Tally::new())
                .expect_err("no stream");
            assert!(fault.to_string().contains(word), "{fault}");
        }
    }
}
