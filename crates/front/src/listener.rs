//! Listening sockets, and the one acceptor that hands their connections to the shards.
//!
//! The other way is SO_REUSEPORT: a listening socket per core, the kernel picks one by a hash of the addresses. Measured
//! on 2 cores, median of five, from the first `connect` until every client has a byte from its core
//! (`cargo run --release -p wellspring-front --example accept`):
//!
//! | connections at once | SO_REUSEPORT | its fullest core | hand-over | its fullest core |
//! | --- | --- | --- | --- | --- |
//! | 6 | 1 ms | 3 to 5 | 1 ms | 3 |
//! | 50 | 2 ms | 26 to 31 | 1 ms | 25 |
//! | 10,000 | 0.293 s | 5,015 to 5,059 | 0.281 s | 5,000 |
//!
//! Handing over costs nothing that can be measured and is even, always: streams live for hours, so a core that the hash
//! filled stays full. It also keeps being even when connections end, for it counts those that are there.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    connection::Scheme,
    shard::{Command, Load, ShardHandle},
    socket,
    tls::Tls,
};

/// How long to wait after an error that trying again at once would only repeat, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// A listening socket that is bound, but not accepted from yet.
pub(crate) struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
}

impl Listener {
    pub(crate) fn bind(
        address: SocketAddr,
        tls: Option<Tls>,
        dual_stack: bool,
    ) -> Result<Self, BindError> {
        let socket = socket::listen(address, dual_stack)
            .map_err(|source| BindError::new(address, source))?;
        let address = socket
            .local_addr()
            .map_err(|source| BindError::new(address, source))?;
        Ok(Self {
            socket,
            address,
            tls,
        })
    }

    pub(crate) fn address(&self) -> (Scheme, SocketAddr) {
        (Scheme::of(self.tls.as_ref()), self.address)
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }
}

/// A connection on its way from the acceptor to its shard.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) tls: Option<Tls>,
    pub(crate) at: Instant,
    pub(crate) load: Option<Load>,
}

impl Accepted {
    pub(crate) fn scheme(&self) -> Scheme {
        Scheme::of(self.tls.as_ref())
    }
}

impl Scheme {
    fn of(tls: Option<&Tls>) -> Self {
        match tls {
            Some(_) => Self::Https,
            None => Self::Http,
        }
    }
}

/// Accepts on all listeners until `stop` says so; then closes them. The body of the acceptor's thread.
pub(crate) async fn accept(
    listeners: Vec<Listener>,
    shards: Vec<ShardHandle>,
    stop: watch::Receiver<bool>,
) {
    let shards: Arc<[ShardHandle]> = shards.into();
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::spawn(accept_one(listener, Arc::clone(&shards), stop.clone())))
        .collect();
    for listener in accepting {
        let _ = listener.await;
    }
}

async fn accept_one(
    listener: Listener,
    shards: Arc<[ShardHandle]>,
    mut stop: watch::Receiver<bool>,
) {
    let (scheme, address) = listener.address();
    let tls = listener.tls;
    let socket = match tokio::net::TcpListener::from_std(listener.socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%scheme, %address, %error, "cannot wait for connections");
            return;
        }
    };
    let mut failures = 0_u64;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = socket.accept() => accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))),
        };
        match accepted {
            Ok((stream, peer)) => {
                if failures > 0 {
                    tracing::info!(%scheme, %address, failures, "accepting connections again");
                    failures = 0;
                }
                hand_over(&shards, stream, peer, tls.clone());
            }
            // The connection was gone before we came to it: its loss, not the listener's.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted
                        | ErrorKind::ConnectionReset
                        | ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                // Once per spell, not twenty times a second.
                if failures == 0 {
                    tracing::error!(%scheme, %address, %error, "cannot accept connections; trying on");
                }
                failures += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Gives a connection to the shard that has the fewest.
fn hand_over(shards: &[ShardHandle], stream: TcpStream, peer: SocketAddr, tls: Option<Tls>) {
    let Some(shard) = shards.iter().min_by_key(|shard| shard.load()) else {
        return;
    };
    shard.command(Command::Serve(Accepted {
        stream,
        peer,
        tls,
        at: Instant::now(),
        load: Some(shard.reserve()),
    }));
}

/// A listener could not be opened; says which and what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", advice(source, address))]
#[non_exhaustive]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl BindError {
    fn new(address: SocketAddr, source: io::Error) -> Self {
        Self { address, source }
    }
}

fn advice(error: &io::Error, address: &SocketAddr) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "the port is taken. Stop the program that has it (`ss -ltnp 'sport = :{}'` names it), or choose another \
             port (0 picks a free one)",
            address.port()
        ),
        ErrorKind::PermissionDenied => format!(
            "no permission. Ports below 1024 need root or the capability CAP_NET_BIND_SERVICE; choose another than {}",
            address.port()
        ),
        ErrorKind::AddrNotAvailable => format!(
            "this machine has no address {}. Use one it has, 127.0.0.1 for this machine only, or 0.0.0.0 for all",
            address.ip()
        ),
        _ => error.to_string(),
    }
}
