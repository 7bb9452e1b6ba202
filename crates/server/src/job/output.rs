//! What a command prints, line by line.

use std::fmt;
use std::pin::Pin;

use bytes::{Buf, BytesMut};
use memchr::memchr2;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A line of the command's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) stream: Stream,
    /// Without what ended it.
    pub(super) bytes: BytesMut,
    /// Whether it was ended. The last one may not be, and one that is too long comes in several.
    pub(super) is_ended: bool,
}

/// Where a line was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// What a command prints on both of its streams.
#[derive(Debug)]
pub(super) struct Output {
    out: Pipe,
    err: Pipe,
}

struct Pipe {
    stream: Stream,
    /// None once it has ended.
    reader: Option<Pin<Box<dyn AsyncRead + Send>>>,
    splitter: Splitter,
}

/// Cuts bytes at their line ends: LF, CR LF, and the CR of a progress bar that is drawn over.
#[derive(Debug, Default)]
struct Splitter {
    buffer: BytesMut,
    /// So many bytes are known to hold no line end.
    searched: usize,
    /// A CR has ended the last line: an LF right after it belongs to it.
    after_return: bool,
}

/// A line that is longer comes in pieces of this size, in bytes, which bounds what is held of an output without ends.
const LONGEST: usize = 16 * 1024;

/// What one read takes at most.
const READ: usize = 16 * 1024;

impl Output {
    pub(super) fn new(
        out: Option<impl AsyncRead + Send + 'static>,
        err: Option<impl AsyncRead + Send + 'static>,
    ) -> Self {
        Self {
            out: Pipe::new(Stream::Out, out),
            err: Pipe::new(Stream::Err, err),
        }
    }

    /// Reads what is there, or waits until there is something: for ever once both streams have ended.
    ///
    /// # Cancel safety
    ///
    /// What was read is kept for the next call.
    pub(super) async fn fill(&mut self) {
        tokio::select! {
            () = self.out.fill() => {}
            () = self.err.fill() => {}
        }
    }

    /// The next line of what was read.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        self.out.next_line().or_else(|| self.err.next_line())
    }

    /// Whether nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        self.out.is_over() && self.err.is_over()
    }

    /// Reads no more.
    pub(super) fn close(&mut self) {
        self.out.reader = None;
        self.err.reader = None;
    }
}

impl Pipe {
    fn new(stream: Stream, reader: Option<impl AsyncRead + Send + 'static>) -> Self {
        Self {
            stream,
            reader: reader.map(|reader| Box::pin(reader) as _),
            splitter: Splitter::default(),
        }
    }

    async fn fill(&mut self) {
        let Some(reader) = &mut self.reader else {
            return std::future::pending().await;
        };
        self.splitter.buffer.reserve(READ);
        // A pipe that cannot be read has ended, for us.
        if reader
            .read_buf(&mut self.splitter.buffer)
            .await
            .unwrap_or(0)
            == 0
        {
            self.reader = None;
        }
    }

    fn next_line(&mut self) -> Option<Line> {
        let (bytes, is_ended) = match self.splitter.next() {
            None if self.reader.is_none() => (self.splitter.rest()?, false),
            next => next?,
        };
        Some(Line {
            stream: self.stream,
            bytes,
            is_ended,
        })
    }

    fn is_over(&self) -> bool {
        self.reader.is_none() && self.splitter.buffer.is_empty()
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pipe")
            .field("stream", &self.stream)
            .field("splitter", &self.splitter)
            .finish_non_exhaustive()
    }
}

impl Splitter {
    /// The next line and whether it was ended; none when its end is not there yet.
    fn next(&mut self) -> Option<(BytesMut, bool)> {
        loop {
            if self.after_return && !self.buffer.is_empty() {
                self.after_return = false;
                if self.buffer[0] == b'\n' {
                    self.buffer.advance(1);
                }
            }
            let end = memchr2(b'\n', b'\r', &self.buffer[self.searched..]);
            let Some(end) = end.map(|at| self.searched + at) else {
                self.searched = self.buffer.len();
                return (self.searched > LONGEST).then(|| (self.cut(), false));
            };
            if end > LONGEST {
                return Some((self.cut(), false));
            }
            let line = self.buffer.split_to(end);
            let is_return = self.buffer[0] == b'\r';
            self.buffer.advance(1);
            self.searched = 0;
            // A bar is often drawn with a CR on either side: nothing was said between the two.
            if is_return && line.is_empty() {
                continue;
            }
            self.after_return = is_return;
            return Some((line, true));
        }
    }

    /// What there is without an end.
    fn rest(&mut self) -> Option<BytesMut> {
        self.searched = 0;
        let rest = self.buffer.split();
        (!rest.is_empty()).then_some(rest)
    }

    /// The beginning of a long line, up to where a character ends.
    fn cut(&mut self) -> BytesMut {
        let is_inside = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
        let from = LONGEST - 3;
        // A character of UTF-8 has at most 4 bytes: of four borders one is its own.
        let border = (from..=LONGEST)
            .rev()
            .find(|at| !is_inside(self.buffer[*at]));
        let piece = self.buffer.split_to(border.unwrap_or(LONGEST));
        self.searched = 0;
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of these chunks; `|` marks a line's end.
    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.buffer.extend_from_slice(chunk);
            while let Some((line, is_ended)) = splitter.next() {
                let text = String::from_utf8_lossy(&line);
                lines.push(format!("{text}{}", if is_ended { "|" } else { "" }));
            }
        }
        lines.extend(
            splitter
                .rest()
                .map(|rest| String::from_utf8_lossy(&rest).into_owned()),
        );
        lines
    }

    #[test]
    fn a_line_ends_with_either_or_both_in_any_chunks() {
        for (input, expected) in [
            (
                &b"one\ntwo\r\n\nthree"[..],
                &["one|", "two|", "|", "three"][..],
            ),
            (b"\r 1%\r 2%\r\n\r\nend\n", &[" 1%|", " 2%|", "|", "end|"]),
            (b"a\rb\r", &["a|", "b|"]),
            (b"", &[]),
        ] {
            assert_eq!(lines(&[input]), expected);
            for at in 0..input.len() {
                let (front, back) = input.split_at(at);
                assert_eq!(lines(&[front, back]), expected, "cut at {at}");
            }
            let single: Vec<&[u8]> = input.chunks(1).collect();
            assert_eq!(lines(&single), expected);
        }
    }

    #[test]
    fn a_long_line_comes_in_pieces_of_whole_characters() {
        for lead in ["", "a", "ab"] {
            let line = format!("{lead}{}", "€".repeat(LONGEST));
            let pieces = lines(&[line.as_bytes(), b"\n"]);
            assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.len() <= LONGEST + 1));
            assert_eq!(pieces.concat(), format!("{line}|"));
        }
    }

    #[tokio::test]
    async fn both_streams_are_read_to_their_ends() {
        let mut output = Output::new(Some(&b"out\n"[..]), Some(&b"err"[..]));
        let mut seen = Vec::new();
        while !output.is_over() {
            output.fill().await;
            while let Some(line) = output.next_line() {
                seen.push((line.stream, line.bytes, line.is_ended));
            }
        }
        seen.sort_by_key(|(stream, ..)| *stream == Stream::Err);
        let line = |text: &str| BytesMut::from(text);
        assert_eq!(
            seen,
            [
                (Stream::Out, line("out"), true),
                (Stream::Err, line("err"), false)
            ]
        );
    }
}
