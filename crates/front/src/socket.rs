//! Sockets: how listeners are set up, and the IO types between a socket and a protocol's engine.

mod gather;
mod stream;

use std::{io, net::SocketAddr};

pub(crate) use gather::Gather;
use socket2::{Domain, Protocol, Type};
pub(crate) use stream::{Replay, Socket, Stream};

/// How many connections the kernel holds for us until we accept them.
///
/// With a short queue a burst of connects is dropped and retried by the clients after 1, 3, 7 s: 10,000 connections at
/// once took 12 s with tokio's default of 1,024 and 0.3 s with this. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

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
        assert!(accepted.nodelay().unwrap());
    }
}
