//! Bytes to events.

mod last_id;
mod reconnection;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::last_id::LastId;
use self::reconnection::Reconnection;
use crate::line::{Field, Token, Tokens};

/// Reads a `text/event-stream`, in whatever chunks it comes, as WHATWG HTML section 9.2.6
/// ("interpreting an event stream") has it.
///
/// One decoder reads one stream and, after [`reset`](Self::reset), the stream that continues it.
/// The end of a stream needs no call: a block without its blank line is discarded.
///
/// Where the standard leaves a choice:
///
/// - A CR ends its line at once, without waiting for an LF that might follow.
/// - `retry` is obeyed as soon as its line is complete, whatever becomes of its block. An empty
///   value is no integer and is ignored; more than `u64` milliseconds count as `u64::MAX`.
/// - Ill-formed UTF-8 becomes U+FFFD, one for each maximal part, as the Encoding standard decodes.
/// - After a reconnection an event without `id` keeps the last id from before, as in browsers.
///
/// # Cost
///
/// Time is linear in the bytes, whatever their lines and chunks. An event that lies whole in the
/// input, its data in one line, is lent from there: it is not copied, but for its id. Anything
/// else is gathered in buffers that are kept for the next event, so that a steady stream
/// allocates nothing. They hold a few times the limit at most.
#[derive(Debug, Clone)]
pub struct Decoder {
    tokens: Tokens,
    /// The block's data lines so far, an LF after each: the standard's data buffer.
    data: Vec<u8>,
    /// The standard's event type buffer.
    event_type: Vec<u8>,
    last_id: LastId,
    reconnection: Reconnection,
    repaired: Repaired,
    limit: usize,
    /// What the block counts towards the limit so far.
    size: usize,
    /// The block was too large and the error was given: pass over the rest of it.
    skipping: bool,
    /// `data` and `event_type` belong to the message that the last call lent out.
    lent: bool,
}

impl Decoder {
    /// A decoder at the start of a stream, with a limit of 1 MiB for one event: thousands of times
    /// an LLM token's, and little enough to be held for each of many streams.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }

    /// A decoder at the start of a stream that accepts events up to `max_event_bytes`.
    ///
    /// Counted are the values of the block's `data`, `event` and `id` lines, and one for each
    /// such line. Comments and unknown fields may have any length: nothing of them is kept.
    #[must_use]
    pub const fn with_limit(max_event_bytes: usize) -> Self {
        Self {
            tokens: Tokens::new(),
            data: Vec::new(),
            event_type: Vec::new(),
            last_id: LastId::new(),
            reconnection: Reconnection::new(),
            repaired: Repaired::new(),
            limit: max_event_bytes,
            size: 0,
            skipping: false,
            lent: false,
        }
    }

    /// Takes bytes from the front of `input` until one event is complete, which is returned, or
    /// `input` is empty, which is `None`. Call it again until then.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TooLarge`], once, for an event beyond the limit. The next calls pass over
    /// the rest of its block and go on with the event after it. The block's `id` counts
    /// nevertheless (unless it is longer than the limit by itself), like that of a block without
    /// data: the loss has been reported, and who reconnects is not sent the same event for ever.
    #[inline]
    pub fn decode<'d, 'i: 'd>(
        &'d mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Message<'d>>, DecodeError> {
        if self.lent {
            self.forget_block();
        }
        let mut block = Borrowed::default();
        loop {
            match self.tokens.next(input) {
                Some(Token::Value {
                    field,
                    bytes,
                    starts,
                    ends,
                }) => {
                    self.value(&mut block, field, bytes, starts, ends)?;
                }
                Some(Token::Blank) => {
                    self.last_id.commit();
                    if block.data.is_some() || !self.data.is_empty() {
                        return Ok(Some(self.dispatch(block)));
                    }
                    block = Borrowed::default();
                    self.forget_block();
                }
                None => {
                    self.keep(block);
                    return Ok(None);
                }
            }
        }
    }

    /// The id of the last block that had one and is complete, whether or not it was an event:
    /// what to send as `Last-Event-ID`. Empty when there was none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.last_id.as_str()
    }

    /// Sets the last event id, as if a block with that `id` had been read.
    pub fn set_last_event_id(&mut self, id: crate::EventId<'_>) {
        self.last_id.set(id.as_str());
    }

    /// The reconnection time as the stream last set it.
    #[must_use]
    pub const fn retry(&self) -> Option<Duration> {
        self.reconnection.time()
    }

    /// Makes ready for a new connection: whatever of the old one is unfinished is discarded, and a
    /// byte-order mark may come again. The last event id and the reconnection time stay.
    pub fn reset(&mut self) {
        self.tokens = Tokens::new();
        self.last_id.discard_uncommitted();
        self.forget_block();
    }

    /// How many bytes the buffers hold on to, used or not: what a bound on memory is checked by.
    #[cfg(any(test, fuzzing))]
    #[doc(hidden)]
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        let text = self.repaired.data.capacity() + self.repaired.event_type.capacity();
        self.data.capacity() + self.event_type.capacity() + self.last_id.retained_bytes() + text
    }

    /// Processes a field's value, or a part of one.
    #[inline]
    fn value<'i>(
        &mut self,
        block: &mut Borrowed<'i>,
        field: Field,
        bytes: &'i [u8],
        starts: bool,
        ends: bool,
    ) -> Result<(), DecodeError> {
        match field {
            Field::Retry => {
                self.reconnection.read(bytes, starts, ends);
                return Ok(());
            }
            Field::Id => self.last_id.read(bytes, starts, ends, self.limit),
            Field::Data | Field::Event => {}
        }
        if self.skipping {
            return Ok(());
        }
        self.size = self.size.saturating_add(bytes.len() + usize::from(starts));
        if self.size > self.limit {
            *block = Borrowed::default();
            self.forget_block();
            self.skipping = true;
            return Err(DecodeError::TooLarge { limit: self.limit });
        }
        match field {
            Field::Data if starts && ends && block.data.is_none() && self.data.is_empty() => {
                block.data = Some(bytes);
            }
            Field::Data => {
                self.keep_data(block.data.take());
                self.data.extend_from_slice(bytes);
                if ends {
                    self.data.push(b'\n');
                }
            }
            Field::Event if starts && ends => block.event_type = Some(bytes),
            Field::Event => {
                block.event_type = None;
                if starts {
                    self.event_type.clear();
                }
                self.event_type.extend_from_slice(bytes);
            }
            Field::Id | Field::Retry => {}
        }
        Ok(())
    }

    /// Lends the finished block out as a message.
    #[inline]
    fn dispatch<'d, 'i: 'd>(&'d mut self, block: Borrowed<'i>) -> Message<'d> {
        self.lent = true;
        let data = match block.data {
            Some(line) => line,
            // Without the last LF: the standard joins lines, and buffers them with one LF each.
            None => &self.data[..self.data.len() - 1],
        };
        let event_type = block.event_type.unwrap_or(&self.event_type);
        let (data, data_repaired) = text(data, &mut self.repaired.data);
        let (event_type, type_repaired) = text(event_type, &mut self.repaired.event_type);
        Message {
            event_type: if event_type.is_empty() {
                "message"
            } else {
                event_type
            },
            data,
            last_event_id: self.last_id.as_str(),
            repaired: data_repaired || type_repaired,
        }
    }

    /// Copies what the unfinished block borrows from an input that ends here.
    fn keep(&mut self, block: Borrowed<'_>) {
        self.keep_data(block.data);
        if let Some(event_type) = block.event_type {
            self.event_type.clear();
            self.event_type.extend_from_slice(event_type);
        }
    }

    fn keep_data(&mut self, line: Option<&[u8]>) {
        if let Some(line) = line {
            self.data.extend_from_slice(line);
            self.data.push(b'\n');
        }
    }

    #[inline]
    fn forget_block(&mut self) {
        self.data.clear();
        self.event_type.clear();
        self.size = 0;
        self.skipping = false;
        self.lent = false;
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// One event as it arrived, lent by the [`Decoder`] until its next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'d> {
    event_type: &'d str,
    data: &'d str,
    last_event_id: &'d str,
    repaired: bool,
}

impl<'d> Message<'d> {
    /// The event's type, `message` when it names none; never empty.
    #[must_use]
    pub const fn event_type(&self) -> &'d str {
        self.event_type
    }

    /// The event's data, its lines joined with LF.
    #[must_use]
    pub const fn data(&self) -> &'d str {
        self.data
    }

    /// The last event id as of this event: its own, or else that of a block before; empty when
    /// there was none.
    #[must_use]
    pub const fn last_event_id(&self) -> &'d str {
        self.last_event_id
    }

    /// Whether type or data were not UTF-8, and ill-formed parts of them are U+FFFD now.
    ///
    /// A browser does not tell; who takes in what others will read may refuse such an event.
    #[must_use]
    pub const fn is_repaired(&self) -> bool {
        self.repaired
    }
}

/// Why an event could not be read. The decoder remains usable and goes on after that event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The event is larger than the decoder's limit, and is lost.
    #[error("event larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

const DEFAULT_LIMIT: usize = 1 << 20;

/// What of the current block lies in the input of this call, complete.
#[derive(Debug, Clone, Copy, Default)]
struct Borrowed<'i> {
    /// The one data line so far; none is in the decoder's buffer then.
    data: Option<&'i [u8]>,
    /// The last event line; it overrides the decoder's buffer.
    event_type: Option<&'i [u8]>,
}

/// Room for text with ill-formed parts replaced.
#[derive(Debug, Clone)]
struct Repaired {
    data: String,
    event_type: String,
}

impl Repaired {
    const fn new() -> Self {
        Self {
            data: String::new(),
            event_type: String::new(),
        }
    }
}

/// `bytes` as text: themselves where they are UTF-8, else repaired in `room`; and whether so.
#[inline]
fn text<'d>(bytes: &'d [u8], room: &'d mut String) -> (&'d str, bool) {
    if let Ok(text) = str::from_utf8(bytes) {
        return (text, false);
    }
    room.clear();
    push_repaired(room, bytes);
    (room, true)
}

/// Appends `bytes` to `room`, with U+FFFD for each maximal ill-formed part.
///
/// Line by line or whole makes no difference: an ASCII byte, and so a line end, is never part of
/// an ill-formed sequence.
#[cold]
fn push_repaired(room: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        room.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            room.push(char::REPLACEMENT_CHARACTER);
        }
    }
}
