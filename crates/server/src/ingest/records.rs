//! What a body says, record by record, as it comes: lines of NDJSON, or blocks of an event stream.

use std::pin::Pin;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use wellspring::event::{Decoder, Message};

use super::lines::Lines;
use super::{next_data, too_large};
use crate::problem::Problem;

/// The records of a body that comes in pieces.
#[derive(Debug)]
pub(crate) struct Records<'b, B> {
    body: Pin<&'b mut B>,
    split: Split,
    ended: bool,
}

/// One record.
#[derive(Debug)]
pub(crate) enum Record<'r> {
    /// A line that is not blank, and its number, from 1.
    Line(u64, Bytes),
    /// An event, in UTF-8.
    Block(Message<'r>),
}

#[derive(Debug)]
enum Split {
    Lines(Lines),
    Blocks(Box<Blocks>),
}

#[derive(Debug)]
struct Blocks {
    decoder: Decoder,
    data: Bytes,
    /// How much of `data` was decoded.
    read: usize,
    /// How many blocks were given out.
    count: u64,
}

impl<'b, B: Body<Data = Bytes>> Records<'b, B> {
    /// A JSON object a line, none longer than `longest` bytes.
    pub(crate) fn lines(body: Pin<&'b mut B>, longest: usize) -> Self {
        Self {
            body,
            split: Split::Lines(Lines::new(longest)),
            ended: false,
        }
    }

    /// An event a block, none longer than `longest` bytes.
    pub(crate) fn blocks(body: Pin<&'b mut B>, longest: usize) -> Self {
        Self {
            body,
            split: Split::Blocks(Box::new(Blocks {
                decoder: Decoder::with_limit(longest),
                data: Bytes::new(),
                read: 0,
                count: 0,
            })),
            ended: false,
        }
    }

    /// The next record of what has arrived.
    ///
    /// # Errors
    ///
    /// 413 for one that is too long, 400 for one that is not UTF-8.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>, Problem> {
        match &mut self.split {
            Split::Lines(lines) => next_line(lines, self.ended),
            Split::Blocks(blocks) => blocks.next(),
        }
    }

    /// Waits for more of the body, when [`next`](Self::next) has given out all there is: whether there
    /// may be another record.
    ///
    /// # Errors
    ///
    /// When the body breaks off.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn fill(&mut self) -> Result<bool, Problem> {
        if self.ended {
            return Ok(false);
        }
        if let Split::Blocks(blocks) = &mut self.split {
            // All of it was read, and it pins the connection's buffer.
            (blocks.data, blocks.read) = (Bytes::new(), 0);
        }
        match (next_data(&mut self.body).await?, &mut self.split) {
            (None, _) => self.ended = true,
            (Some(more), Split::Lines(lines)) => lines.push(&more),
            (Some(more), Split::Blocks(blocks)) => blocks.data = more,
        }
        Ok(true)
    }
}

impl Blocks {
    fn next(&mut self) -> Result<Option<Record<'_>>, Problem> {
        let mut input = &self.data[self.read..];
        let message = self.decoder.decode(&mut input).map_err(|error| {
            let detail = format!("event {}: {error}", self.count + 1);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        })?;
        self.read = self.data.len() - input.len();
        let Some(message) = message else {
            return Ok(None);
        };
        self.count += 1;
        if message.is_repaired() {
            let detail = format!("event {} is not UTF-8", self.count);
            return Err(Problem::bad_request(detail));
        }
        Ok(Some(Record::Block(message)))
    }
}

fn next_line(lines: &mut Lines, ended: bool) -> Result<Option<Record<'static>>, Problem> {
    loop {
        let next = match lines.next() {
            None if ended => lines.finish(),
            next => next,
        };
        match next {
            Some(line) if line.trim_ascii().is_empty() => {}
            Some(line) => return Ok(Some(Record::Line(lines.number(), line))),
            None if lines.is_too_long() => {
                return Err(too_large("the line", lines.longest()).at_line(lines.number() + 1));
            }
            None => return Ok(None),
        }
    }
}
