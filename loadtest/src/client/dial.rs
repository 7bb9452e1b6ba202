//! TCP: from which addresses, how many at once, and how fast.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// How connections are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialling {
    /// Connections in the making at any time. Default: 512, because a crowd that overflows a listener's backlog (1,024
    /// is tokio's default) measures SYN retransmission, a second and more, and not the server.
    pub at_once: NonZeroUsize,
    /// The least time between two of them. Default: none.
    pub interval: Duration,
    /// Addresses of this machine to connect from, in turns: each has some 28,000 ports towards one server. Default: the
    /// system's choice.
    pub sources: Vec<IpAddr>,
    /// Bytes that the kernel holds of what has arrived and is not read yet, and the receive window of an HTTP/2 stream.
    /// Default: the system's choice, and a window of 6 MiB.
    pub receive_buffer: Option<u32>,
}

/// Who may connect next, and from where.
#[derive(Debug)]
pub(super) struct Turns {
    permits: Semaphore,
    interval: Duration,
    /// When the next connection may begin.
    next: Mutex<Instant>,
    sources: Vec<IpAddr>,
    receive_buffer: Option<u32>,
    dialled: AtomicUsize,
}

impl Default for Dialling {
    fn default() -> Self {
        Self {
            at_once: NonZeroUsize::new(512).expect("512 is not zero"),
            interval: Duration::ZERO,
            sources: Vec::new(),
            receive_buffer: None,
        }
    }
}

impl Turns {
    pub(super) fn new(dialling: Dialling) -> Self {
        Self {
            permits: Semaphore::new(dialling.at_once.get().min(Semaphore::MAX_PERMITS)),
            interval: dialling.interval,
            next: Mutex::new(Instant::now()),
            sources: dialling.sources,
            receive_buffer: dialling.receive_buffer,
            dialled: AtomicUsize::new(0),
        }
    }

    /// Waits for a turn, which lasts as long as what is returned.
    pub(super) async fn take(&self) -> SemaphorePermit<'_> {
        let permit = self
            .permits
            .acquire()
            .await
            .expect("the semaphore is never closed");
        if !self.interval.is_zero() {
            let due = {
                let mut next = self
                    .next
                    .lock()
                    .expect("nothing panics while a turn is taken");
                let due = (*next).max(Instant::now());
                *next = due + self.interval;
                due
            };
            tokio::time::sleep_until(due).await;
        }
        permit
    }

    /// Connects to the first of the addresses that accepts.
    pub(super) async fn dial(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        let mut failure = None;
        for &address in addresses {
            match self.connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let sources: Vec<_> = self
            .sources
            .iter()
            .filter(|source| source.is_ipv4() == address.is_ipv4())
            .collect();
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if !sources.is_empty() {
            let turn = self.dialled.fetch_add(1, Ordering::Relaxed);
            socket.bind(SocketAddr::new(*sources[turn % sources.len()], 0))?;
        }
        socket.connect(address).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn source_addresses_take_turns() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sources = vec!["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()];
        let turns = Turns::new(Dialling {
            sources: sources.clone(),
            ..Dialling::default()
        });
        let mut seen = Vec::new();
        let mut streams = Vec::new();
        for _ in 0..2 {
            streams.push(turns.dial(&[address]).await.unwrap());
            seen.push(listener.accept().await.unwrap().1.ip());
        }
        assert_eq!(seen, sources);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connect_rate_is_kept() {
        let turns = Turns::new(Dialling {
            interval: Duration::from_millis(100),
            ..Dialling::default()
        });
        let started = Instant::now();
        for _ in 0..11 {
            drop(turns.take().await);
        }
        assert_eq!(started.elapsed().as_millis(), 1_000);
    }
}
