//! The name of a topic.

use std::sync::Arc;
use std::{borrow::Borrow, fmt};

use thiserror::Error;

/// The name of a topic: 1 to 256 bytes of UTF-8 without control characters and U+FFFD. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

/// The text is no name of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidTopic {
    /// It is empty.
    #[error("a topic's name must not be empty")]
    Empty,
    /// It is too long.
    #[error("a topic's name has at most {limit} bytes, this one has {bytes}", limit = TopicName::LONGEST)]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// It holds U+FFFD, which is what decoders make of bytes that are not UTF-8: such input is refused,
    /// never repaired.
    #[error("a topic's name is UTF-8, and this one was not at byte {offset}")]
    NotUtf8 {
        /// Where the first U+FFFD is.
        offset: usize,
    },
    /// It holds a control character.
    #[error("a topic's name holds no control characters, this one has U+{:04X} at byte {offset}", u32::from(*character))]
    Control {
        /// The first of them.
        character: char,
        /// Where it is.
        offset: usize,
    },
}

impl TopicName {
    /// The longest name, in bytes.
    pub const LONGEST: usize = 256;

    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`InvalidTopic`] says what is wrong with it.
    pub fn new(name: &str) -> Result<Self, InvalidTopic> {
        if name.is_empty() {
            return Err(InvalidTopic::Empty);
        }
        if name.len() > Self::LONGEST {
            return Err(InvalidTopic::TooLong { bytes: name.len() });
        }
        if let Some((offset, character)) = name.char_indices().find(|(_, c)| c.is_control()) {
            return Err(InvalidTopic::Control { character, offset });
        }
        if let Some(offset) = name.find(char::REPLACEMENT_CHARACTER) {
            return Err(InvalidTopic::NotUtf8 { offset });
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<TopicName> for Arc<str> {
    /// Shares the name; nothing is copied.
    fn from(name: TopicName) -> Self {
        name.0
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        assert_eq!(TopicName::new("orders/été").unwrap().as_str(), "orders/été");
        assert_eq!(TopicName::new(""), Err(InvalidTopic::Empty));
        assert_eq!(
            TopicName::new("a\nb"),
            Err(InvalidTopic::Control {
                character: '\n',
                offset: 1
            })
        );
        assert_eq!(
            TopicName::new(&"x".repeat(257)),
            Err(InvalidTopic::TooLong { bytes: 257 })
        );
        assert!(TopicName::new(&"x".repeat(256)).is_ok());
        assert_eq!(
            TopicName::new(&String::from_utf8_lossy(b"caf\xe9")),
            Err(InvalidTopic::NotUtf8 { offset: 3 })
        );
    }
}
