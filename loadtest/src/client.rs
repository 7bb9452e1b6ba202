//! Connections of our own: one TCP socket each, with TLS where the target asks for it, and one protocol on top.
//!
//! No pooled client: which connection carries which stream, and when it breaks, is what is measured.

mod dial;
mod h1;
mod h2;
mod seat;
mod socket;
mod transport;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use thiserror::Error;
use tokio_rustls::TlsConnector;

use crate::target::{Protocol, Target};
use crate::tls;
pub use dial::Dialling;
use dial::Turns;
pub(crate) use seat::{NotOpened, Opened, Seat, Stream};
use socket::Socket;
pub(crate) use socket::{Line, Wire};
use transport::Transport;

/// From the first SYN to the end of the HTTP handshake.
const PATIENCE: Duration = Duration::from_secs(20);

/// Opens connections to one target. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    target: Target,
    addresses: Arc<[SocketAddr]>,
    turns: Arc<Turns>,
    wire: Arc<Wire>,
    window: Option<u32>,
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

/// What became of a `read`.
#[derive(Debug)]
pub(crate) enum Taken<R> {
    /// All that had arrived was taken.
    All,
    /// The taker stopped it.
    Stopped(R),
    /// The body has ended in good order.
    Ended,
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
    #[error("TLS with {authority} failed: {source}{}", tls::advice(source))]
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
    /// Looks the target's addresses up, once.
    pub(crate) async fn resolve(target: Target, dialling: Dialling) -> Result<Self, ConnectError> {
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
        Ok(Self {
            target,
            addresses,
            window: dialling.receive_buffer,
            turns: Arc::new(Turns::new(dialling)),
            wire: Arc::new(Wire::new()),
        })
    }

    /// What has crossed all sockets of this connector and its clones.
    pub(crate) fn wire(&self) -> &Arc<Wire> {
        &self.wire
    }

    /// Opens a connection for requests with bodies.
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
        let transport = self.reach().await?;
        let line = Arc::clone(transport.line());
        let protocol = self.target.protocol();
        let sender = Sender::begin(protocol, transport, self.window)
            .await
            .map_err(|source| ConnectError::Http {
                authority: self.target.authority(),
                protocol,
                source,
            })?;
        Ok(Connection { sender, line })
    }

    /// Opens a socket on which the target's protocol can begin.
    async fn reach(&self) -> Result<Transport, ConnectError> {
        let _turn = self.turns.take().await;
        tokio::time::timeout(PATIENCE, self.shake_hands())
            .await
            .unwrap_or_else(|_| {
                Err(ConnectError::Slow {
                    authority: self.target.authority(),
                })
            })
    }

    async fn shake_hands(&self) -> Result<Transport, ConnectError> {
        let authority = || self.target.authority();
        let protocol = self.target.protocol();
        let stream =
            self.turns
                .dial(&self.addresses)
                .await
                .map_err(|source| ConnectError::Connect {
                    authority: authority(),
                    source,
                })?;
        let socket = Socket::new(stream, self.wire.line());
        let Some(secure) = self.target.tls() else {
            return Ok(Transport::Plain(socket));
        };
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
        if agreed != Some(tls::alpn(protocol)) && !(agreed.is_none() && protocol == Protocol::Http1)
        {
            return Err(ConnectError::Protocol {
                authority: authority(),
                protocol,
            });
        }
        Ok(Transport::Tls(Box::new(socket)))
    }
}

impl<B> Sender<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Unpin
        + Send
        + 'static,
{
    async fn begin(
        protocol: Protocol,
        transport: Transport,
        window: Option<u32>,
    ) -> Result<Self, hyper::Error> {
        Ok(match protocol {
            Protocol::Http1 => Self::Http1(h1::handshake(transport).await?),
            Protocol::Http2 => {
                let (sender, allowed) = h2::handshake(transport, window).await?;
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

/// What to do about an error that its text alone does not explain.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "; is the server running, and on this port?",
        io::ErrorKind::AddrNotAvailable => {
            "; out of local ports: name further addresses of this machine with --source-address"
        }
        // EMFILE and ENFILE have no kind of their own yet.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => {
            "; raise the limit of open files (ulimit -n)"
        }
        _ => "",
    }
}
