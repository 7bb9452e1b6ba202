//! Sockets: how listeners are set up, and the IO types between a socket and a protocol's engine.

mod stream;

use std::{io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, TcpKeepalive, Type};
pub(crate) use stream::{Socket, Stream};

/// How many connections the kernel holds for us until we accept them.
///
/// With a short queue a burst of connects is dropped and retried by the clients after 1, 3, 7 s: 10,000 connections at
/// once took 12 s with tokio's default of 1,024 and 0.3 s with this. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How much the kernel may hold of what it has not sent yet before it says that the socket is full (TCP_NOTSENT_LOWAT).
///
/// Bounds what is lost from sight behind a peer that does not read: 134 KiB instead of 3.7 MiB until backpressure shows
/// on loopback. What stays in the log in the meantime leaves in larger pieces, and a newer event is not queued behind
/// old ones that nobody can take back. One TLS record: less would leave the wire idle between two turns of ours.
const UNSENT: u32 = 16 * 1024;

/// How long sent bytes may stay unacknowledged, or unsent because the peer's window is shut, until the kernel resets the
/// connection (TCP_USER_TIMEOUT, RFC 5482); its own patience is about 15 minutes, and with a shut window unlimited. A
/// reader that was only asleep comes back and resumes.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// How long a silent connection goes unprobed, and how long between two probes (RFC 9293, section 3.8.4). An event
/// stream's heartbeat comes before that: this is for those who sit between two requests.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(30))
    .with_interval(Duration::from_secs(10));

/// Opens a listening socket. Accepted sockets inherit its options: set once here, not with a system call for each.
pub(crate) fn listen(address: SocketAddr, dual_stack: bool) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    // A restart must not wait for the old connections' TIME_WAIT. (On Windows the option means something else.)
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    // Each write is one turn's worth of events: waiting to fill a segment would only delay it.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    #[test]
    fn accepted_sockets_inherit_the_listeners_options() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into(), false).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = socket2::SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap());
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap().as_secs(), 30);
        assert_eq!(accepted.tcp_keepalive_interval().unwrap().as_secs(), 10);
        #[cfg(any(target_os = "android", target_os = "linux"))]
        {
            assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
            assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT);
        }
    }
}
