//! The two strings of an event that must stay on their line: its type and its id.

use memchr::{memchr2, memchr3};

/// An event's type, as it stands in an `event:` line: what `addEventListener` is given.
///
/// Holds neither CR nor LF, and is not empty: the standard takes an empty type for none at all
/// and dispatches `message` (WHATWG HTML 9.2.6, "dispatch the event", step 5), so that an empty
/// type would arrive as another than was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventType<'a>(&'a str);

impl<'a> EventType<'a> {
    /// Takes `text` as an event type.
    ///
    /// # Errors
    ///
    /// [`FieldError::TypeCharacter`] for a CR or LF, [`FieldError::TypeEmpty`] for `""`.
    pub fn new(text: &'a str) -> Result<Self, FieldError> {
        if text.is_empty() {
            return Err(FieldError::TypeEmpty);
        }
        match memchr2(b'\r', b'\n', text.as_bytes()) {
            None => Ok(Self(text)),
            Some(offset) => Err(FieldError::TypeCharacter {
                character: char::from(text.as_bytes()[offset]),
                offset,
            }),
        }
    }

    /// The type as text.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

/// An event's id, as it stands in an `id:` line: what a browser sends back in `Last-Event-ID`.
///
/// Holds neither CR nor LF, which would end the line, nor NUL, for which a receiver ignores the
/// whole field (WHATWG HTML 9.2.6). May be empty: that makes the receiver forget the id it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId<'a>(&'a str);

impl<'a> EventId<'a> {
    /// Takes `text` as an event id.
    ///
    /// # Errors
    ///
    /// [`FieldError::IdCharacter`] for a CR, LF or NUL.
    pub fn new(text: &'a str) -> Result<Self, FieldError> {
        match memchr3(b'\r', b'\n', 0, text.as_bytes()) {
            None => Ok(Self(text)),
            Some(offset) => Err(FieldError::IdCharacter {
                character: char::from(text.as_bytes()[offset]),
                offset,
            }),
        }
    }

    /// The id as text.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

/// Why a text cannot be an [`EventType`] or an [`EventId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The type holds a character that would end its line.
    #[error("event type contains {character:?} at byte {offset}")]
    TypeCharacter {
        /// CR or LF, the first one found.
        character: char,
        /// Where it stands, in bytes from the start of the type.
        offset: usize,
    },
    /// The type is empty, which receivers take for `message`.
    #[error("event type is empty, which would arrive as \"message\"")]
    TypeEmpty,
    /// The id holds a character that would end its line, or have the field ignored.
    #[error("event id contains {character:?} at byte {offset}")]
    IdCharacter {
        /// CR, LF or NUL, the first one found.
        character: char,
        /// Where it stands, in bytes from the start of the id.
        offset: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_with_a_line_break_is_refused_where_it_stands() {
        assert_eq!(
            EventType::new("a\nid: 9"),
            Err(FieldError::TypeCharacter {
                character: '\n',
                offset: 1
            })
        );
        assert_eq!(
            EventType::new("ab\r").unwrap_err().to_string(),
            r"event type contains '\r' at byte 2"
        );
    }

    #[test]
    fn an_empty_type_is_refused_because_it_would_arrive_as_message() {
        assert_eq!(EventType::new(""), Err(FieldError::TypeEmpty));
    }

    #[test]
    fn an_id_with_a_line_break_or_nul_is_refused_where_it_stands() {
        for (text, character, offset) in [("1\r", '\r', 1), ("\n1", '\n', 0), ("é\0", '\0', 2)] {
            assert_eq!(
                EventId::new(text),
                Err(FieldError::IdCharacter { character, offset })
            );
        }
        assert_eq!(
            EventId::new("\0").unwrap_err().to_string(),
            r"event id contains '\0' at byte 0"
        );
    }

    #[test]
    fn anything_else_is_taken_as_it_is() {
        for text in [" leading space", "a:b", "\u{feff}", "\u{2028}", "naïve"] {
            assert_eq!(EventType::new(text).unwrap().as_str(), text);
            assert_eq!(EventId::new(text).unwrap().as_str(), text);
        }
        assert_eq!(EventType::new("\0").unwrap().as_str(), "\0");
        assert_eq!(EventId::new("").unwrap().as_str(), "");
    }
}
