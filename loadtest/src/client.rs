//! Connections of our own: one TCP socket each, with TLS where the target asks for it, and one protocol on top.
//!
//! No pooled client: which connection carries which stream, and when it breaks, is what is measured.

mod h1;
mod h2;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};
use tokio_rustls::TlsConnector;

use crate::target::{Protocol, Target};
use crate::tls;
pub(crate) use socket::Line;
use socket::Socket;

/// From the first SYN to the end of the HTTP handshake.
const PATIENCE: Duration = Duration::from_secs(20);

/// Opens connections to one target. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    target: Target,
    addresses: Arc<[SocketAddr]>,
    handshakes: Arc<Semaphore>,
}

/// One connection, ready for requests with bodies of type `B`. Clones share it on HTTP/2.
pub(crate) struct Connection<B> {
    sender: Sender<B>,
    line: Arc<Line>,
}

enum Sender<B> {
    Http1(hyper::client::conn::http1::SendRequest<B>),
    Http2(hyper::client::conn::http2::SendRequest<B>, h2::Allowed),
}

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

/// Why there is no connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name is unknown.
    #[error("cannot resolve '{host}': {source}; check the host name in the URL")]
    Resolve {
        /// The host as the URL names it.
        host: String,
        /// The resolver's reason.
        source: io::Error,
    },
    /// No address of the host accepts.
    #[error("cannot connect to {authority}: {source}{}", advice(source))]
    Connect {
        /// Host and port.
        authority: String,
        /// The last address' reason.
        source: io::Error,
    },
    /// TLS failed.
    #[error(
        "TLS with {authority} failed: {source}; a certificate of one's own needs --cacert FILE or --insecure"
    )]
    Tls {
        /// Host and port.
        authority: String,
        /// What rustls says.
        source: io::Error,
    },
    /// The server agreed to another protocol, or to none.
    #[error(
        "{authority} does not speak {protocol} over TLS (ALPN); choose another with --http1.1 or --http2"
    )]
    Protocol {
        /// Host and port.
        authority: String,
        /// What was asked for.
        protocol: Protocol,
    },
    /// HTTP itself did not start.
    #[error("{protocol} with {authority} did not start: {source}")]
    Http {
        /// Host and port.
        authority: String,
        /// What was asked for.
        protocol: Protocol,
        /// hyper's reason.
        source: hyper::Error,
    },
    /// All that took too long.
    #[error("no connection to {authority} within {} s", PATIENCE.as_secs())]
    Slow {
        /// Host and port.
        authority: String,
    },
}

impl Connector {
    /// Looks the target's addresses up, once. At most `at_once` connections are in the making at any time.
    pub(crate) async fn resolve(target: Target, at_once: usize) -> Result<Self, ConnectError> {
        let unresolved = |source| ConnectError::Resolve {
            host: target.host().to_owned(),
            source,
        };
        // RFC 6761, section 6.3: names under `localhost` are this machine's, which not every resolver knows.
        let host = target.host();
        let host = if host.ends_with(".localhost") {
            "localhost"
        } else {
            host
        };
        let addresses: Arc<[SocketAddr]> = tokio::net::lookup_host((host, target.port()))
            .await
            .map_err(unresolved)?
            .collect();
        if addresses.is_empty() {
            return Err(unresolved(io::Error::new(
                io::ErrorKind::NotFound,
                "no address",
            )));
        }
        let handshakes = Arc::new(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)));
        Ok(Self {
            target,
            addresses,
            handshakes,
        })
    }

    /// Opens a connection.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened so far.
    pub(crate) async fn connect<B>(&self) -> Result<Connection<B>, ConnectError>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Unpin
            + Send
            + 'static,
    {
        let _permit = self
            .handshakes
            .acquire()
            .await
            .expect("the semaphore is never closed");
        tokio::time::timeout(PATIENCE, self.shake_hands())
            .await
            .unwrap_or_else(|_| {
                Err(ConnectError::Slow {
                    authority: self.target.authority(),
                })
            })
    }

    async fn shake_hands<B>(&self) -> Result<Connection<B>, ConnectError>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Unpin
            + Send
            + 'static,
    {
        let authority = || self.target.authority();
        let (protocol, line) = (self.target.protocol(), Arc::new(Line::default()));
        let stream = self.dial().await.map_err(|source| ConnectError::Connect {
            authority: authority(),
            source,
        })?;
        let socket = Socket::new(stream, Arc::clone(&line));
        let sender = match self.target.tls() {
            None => Sender::begin(protocol, socket).await,
            Some(secure) => {
                let connector = TlsConnector::from(Arc::clone(&secure.config));
                let socket = match connector.connect(secure.name.clone(), socket).await {
                    Ok(socket) => socket,
                    Err(error) if tls::is_protocol_refusal(&error) => {
                        return Err(ConnectError::Protocol {
                            authority: authority(),
                            protocol,
                        });
                    }
                    Err(source) => {
                        return Err(ConnectError::Tls {
                            authority: authority(),
                            source,
                        });
                    }
                };
                let agreed = socket.get_ref().1.alpn_protocol();
                // A server may leave ALPN unanswered (RFC 7301, section 3.2); it speaks HTTP/1.1 then.
                if agreed != Some(tls::alpn(protocol))
                    && !(agreed.is_none() && protocol == Protocol::Http1)
                {
                    return Err(ConnectError::Protocol {
                        authority: authority(),
                        protocol,
                    });
                }
                Sender::begin(protocol, socket).await
            }
        };
        let sender = sender.map_err(|source| ConnectError::Http {
            authority: authority(),
            protocol,
            source,
        })?;
        Ok(Connection { sender, line })
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        let mut failure = None;
        for address in self.addresses.iter() {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("resolve() refuses an empty list of addresses"))
    }
}

impl<B> Sender<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Unpin
        + Send
        + 'static,
{
    async fn begin<T>(protocol: Protocol, socket: T) -> Result<Self, hyper::Error>
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        Ok(match protocol {
            Protocol::Http1 => Self::Http1(h1::handshake(socket).await?),
            Protocol::Http2 => {
                let (sender, allowed) = h2::handshake(socket).await?;
                Self::Http2(sender, allowed)
            }
        })
    }
}

impl<B: Body + 'static> Connection<B> {
    /// Sends a request and waits for the head of its response.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the request.
    pub(crate) async fn send(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender, _) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Whether a further request can only fail.
    pub(crate) fn is_closed(&self) -> bool {
        self.line.is_cut()
            || match &self.sender {
                Sender::Http1(sender) => sender.is_closed(),
                Sender::Http2(sender, _) => sender.is_closed(),
            }
    }

    /// How many streams the server allows on an HTTP/2 connection; 100 until it has said so.
    pub(crate) fn most_streams(&self) -> Option<usize> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(_, allowed) => Some(allowed.streams()),
        }
    }

    /// The socket's handle for cutting it.
    pub(crate) fn line(&self) -> &Arc<Line> {
        &self.line
    }
}

impl<B> std::fmt::Debug for Connection<B> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
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

    /// The connection for the next stream from this seat.
    pub(crate) async fn connection(&self) -> Result<Connection<Empty<Bytes>>, ConnectError> {
        match self {
            Self::Own(connector) => connector.connect().await,
            Self::Shared(row) => row.connection().await,
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

impl Connection<Empty<Bytes>> {
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

/// What to do about an error that its text alone does not explain.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "; is the server running, and on this port?",
        // EMFILE and ENFILE have no kind of their own yet.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => {
            "; raise the limit of open files (ulimit -n)"
        }
        _ => "",
    }
}
