//! A stream for one client from one producer, without a log: nothing is kept, nothing can be resumed.
//!
//! The producer encodes into one buffer and the body takes all of it at once, so that a burst leaves
//! as one frame. When the buffer is full, sending waits: the client's slowness reaches the producer.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use thiserror::Error;
use wellspring_event::{Event, Measured};

use crate::body::{EventBody, StreamOptions};
use crate::log::End;
use crate::reader::Next;
use crate::sync::{Arc, Mutex};

/// A stream for one client: what is sent here comes out of the body there.
///
/// `capacity` is in bytes on the wire. One event that is larger goes alone.
#[must_use]
pub fn channel(capacity: usize, options: StreamOptions) -> (Sender, EventBody) {
    let pipe = Arc::new(Mutex::new(Pipe::default()));
    let sender = Sender {
        pipe: pipe.clone(),
        capacity,
    };
    (sender, EventBody::channel(Receiver { pipe }, options))
}

/// The producer's end. Dropping it without [`finish`](Self::finish) breaks the stream, because a
/// producer that vanished has not said everything.
#[derive(Debug)]
pub struct Sender {
    pipe: Arc<Mutex<Pipe>>,
    capacity: usize,
}

/// The client has gone: nobody will read what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the reader of this stream has gone")]
pub struct ReaderGone;

#[derive(Debug)]
pub(crate) struct Receiver {
    pipe: Arc<Mutex<Pipe>>,
}

#[derive(Debug, Default)]
struct Pipe {
    buffer: BytesMut,
    /// How many events are in the buffer.
    events: u32,
    end: Option<End>,
    reader_gone: bool,
    reader: Option<Waker>,
    sender: Option<Waker>,
}

impl Sender {
    /// Sends one event, when there is room for it.
    ///
    /// # Errors
    ///
    /// [`ReaderGone`]; the event was not sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it resolved sends nothing.
    pub async fn send(&mut self, event: &Event<'_>) -> Result<(), ReaderGone> {
        let event = event.measure();
        poll_fn(|cx| self.poll_send(cx, &event)).await
    }

    /// Resolves when the client has gone.
    ///
    /// # Cancel safety
    ///
    /// Can be dropped and called again.
    pub async fn closed(&mut self) {
        poll_fn(|cx| {
            let waker = cx.waker().clone();
            let mut pipe = self.pipe.lock();
            if pipe.reader_gone {
                return Poll::Ready(());
            }
            let old = pipe.sender.replace(waker);
            drop(pipe);
            drop(old);
            Poll::Pending
        })
        .await;
    }

    /// Ends the stream cleanly, after what was sent.
    pub fn finish(self) {
        self.end(End::Complete);
    }

    fn poll_send(
        &mut self,
        cx: &Context<'_>,
        event: &Measured<'_>,
    ) -> Poll<Result<(), ReaderGone>> {
        let len = event.encoded_len();
        let mut pipe = self.pipe.lock();
        if pipe.reader_gone {
            return Poll::Ready(Err(ReaderGone));
        }
        if !pipe.buffer.is_empty() && pipe.buffer.len() + len > self.capacity {
            let old = pipe.sender.replace(cx.waker().clone());
            drop(pipe);
            drop(old);
            return Poll::Pending;
        }
        pipe.buffer.reserve(len);
        event.encode(&mut pipe.buffer);
        pipe.events += 1;
        let reader = pipe.reader.take();
        drop(pipe);
        wake(reader);
        Poll::Ready(Ok(()))
    }

    fn end(&self, end: End) {
        let mut pipe = self.pipe.lock();
        pipe.end.get_or_insert(end);
        let reader = pipe.reader.take();
        drop(pipe);
        wake(reader);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.end(End::Failed);
    }
}

impl Receiver {
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Next> {
        let mut pipe = self.pipe.lock();
        if pipe.buffer.is_empty() {
            if let Some(end) = pipe.end {
                return Poll::Ready(Next::End(end));
            }
            let known = |reader: &Waker| reader.will_wake(cx.waker());
            if !pipe.reader.as_ref().is_some_and(known) {
                let old = pipe.reader.replace(cx.waker().clone());
                drop(pipe);
                drop(old);
            }
            return Poll::Pending;
        }
        let bytes = pipe.buffer.split().freeze();
        let events = std::mem::take(&mut pipe.events);
        let sender = pipe.sender.take();
        drop(pipe);
        wake(sender);
        Poll::Ready(Next::Events { bytes, events })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut pipe = self.pipe.lock();
        pipe.reader_gone = true;
        let reader = pipe.reader.take();
        let sender = pipe.sender.take();
        let buffer = std::mem::take(&mut pipe.buffer);
        drop(pipe);
        drop((reader, buffer));
        wake(sender);
    }
}

/// Wakes outside the lock: a waker may run its task right here. (For the same reason wakers are
/// dropped outside: the last reference to a task runs that task's destructors.)
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
