//! HTTP/1.1: the connection is the stream.
//!
//! Subscribers read it without hyper: one task instead of two and no channel between them, and every read of a thread
//! goes into one buffer, out of which the events are taken on the spot. An event costs one `read` and no allocation.

mod chunked;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::ready;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Empty;
use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::socket::Line;
use super::transport::Transport;
use super::{Head, Taken};
use chunked::Chunked;

/// What one `read` takes at most: a socket's usual receive buffer holds no more than a few of them.
const SCRATCH: usize = 64 << 10;

/// The largest head of an answer, and the most header fields: hyper's own limits are of this size.
const HEAD: usize = 64 << 10;
const FIELDS: usize = 100;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// An answer's body, on its connection.
#[derive(Debug)]
pub(crate) struct Stream {
    transport: Transport,
    framing: Framing,
    /// Came along with the head.
    ahead: Vec<u8>,
}

/// How the body's end is known (RFC 9112, section 6.3).
#[derive(Debug)]
enum Framing {
    Chunked(Chunked),
    Length(u64),
    UntilClose,
}

/// Starts HTTP/1.1 on a connected socket, by hyper: for requests that have bodies.
pub(super) async fn handshake<B>(socket: Transport) -> Result<SendRequest<B>, hyper::Error>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    // How it ends, the response's body tells.
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends a request without a body and reads the head of its answer.
pub(super) async fn open(
    mut transport: Transport,
    request: &Request<Empty<Bytes>>,
) -> io::Result<(Head, Stream)> {
    transport.write_all(&written(request)).await?;
    transport.flush().await?;
    let mut bytes = Vec::new();
    let (head, length) = loop {
        if let Some(parsed) = parse(&bytes)? {
            break parsed;
        }
        if bytes.len() > HEAD {
            return Err(invalid("the head of the answer has no end"));
        }
        if transport.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection without an answer",
            ));
        }
    };
    let framing = Framing::of(&head.headers)?;
    let ahead = bytes.split_off(length);
    Ok((
        head,
        Stream {
            transport,
            framing,
            ahead,
        },
    ))
}

impl Stream {
    pub(super) fn line(&self) -> &Arc<Line> {
        self.transport.line()
    }

    /// Waits for bytes and hands the body's part of them to `take`, which may be called several times; until it
    /// returns something.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(super) async fn read<R>(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Option<R>,
    ) -> io::Result<Taken<R>> {
        if !self.ahead.is_empty() {
            let ahead = std::mem::take(&mut self.ahead);
            return self.framing.unwrap(&ahead, &mut take);
        }
        if matches!(self.framing, Framing::Length(0)) {
            return Ok(Taken::Ended);
        }
        poll_fn(|context| {
            BUFFER.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                ready!(Pin::new(&mut self.transport).poll_read(context, &mut buffer))?;
                let taken = if buffer.filled().is_empty() {
                    self.framing.closed()
                } else {
                    self.framing.unwrap(buffer.filled(), &mut take)
                };
                std::task::Poll::Ready(taken)
            })
        })
        .await
    }
}

impl Framing {
    fn of(headers: &HeaderMap) -> io::Result<Self> {
        if let Some(coding) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
            return if coding
                .as_bytes()
                .trim_ascii()
                .eq_ignore_ascii_case(b"chunked")
            {
                Ok(Self::Chunked(Chunked::new()))
            } else {
                Err(invalid("the answer's transfer coding is not chunked"))
            };
        }
        match headers.get(CONTENT_LENGTH) {
            None => Ok(Self::UntilClose),
            Some(length) => length
                .to_str()
                .ok()
                .and_then(|length| length.trim().parse().ok())
                .map(Self::Length)
                .ok_or_else(|| invalid("the answer's content length is no number")),
        }
    }

    /// Hands on what of `bytes` is body.
    fn unwrap<R>(
        &mut self,
        mut bytes: &[u8],
        take: &mut impl FnMut(&[u8]) -> Option<R>,
    ) -> io::Result<Taken<R>> {
        match self {
            Self::UntilClose => Ok(take(bytes).map_or(Taken::All, Taken::Stopped)),
            Self::Length(left) => {
                let count =
                    usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= count as u64;
                Ok(take(&bytes[..count]).map_or(Taken::All, Taken::Stopped))
            }
            Self::Chunked(chunked) => {
                while let Some(data) = chunked.next(&mut bytes)? {
                    if let Some(result) = take(data) {
                        return Ok(Taken::Stopped(result));
                    }
                }
                Ok(if chunked.is_over() {
                    Taken::Ended
                } else {
                    Taken::All
                })
            }
        }
    }

    /// What it means that the server has closed the connection.
    fn closed<R>(&self) -> io::Result<Taken<R>> {
        match self {
            Self::UntilClose | Self::Length(0) => Ok(Taken::Ended),
            Self::Length(_) | Self::Chunked(_) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the body broke off",
            )),
        }
    }
}

/// The request as it crosses the wire.
fn written(request: &Request<Empty<Bytes>>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    write!(bytes, "{} {} HTTP/1.1\r\n", request.method(), request.uri())
        .expect("a Vec takes every write");
    for (name, value) in request.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The head and its length, once it is complete. Interim answers (1xx) are passed over by their length.
fn parse(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut skipped = 0;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(&bytes[skipped..]) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(invalid(&format!("the answer is not HTTP/1.1: {error}"))),
        };
        skipped += length;
        let status = response
            .code
            .and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or_else(|| invalid("the answer has no status"))?;
        if status.is_informational() {
            continue;
        }
        let mut headers = HeaderMap::with_capacity(response.headers.len());
        for field in &*response.headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(field.name.as_bytes()),
                HeaderValue::from_bytes(field.value),
            ) {
                headers.append(name, value);
            }
        }
        return Ok(Some((Head { status, headers }, skipped)));
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole_and_interim_ones_are_passed_over() {
        let text =
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nrest";
        for end in 0..text.len() - 4 {
            assert!(parse(&text[..end]).unwrap().is_none(), "{end}");
        }
        let (head, length) = parse(text).unwrap().unwrap();
        assert_eq!(
            (head.status, &head.headers["a"]),
            (StatusCode::OK, &HeaderValue::from_static("b"))
        );
        assert_eq!(&text[length..], b"rest");
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert!(parse(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 0 no\r\n\r\n").is_err());
    }

    #[test]
    fn a_length_ends_the_body() {
        let mut framing = Framing::Length(5);
        let mut body = Vec::new();
        let mut take = |data: &[u8]| {
            body.extend_from_slice(data);
            None::<()>
        };
        assert!(matches!(framing.unwrap(b"abc", &mut take), Ok(Taken::All)));
        assert!(framing.closed::<()>().is_err());
        assert!(matches!(
            framing.unwrap(b"defgh", &mut take),
            Ok(Taken::All)
        ));
        assert!(matches!(framing.closed::<()>(), Ok(Taken::Ended)));
        assert_eq!(body, b"abcde");
    }
}
