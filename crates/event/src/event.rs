//! What is sent.

use std::borrow::Cow;
use std::time::Duration;

use crate::{EventId, EventType, Retry};

/// One event: data, and what may stand beside it.
///
/// There is no event without data: receivers do not dispatch such a block, and some SDKs fail on
/// it. Data may be empty, and is then dispatched as `""`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    data: Cow<'a, str>,
    event_type: Option<EventType<'a>>,
    id: Option<EventId<'a>>,
    retry: Option<Retry>,
}

impl<'a> Event<'a> {
    /// An event of `data`.
    ///
    /// CR, LF and CRLF in it become one further `data:` line each, which the receiver joins with
    /// LF: line breaks arrive, but all as LF.
    #[must_use]
    pub fn new(data: impl Into<Cow<'a, str>>) -> Self {
        Self {
            data: data.into(),
            event_type: None,
            id: None,
            retry: None,
        }
    }

    /// An event of bytes that must be UTF-8: the format knows no other encoding.
    ///
    /// # Errors
    ///
    /// [`NotUtf8`], with the place of the first ill-formed byte. Nothing is ever repaired.
    pub fn from_utf8(data: &'a [u8]) -> Result<Self, NotUtf8> {
        match str::from_utf8(data) {
            Ok(text) => Ok(Self::new(text)),
            Err(error) => Err(NotUtf8 {
                offset: error.valid_up_to(),
            }),
        }
    }

    /// An event whose data is `value` as compact JSON, which is always a single line.
    ///
    /// # Errors
    ///
    /// What `value`'s `Serialize` reports, or a map key that is not a string.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(
        value: &T,
    ) -> Result<Event<'static>, serde_json::Error> {
        serde_json::to_string(value).map(Event::new)
    }

    /// The same event with a type; without one receivers take it for `message`.
    #[must_use]
    pub fn with_type(self, event_type: EventType<'a>) -> Self {
        Self {
            event_type: Some(event_type),
            ..self
        }
    }

    /// The same event with an id, which receivers send back when they reconnect.
    #[must_use]
    pub fn with_id(self, id: EventId<'a>) -> Self {
        Self {
            id: Some(id),
            ..self
        }
    }

    /// The same event with a reconnection time, rounded as [`Retry::new`] does: up, to whole
    /// milliseconds.
    #[must_use]
    pub fn with_retry(self, delay: Duration) -> Self {
        Self {
            retry: Some(Retry::new(delay)),
            ..self
        }
    }

    /// The data, with its line breaks as they were given.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The type, when one was given.
    #[must_use]
    pub const fn event_type(&self) -> Option<EventType<'a>> {
        self.event_type
    }

    /// The id, when one was given.
    #[must_use]
    pub const fn id(&self) -> Option<EventId<'a>> {
        self.id
    }

    /// The reconnection time, when one was given, as it will be sent: in whole milliseconds.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry.map(Retry::delay)
    }

    /// The reconnection time as a line.
    pub(crate) const fn retry_line(&self) -> Option<Retry> {
        self.retry
    }
}

/// Bytes that were to be an event's data are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("data is not UTF-8: ill-formed at byte {offset}")]
pub struct NotUtf8 {
    offset: usize,
}

impl NotUtf8 {
    /// Where the first ill-formed sequence starts: all bytes before it are UTF-8.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_it_was_built_from() {
        let event = Event::new("a\rb")
            .with_retry(Duration::from_micros(1_500))
            .with_id(EventId::new("42").unwrap())
            .with_type(EventType::new("tick").unwrap());
        assert_eq!(event.data(), "a\rb");
        assert_eq!(event.event_type().unwrap().as_str(), "tick");
        assert_eq!(event.id().unwrap().as_str(), "42");
        assert_eq!(event.retry(), Some(Duration::from_millis(2)));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused_where_they_start() {
        assert_eq!(Event::from_utf8("né".as_bytes()), Ok(Event::new("né")));
        let error = Event::from_utf8(b"n\xc3").unwrap_err();
        assert_eq!(error.offset(), 1);
        assert_eq!(error.to_string(), "data is not UTF-8: ill-formed at byte 1");
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_is_one_compact_line() {
        let event = Event::json(&serde_json::json!({"delta": "a\nb"})).unwrap();
        assert_eq!(event.data(), r#"{"delta":"a\nb"}"#);
    }
}
