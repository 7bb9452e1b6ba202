//! The `text/event-stream` format of the HTML standard ([section 9.2]): events to bytes, bytes to
//! events. No I/O, no async, no clock.
//!
//! - [`Event`] is what is sent; [`EventType`] and [`EventId`] are strings that cannot break out of
//!   their line, so nothing that a user typed can start a field or an event of its own.
//! - [`Comment`], [`HEARTBEAT`] and [`Retry`] are the lines that a stream may carry besides.
//! - [`Decoder`] takes bytes in any split and lends out each [`Message`], without copying where
//!   the event lies whole in what it was given.
//!
//! ```
//! use wellspring_event::{Decoder, Event, EventId, EventType};
//!
//! let mut wire = Vec::new();
//! Event::new("first line\nsecond line")
//!     .with_type(EventType::new("note")?)
//!     .with_id(EventId::new("7")?)
//!     .encode(&mut wire);
//! assert_eq!(wire, b"event: note\ndata: first line\ndata: second line\nid: 7\n\n");
//!
//! let mut decoder = Decoder::new();
//! let mut input = wire.as_slice();
//! while let Some(message) = decoder.decode(&mut input)? {
//!     assert_eq!(message.event_type(), "note");
//!     assert_eq!(message.data(), "first line\nsecond line");
//! }
//! assert_eq!(decoder.last_event_id(), "7");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! - `json`: `Event::json`, data from any `serde::Serialize`.
//!
//! [section 9.2]: https://html.spec.whatwg.org/multipage/server-sent-events.html

mod comment;
mod decode;
mod encode;
mod event;
mod field;
mod line;
mod retry;

pub use comment::{Comment, HEARTBEAT};
pub use decode::{DecodeError, Decoder, Message};
pub use encode::Measured;
pub use event::{Event, NotUtf8};
pub use field::{EventId, EventType, FieldError};
pub use retry::Retry;
