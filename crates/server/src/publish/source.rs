//! Where lines come from: a reader, cut at its line ends.

use std::io;

use bytes::{Buf, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::line::LineError;

/// The longest line, in bytes. It bounds what is held of an input without line ends.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// What one read takes at most.
const READ: usize = 64 << 10;

/// Reads only when asked to, and lends out the lines of what it has read.
///
/// A line ends with LF or CR LF; the last one may do without.
#[derive(Debug)]
pub(super) struct Source<R> {
    reader: R,
    buffer: BytesMut,
    /// So many bytes of the buffer are known to hold no line end, so that a long line is not searched twice.
    searched: usize,
    /// The bytes at the front that the last line occupied.
    lent: usize,
    /// Lines given out so far.
    lines: u64,
    ended: bool,
}

/// A line without its end, and its number, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'s> {
    pub number: u64,
    pub bytes: &'s [u8],
}

impl<R: AsyncRead + Unpin> Source<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: BytesMut::new(),
            searched: 0,
            lent: 0,
            lines: 0,
            ended: false,
        }
    }

    /// Reads what is there, or waits until there is something; 0 is the end.
    ///
    /// # Cancel safety
    ///
    /// What was read is kept for the next call.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        self.give_back();
        self.buffer.reserve(READ);
        let read = self.reader.read_buf(&mut self.buffer).await?;
        self.ended = read == 0;
        Ok(read)
    }

    /// The next line of what was read; none when its end was not read yet.
    pub(super) fn next_line(&mut self) -> Result<Option<Line<'_>>, LineError> {
        self.give_back();
        let number = self.lines + 1;
        let end = memchr(b'\n', &self.buffer[self.searched..]).map(|at| self.searched + at);
        self.searched = end.unwrap_or(self.buffer.len());
        if self.searched > LONGEST_LINE {
            return Err(LineError::TooLong { number });
        }
        let line = match end {
            Some(end) => &self.buffer[..end],
            None if self.ended && !self.buffer.is_empty() => &self.buffer[..],
            None => return Ok(None),
        };
        self.lent = (line.len() + 1).min(self.buffer.len());
        self.lines = number;
        Ok(Some(Line {
            number,
            bytes: line.strip_suffix(b"\r").unwrap_or(line),
        }))
    }

    /// Forgets what was read and not given out.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.searched = 0;
        self.lent = 0;
    }

    fn give_back(&mut self) {
        if self.lent > 0 {
            self.buffer.advance(self.lent);
            self.lent = 0;
            self.searched = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Number and text of the lines of an input that comes in these chunks.
    async fn lines(chunks: &[&[u8]]) -> Result<Vec<(u64, String)>, LineError> {
        let (mut writer, reader) = tokio::io::duplex(4 << 20);
        let mut source = Source::new(reader);
        let mut lines = Vec::new();
        for chunk in chunks {
            writer.write_all(chunk).await.unwrap();
            let mut left = chunk.len();
            while left > 0 {
                left -= source.fill().await.unwrap();
                take(&mut source, &mut lines)?;
            }
        }
        drop(writer);
        assert_eq!(source.fill().await.unwrap(), 0);
        take(&mut source, &mut lines)?;
        Ok(lines)
    }

    fn take<R: AsyncRead + Unpin>(
        source: &mut Source<R>,
        lines: &mut Vec<(u64, String)>,
    ) -> Result<(), LineError> {
        while let Some(line) = source.next_line()? {
            let text = String::from_utf8(line.bytes.to_vec()).unwrap();
            lines.push((line.number, text));
        }
        Ok(())
    }

    fn numbered(texts: &[&str]) -> Vec<(u64, String)> {
        (1..)
            .zip(texts.iter().map(|&text| text.to_owned()))
            .collect()
    }

    #[tokio::test]
    async fn lines_are_the_same_in_any_chunks() {
        let input = b"one\r\n\ntwo\nthree \r inside\n";
        let expected = numbered(&["one", "", "two", "three \r inside"]);
        assert_eq!(lines(&[input]).await.unwrap(), expected);
        for at in 1..input.len() {
            let (front, back) = input.split_at(at);
            assert_eq!(
                lines(&[front, back]).await.unwrap(),
                expected,
                "cut at {at}"
            );
        }
    }

    #[tokio::test]
    async fn the_last_line_may_do_without_an_end() {
        assert_eq!(
            lines(&[b"one\ntwo"]).await.unwrap(),
            numbered(&["one", "two"])
        );
        assert_eq!(lines(&[b"one\n"]).await.unwrap(), numbered(&["one"]));
        assert_eq!(lines(&[]).await.unwrap(), numbered(&[]));
    }

    #[tokio::test]
    async fn an_unfinished_line_is_none_yet() {
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut source = Source::new(reader);
        writer.write_all(b"half").await.unwrap();
        source.fill().await.unwrap();
        assert_eq!(source.next_line(), Ok(None));
    }

    #[tokio::test]
    async fn a_line_has_a_limit_and_the_ones_before_it_count() {
        let longest = ".".repeat(LONGEST_LINE);
        let input = format!("{longest}\n");
        assert_eq!(
            lines(&[input.as_bytes()]).await.unwrap(),
            numbered(&[&longest])
        );
        for end in ["", "\n"] {
            let input = format!("fine\n{longest}.{end}");
            let error = lines(&[input.as_bytes()]).await.unwrap_err();
            assert_eq!(error.to_string(), "line 2 is longer than 1 MiB");
        }
    }
}
