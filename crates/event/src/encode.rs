//! Text to lines.

use memchr::memchr2;

/// The lines of a text, cut at CR, LF and CRLF alike: always one more than it has line breaks.
///
/// A receiver ends its line at each of the three (WHATWG HTML 9.2.5), so whatever of them stayed
/// inside a value would end it early and let the rest pass for a field of its own.
#[derive(Debug, Clone)]
pub(crate) struct Lines<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self {
            rest: Some(text.as_bytes()),
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let Some(end) = memchr2(b'\r', b'\n', rest) else {
            self.rest = None;
            return Some(rest);
        };
        let after = if rest[end..].starts_with(b"\r\n") {
            end + 2
        } else {
            end + 1
        };
        self.rest = Some(&rest[after..]);
        Some(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<&str> {
        Lines::of(text)
            .map(|line| str::from_utf8(line).unwrap())
            .collect()
    }

    #[test]
    fn cuts_at_each_kind_of_line_break_once() {
        assert_eq!(lines("a\nb\rc\r\nd"), ["a", "b", "c", "d"]);
        assert_eq!(lines("\n\r"), ["", "", ""]);
        assert_eq!(lines("\r\r\n\n"), ["", "", "", ""]);
    }

    #[test]
    fn a_text_without_line_break_is_one_line_even_when_empty() {
        assert_eq!(lines(""), [""]);
        assert_eq!(lines("é\u{2028}\u{85}x"), ["é\u{2028}\u{85}x"]);
    }
}
