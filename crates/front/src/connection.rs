//! One connection: what is known of it, and its life from accept to goodbye.

mod ended;
mod opening;
mod panic;
mod session;

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

pub use ended::{EndReason, Ended};
pub(crate) use opening::Opened;
pub(crate) use panic::{CatchPanic, catch};
pub(crate) use session::{Answering, CountedBody, Requests, Session};

use crate::{
    application::Application,
    h1, h2,
    listener::Accepted,
    shard::{Seat, Shard},
};

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// As it begins a URL: `http` or `https`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl std::fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112), and HTTP/1.0 clients.
    Http1,
    /// HTTP/2 (RFC 9113).
    Http2,
}

impl Protocol {
    /// As a log line says it: `h1` or `h2`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "h1",
            Self::Http2 => "h2",
        }
    }
}

/// What is known of one connection. Lives as long as anybody holds it; its counters go on while the connection does.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connection {
    /// Unique within this process, counted from 1.
    pub id: u64,
    /// The other end's address.
    pub peer: SocketAddr,
    /// This end's address: the real one, also when the listener is bound to a wildcard.
    pub local: SocketAddr,
    /// Whether the connection is encrypted.
    pub scheme: Scheme,
    /// When it was accepted.
    pub accepted: Instant,
    /// The core that serves it, for life.
    pub shard: usize,
    protocol: OnceLock<Protocol>,
    read: AtomicU64,
    written: AtomicU64,
    writes: AtomicU64,
    requests: AtomicU64,
    in_flight: AtomicU32,
    long_lived: AtomicU32,
    peer_closed: AtomicBool,
    peer_reset: AtomicBool,
}

impl Connection {
    pub(crate) fn new(shard: usize, accepted: &Accepted, local: SocketAddr) -> Self {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: LAST_ID.fetch_add(1, Relaxed) + 1,
            peer: accepted.peer,
            local,
            scheme: accepted.scheme(),
            accepted: accepted.at,
            shard,
            protocol: OnceLock::new(),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            long_lived: AtomicU32::new(0),
            peer_closed: AtomicBool::new(false),
            peer_reset: AtomicBool::new(false),
        }
    }

    /// The protocol, once it is known: after ALPN on TLS, after the first bytes in plain text.
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol.get().copied()
    }

    /// Bytes that came off the socket so far, TLS records and HTTP framing included.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// Bytes that the socket has taken so far, TLS records and HTTP framing included.
    pub fn bytes_written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// System calls that these bytes took.
    pub fn writes(&self) -> u64 {
        self.writes.load(Relaxed)
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Requests whose responses have not ended yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed) as usize
    }

    /// Responses marked [`LongLived`](crate::LongLived) that are under way.
    pub fn long_lived(&self) -> usize {
        self.long_lived.load(Relaxed) as usize
    }

    pub(crate) fn count_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn count_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
        self.writes.fetch_add(1, Relaxed);
    }

    fn was_closed_by_peer(&self) -> bool {
        self.peer_closed.load(Relaxed)
    }

    fn was_reset_by_peer(&self) -> bool {
        self.peer_reset.load(Relaxed)
    }

    pub(crate) fn note_peer_closed(&self) {
        self.peer_closed.store(true, Relaxed);
    }

    pub(crate) fn note_peer_reset(&self) {
        self.peer_reset.store(true, Relaxed);
    }
}

/// The whole life of a connection: the body of its task.
///
/// One task from accept to goodbye. What only a stage needs is boxed and goes with it, so that an idle stream does not
/// carry along, say, the state of its TLS handshake (5.1 KiB). The futures that stay are blocks and not `async fn`s:
/// those keep their arguments twice.
pub(crate) fn live<A: Application>(seat: Seat<A>, accepted: Accepted) -> impl Future<Output = ()> {
    let accepted = Box::new(accepted);
    async move {
        seat.watch().await;
        let shard = seat.shard();
        // Without an address the socket is dead: the peer reset it while it waited to be accepted.
        let Ok(local) = accepted.stream.local_addr() else {
            return;
        };
        let connection = Arc::new(Connection::new(shard.index(), &accepted, local));
        let Ok(service) = panic::catch(|| shard.application().connect(&connection)) else {
            return;
        };
        let session = Rc::new(Session::new(connection, service));
        let reason = match CatchPanic::new(serve(shard, &session, accepted)).await {
            Ok(Ok(reason)) | Ok(Err(reason)) => reason,
            Err(message) => EndReason::Panicked(message),
        };
        seat.account(&reason);
        let connection = session.connection();
        let end = Ended {
            reason,
            lasted: connection.accepted.elapsed(),
        };
        let _ = panic::catch(|| {
            shard
                .application()
                .disconnect(connection, session.service(), &end);
        });
    }
}

fn serve<A: Application>(
    shard: &Rc<Shard<A>>,
    session: &Rc<Session<A>>,
    accepted: Box<Accepted>,
) -> impl Future<Output = Result<EndReason, EndReason>> {
    let opening = Box::pin(opening::open(shard, session.connection(), accepted));
    async move {
        let opened = opening.await?;
        let _ = session.connection().protocol.set(opened.protocol);
        Ok(match opened.protocol {
            // Unboxed: of HTTP/1.1 only a lean stream's state lies in the task.
            Protocol::Http1 => h1::serve(shard, session, opened).await,
            Protocol::Http2 => Box::pin(h2::serve(shard, session, opened)).await,
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::service::Service;

    use super::*;
    use crate::application::RequestBody;

    struct Nothing;

    impl Application for Nothing {
        type Body = Full<bytes::Bytes>;
        type Service = Self;

        fn connect(&self, _connection: &Arc<Connection>) -> Self {
            Self
        }
    }

    impl Service<Request<RequestBody>> for Nothing {
        type Response = Response<Full<bytes::Bytes>>;
        type Error = std::convert::Infallible;
        type Future = std::future::Pending<Result<Self::Response, Self::Error>>;

        fn call(&self, _request: Request<RequestBody>) -> Self::Future {
            std::future::pending()
        }
    }

    fn size_of_future<One, Other, F: Future>(_: fn(One, Other) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_an_idle_connection_carries_is_small() {
        // 128 bytes of tokio's around it make it a task of 384, and the next size is 512. (A socket is 8 bytes larger in a
        // program that has tokio's multi-threaded runtime, too.)
        assert!(size_of_future(live::<Nothing>) <= 256);
        assert!(size_of::<Connection>() <= 152);
    }
}
