//! Where subscribers sit, and the streams that they are given there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{ConnectError, Connection, Connector, Head, Line, Sender, Taken, h1};
use crate::subscriber::chain;
use crate::target::Protocol;

/// A place on which subscribers sit: it gives them the connection that their next stream goes over.
#[derive(Clone, Debug)]
pub(crate) enum Seat {
    /// A fresh connection for every stream.
    Own(Connector),
    /// The connection of this row; a fresh one when that is broken.
    Shared(Arc<Row>),
}

/// The HTTP/2 connection that the subscribers of one row share.
#[derive(Debug)]
pub(crate) struct Row {
    connector: Connector,
    live: Mutex<Option<Connection<Empty<Bytes>>>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) head: Head,
    pub(crate) stream: Stream,
    /// From the request to the head.
    pub(crate) answered: Duration,
}

/// An open stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Http1(h1::Stream),
    Http2 {
        body: Incoming,
        /// The connection lives as long as any stream's.
        connection: Connection<Empty<Bytes>>,
    },
}

/// Why there is no open stream.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// The network or the server failed.
    Unanswered(String),
    /// A neighbour cut the connection just then.
    CutAlong,
}

impl Seat {
    /// Seats for `subscribers` streams, `per_connection` of them to a connection.
    pub(crate) fn arrange(
        connector: &Connector,
        subscribers: usize,
        per_connection: usize,
    ) -> Vec<Self> {
        match connector.target.protocol() {
            Protocol::Http1 => vec![Self::Own(connector.clone()); subscribers],
            Protocol::Http2 => {
                let row = || Row {
                    connector: connector.clone(),
                    live: Mutex::new(None),
                };
                let rows: Vec<_> = (0..subscribers.div_ceil(per_connection))
                    .map(|_| Arc::new(row()))
                    .collect();
                (0..subscribers)
                    .map(|index| Self::Shared(Arc::clone(&rows[index / per_connection])))
                    .collect()
            }
        }
    }

    /// Sends a request over the connection that is next from this seat.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request.
    pub(crate) async fn open(&self, request: Request<Empty<Bytes>>) -> Result<Opened, NotOpened> {
        match self {
            Self::Own(connector) => {
                let transport = connector.reach().await?;
                let line = Arc::clone(transport.line());
                let asked = Instant::now();
                match h1::open(transport, &request).await {
                    Ok((head, stream)) => {
                        let stream = Stream::Http1(stream);
                        Ok(Opened {
                            head,
                            stream,
                            answered: asked.elapsed(),
                        })
                    }
                    Err(_) if line.is_cut() => Err(NotOpened::CutAlong),
                    Err(error) => Err(NotOpened::Unanswered(chain(&error))),
                }
            }
            Self::Shared(row) => {
                let mut connection = row.connection().await?;
                let asked = Instant::now();
                match connection.send(request).await {
                    Ok(response) => {
                        let (parts, body) = response.into_parts();
                        let head = Head {
                            status: parts.status,
                            headers: parts.headers,
                        };
                        let stream = Stream::Http2 { body, connection };
                        Ok(Opened {
                            head,
                            stream,
                            answered: asked.elapsed(),
                        })
                    }
                    Err(_) if connection.line().is_cut() => Err(NotOpened::CutAlong),
                    Err(error) => Err(NotOpened::Unanswered(chain(&error))),
                }
            }
        }
    }
}

impl Stream {
    /// Waits for bytes of the body and hands them to `take`, which may be called several times; until it returns
    /// something.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn read<R>(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Option<R>,
    ) -> io::Result<Taken<R>> {
        match self {
            Self::Http1(stream) => stream.read(take).await,
            Self::Http2 { body, .. } => match body.frame().await {
                None => Ok(Taken::Ended),
                Some(Err(error)) => Err(io::Error::other(error)),
                Some(Ok(frame)) => Ok(frame
                    .data_ref()
                    .and_then(|data| take(data))
                    .map_or(Taken::All, Taken::Stopped)),
            },
        }
    }

    /// The socket's handle for cutting it.
    pub(crate) fn line(&self) -> &Arc<Line> {
        match self {
            Self::Http1(stream) => stream.line(),
            Self::Http2 { connection, .. } => connection.line(),
        }
    }
}

impl Row {
    /// Whoever comes first after a break opens the new connection; the others wait for it at the lock.
    async fn connection(&self) -> Result<Connection<Empty<Bytes>>, ConnectError> {
        let mut live = self.live.lock().await;
        if let Some(connection) = live.as_ref().filter(|connection| !connection.is_closed())
            && let Some(shared) = connection.share()
        {
            return Ok(shared);
        }
        let fresh: Connection<_> = self.connector.connect().await?;
        *live = fresh.share();
        Ok(fresh)
    }
}

impl<B> Connection<B> {
    /// A second handle on an HTTP/2 connection.
    pub(crate) fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender, allowed) => Some(Self {
                sender: Sender::Http2(sender.clone(), allowed.clone()),
                line: Arc::clone(&self.line),
            }),
        }
    }
}

impl From<ConnectError> for NotOpened {
    fn from(error: ConnectError) -> Self {
        Self::Unanswered(chain(&error))
    }
}
