//! Lines that receivers ignore.

use bytes::BufMut;

use crate::encode::Lines;

/// The shortest line there is, a comment without text: sent on an idle stream to keep it open.
///
/// No blank line follows. One would be harmless to browsers, but makes several SDKs dispatch an
/// empty event.
pub const HEARTBEAT: &[u8] = b":\n";

/// A text that receivers ignore: each of its lines, however broken, becomes one comment line.
///
/// Like [`HEARTBEAT`] it is written without a blank line after it, so it may stand between two
/// events or inside one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comment<'a> {
    text: &'a str,
}

impl<'a> Comment<'a> {
    /// A comment of `text`; `""` is the [`HEARTBEAT`].
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// How many bytes [`encode`](Self::encode) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        Lines::of(self.text)
            .map(|line| if line.is_empty() { 2 } else { line.len() + 3 })
            .sum()
    }

    /// Writes the comment's lines, each with its LF.
    ///
    /// # Panics
    ///
    /// When `out` cannot grow and has less room than [`encoded_len`](Self::encoded_len).
    pub fn encode(&self, out: &mut impl BufMut) {
        for line in Lines::of(self.text) {
            if line.is_empty() {
                out.put_slice(b":\n");
            } else {
                out.put_slice(b": ");
                out.put_slice(line);
                out.put_slice(b"\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        Comment::new(text).encode(&mut out);
        assert_eq!(out.len(), Comment::new(text).encoded_len());
        out
    }

    #[test]
    fn is_one_line_without_a_blank_line_after_it() {
        assert_eq!(encoded("still here"), b": still here\n");
    }

    #[test]
    fn without_text_is_the_heartbeat() {
        assert_eq!(encoded(""), HEARTBEAT);
    }

    #[test]
    fn a_line_break_in_it_starts_another_comment_line() {
        assert_eq!(
            encoded("a\r\ndata: b\r\n\rc\n"),
            b": a\n: data: b\n:\n: c\n:\n"
        );
    }
}
