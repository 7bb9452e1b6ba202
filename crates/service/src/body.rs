//! The body of an event stream: whatever its source has, a heartbeat when it has nothing, and an end
//! that says how it ended.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, mem};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use rand::RngExt;
use thiserror::Error;
use wellspring_event::{HEARTBEAT, Retry};

use crate::channel::Receiver;
use crate::heartbeat::{Due, Heartbeat};
use crate::log::End;
use crate::reader::{Next, Reader};

/// The body of an event stream.
///
/// It yields no frame that is empty, and no event in parts. Dropping it frees its reader at once.
pub struct EventBody {
    source: Source,
    heartbeat: Heartbeat,
    retry: Option<Retries>,
    // What it delivered. (A `Delivered` in here would cost eight bytes more.)
    events: u64,
    bytes: u64,
    outcome: Outcome,
    /// Whether the first bytes went out.
    opened: bool,
    /// Whether the server had a turn to write after the last frame.
    flushed: bool,
    ending: Option<Box<dyn FnOnce(Delivered) + Send + Sync>>,
}

/// How an event stream behaves on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamOptions {
    /// The longest silence, from 1 ms to 49 days: then the line `:` is sent. Each silence is shortened
    /// by up to a quarter at random. Default 10 s; `None` for never, which leaves proxies and half-open
    /// peers to guess.
    pub heartbeat: Option<Duration>,
    /// The reconnection time that the client is told, drawn from this range, in the first event's
    /// block. Browsers come back without jitter of their own: this is all that spreads them.
    /// Default 1 s to 4 s; `None` leaves the client its own (3 s in Chromium, 5 s in Firefox).
    pub retry: Option<RangeInclusive<Duration>>,
    /// How long a stream may live, shortened by up to a quarter at random; it ends between two
    /// events, and the client comes back. Default none.
    pub max_age: Option<Duration>,
}

/// What a stream delivered, told when it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Events handed out, gaps among them.
    pub events: u64,
    /// Bytes handed out.
    pub bytes: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// By its source.
    Ended(End),
    /// By its age.
    Expired,
    /// By the client, or by whatever is between it and us.
    Left,
}

/// The stream broke: its producer failed, so its end must not look like one.
///
/// A server that gets this from a body cuts the response: no final chunk on HTTP/1.1, `RST_STREAM`
/// on HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the producer of this stream failed")]
pub struct Broken;

#[derive(Debug)]
enum Source {
    Reader(Reader),
    Channel(Receiver),
    Bytes(Bytes),
    Done,
}

impl EventBody {
    /// A body over a reader.
    #[must_use]
    pub fn new(reader: impl Into<Reader>, options: StreamOptions) -> Self {
        Self::over(Source::Reader(reader.into()), options)
    }

    /// A body that is these bytes and then ends: an error's text, or nothing.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let (source, outcome) = if bytes.is_empty() {
            (Source::Done, Outcome::Ended(End::Complete))
        } else {
            (Source::Bytes(bytes), Outcome::Left)
        };
        let nothing = StreamOptions::default()
            .with_heartbeat(None)
            .with_retry(None);
        let mut body = Self::over(source, nothing);
        body.outcome = outcome;
        body.opened = true;
        body
    }

    /// Calls `ending` once, when the stream is over, however it ended.
    #[must_use]
    pub fn on_end(mut self, ending: impl FnOnce(Delivered) + Send + Sync + 'static) -> Self {
        self.ending = Some(Box::new(ending));
        self
    }

    /// What was handed out so far, and how it ended, if it has.
    #[must_use]
    pub fn delivered(&self) -> Delivered {
        Delivered {
            events: self.events,
            bytes: self.bytes,
            outcome: self.outcome,
        }
    }

    pub(crate) fn channel(receiver: Receiver, options: StreamOptions) -> Self {
        Self::over(Source::Channel(receiver), options)
    }

    fn over(source: Source, options: StreamOptions) -> Self {
        let StreamOptions {
            heartbeat,
            retry,
            max_age,
        } = options;
        Self {
            source,
            heartbeat: Heartbeat::new(heartbeat, max_age),
            retry: retry.map(Retries::of),
            events: 0,
            bytes: 0,
            outcome: Outcome::Left,
            opened: false,
            flushed: true,
            ending: None,
        }
    }

    fn frame(&mut self, bytes: Bytes, events: u32) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.heartbeat.traffic();
        self.flushed = false;
        self.events += u64::from(events);
        self.bytes += bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    /// Takes the end that the source said, or the one that age says.
    fn end(&mut self, outcome: Outcome) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        // The reader goes now: the server may keep the body until its last byte is written.
        self.source = Source::Done;
        self.outcome = outcome;
        match outcome {
            Outcome::Ended(End::Failed) => Poll::Ready(Some(Err(Broken))),
            Outcome::Ended(End::Drained) => match self.retry {
                Some(retry) => self.frame(retry.line(), 0),
                None => Poll::Ready(None),
            },
            Outcome::Ended(_) | Outcome::Expired | Outcome::Left => Poll::Ready(None),
        }
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if !mem::replace(&mut this.opened, true) {
            return this.frame(opening(this.retry), 0);
        }
        if this.heartbeat.is_overdue() && !matches!(this.source, Source::Done) {
            return this.end(Outcome::Expired);
        }
        let next = match &mut this.source {
            Source::Reader(reader) => reader.poll_next(cx),
            Source::Channel(receiver) => receiver.poll_next(cx),
            Source::Bytes(bytes) => {
                let bytes = mem::take(bytes);
                this.source = Source::Done;
                this.outcome = Outcome::Ended(End::Complete);
                return this.frame(bytes, 0);
            }
            Source::Done => return Poll::Ready(None),
        };
        match next {
            Poll::Ready(Next::Events { bytes, events }) => this.frame(bytes, events),
            Poll::Ready(Next::Gap(gap)) => this.frame(gap.to_bytes(), 1),
            // A server that gets an error drops what it has not written: first let it write the frames
            // that it was given in this turn.
            Poll::Ready(Next::End(End::Failed)) if !this.flushed => {
                this.flushed = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Next::End(end)) => this.end(Outcome::Ended(end)),
            Poll::Pending => match this.heartbeat.poll(cx) {
                Poll::Ready(Due::Beat) => this.frame(Bytes::from_static(HEARTBEAT), 0),
                Poll::Ready(Due::Expired) => this.end(Outcome::Expired),
                Poll::Pending => {
                    this.flushed = true;
                    Poll::Pending
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Done => SizeHint::with_exact(0),
            Source::Reader(_) | Source::Channel(_) => SizeHint::default(),
        }
    }
}

impl Drop for EventBody {
    fn drop(&mut self) {
        if let Some(ending) = self.ending.take() {
            ending(self.delivered());
        }
    }
}

impl fmt::Debug for EventBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBody")
            .field("source", &self.source)
            .field("delivered", &self.delivered())
            .finish_non_exhaustive()
    }
}

impl StreamOptions {
    /// The longest silence.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: impl Into<Option<Duration>>) -> Self {
        self.heartbeat = heartbeat.into();
        self
    }

    /// The reconnection time that clients are told.
    #[must_use]
    pub fn with_retry(mut self, retry: impl Into<Option<RangeInclusive<Duration>>>) -> Self {
        self.retry = retry.into();
        self
    }

    /// How long a stream may live.
    #[must_use]
    pub fn with_max_age(mut self, max_age: impl Into<Option<Duration>>) -> Self {
        self.max_age = max_age.into();
        self
    }

    pub(crate) fn retry_line(&self) -> Option<Bytes> {
        Some(Retries::of(self.retry.clone()?).line())
    }
}

/// The range of reconnection times, in milliseconds: a `u32` of them are 49 days.
#[derive(Debug, Clone, Copy)]
struct Retries {
    shortest: u32,
    longest: u32,
}

impl Retries {
    fn of(range: RangeInclusive<Duration>) -> Self {
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let (shortest, longest) = range.into_inner();
        let (shortest, longest) = (millis(shortest), millis(longest));
        Self {
            shortest,
            longest: longest.max(shortest),
        }
    }

    fn line(self) -> Bytes {
        let chosen = rand::rng().random_range(self.shortest..=self.longest);
        Retry::new(Duration::from_millis(chosen.into())).to_bytes()
    }
}

/// A comment, so that headers and first bytes leave at once; and the reconnection time, which is the
/// first line of the first event's block, however long that takes to come.
fn opening(retry: Option<Retries>) -> Bytes {
    match retry.map(Retries::line) {
        None => Bytes::from_static(HEARTBEAT),
        Some(line) => {
            let mut opening = BytesMut::with_capacity(HEARTBEAT.len() + line.len());
            opening.put_slice(HEARTBEAT);
            opening.put_slice(&line);
            opening.freeze()
        }
    }
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            heartbeat: Some(Duration::from_secs(10)),
            retry: Some(Duration::from_secs(1)..=Duration::from_secs(4)),
            max_age: None,
        }
    }
}

#[cfg(test)]
mod tests;
