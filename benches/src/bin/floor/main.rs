//! The floor of the comparison: the least that a server of events can do, `floor READY_FILE CERTIFICATE KEY`.
//!
//! A publish is one `write` of prepared bytes per HTTP/1.1 subscriber, and one per HTTP/2 connection (a DATA frame
//! per stream, all prepared in one buffer), encrypted where TLS is on; nothing else happens. One thread: that is
//! the cheapest per delivery, for a second one has to be woken and told. Sockets block: a write is one system call
//! that takes everything, and the clients of the comparison always read. It trusts them in everything else, too.

mod connection;
mod request;

use std::collections::HashMap;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use wellspring_benches::server::Addresses;

use self::connection::{Connection, Prepared};
use self::request::Request;

/// As long as the kernel lets it be.
const BACKLOG: i32 = 4096;
const PLAIN: u64 = 0;
const SECURE: u64 = 1;

struct Floor {
    epoll: OwnedFd,
    plain: TcpListener,
    secure: TcpListener,
    tls: Arc<ServerConfig>,
    connections: HashMap<u64, Connection>,
    last: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [ready, certificate, key] = files.as_slice() else {
        return Err("floor READY_FILE CERTIFICATE KEY".into());
    };
    let mut floor = Floor::new(certificate, key)?;
    Addresses::new(floor.plain.local_addr()?, floor.secure.local_addr()?).announce(ready)?;
    let mut ready = Vec::with_capacity(1024);
    loop {
        ready.clear();
        epoll::wait(
            &floor.epoll,
            rustix::buffer::spare_capacity(&mut ready),
            None,
        )?;
        for event in &ready {
            match event.data.u64() {
                PLAIN | SECURE => floor.accept(event.data.u64())?,
                token => floor.read(token),
            }
        }
    }
}

impl Floor {
    fn new(certificate: &Path, key: &Path) -> Result<Self, Box<dyn Error>> {
        let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
        let mut tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (plain, secure) = (listener()?, listener()?);
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (token, listener) in [(PLAIN, &plain), (SECURE, &secure)] {
            epoll::add(&epoll, listener, EventData::new_u64(token), EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            plain,
            secure,
            tls: Arc::new(tls),
            connections: HashMap::new(),
            last: SECURE,
        })
    }

    fn accept(&mut self, which: u64) -> Result<(), Box<dyn Error>> {
        let secure = which == SECURE;
        let listener = if secure { &self.secure } else { &self.plain };
        // An error is "no more", or a client that has left already.
        while let Ok((socket, _)) = listener.accept() {
            socket.set_nodelay(true)?;
            self.last += 1;
            let token = EventData::new_u64(self.last);
            epoll::add(&self.epoll, &socket, token, EventFlags::IN)?;
            let tls = if secure {
                let mut session = ServerConnection::new(Arc::clone(&self.tls))?;
                // A connection's events of one publish may be more than 64 KiB.
                session.set_buffer_limit(None);
                Some(Box::new(session))
            } else {
                None
            };
            self.connections
                .insert(self.last, Connection::new(socket, tls));
        }
        Ok(())
    }

    fn read(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        match connection.read() {
            Ok(requests) => {
                for request in requests {
                    if let Request::Publish(body) = request {
                        self.publish(token, &body);
                    }
                }
            }
            Err(_) => drop(self.connections.remove(&token)),
        }
    }

    fn publish(&mut self, publisher: u64, body: &[u8]) {
        let mut prepared = Prepared::new(body);
        // Whoever cannot be written to is gone.
        self.connections
            .retain(|_, connection| connection.deliver(&mut prepared).is_ok());
        if let Some(connection) = self.connections.get_mut(&publisher) {
            let _ = connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    }
}

/// The listener does not block, so that it can be emptied; the sockets that it accepts do.
fn listener() -> Result<TcpListener, Box<dyn Error>> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}
