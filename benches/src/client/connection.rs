//! One connection: bytes from the socket through TLS, if there is any, to the protocol, and back.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::tally::Tally;
use super::{Fault, Target, h1, h2};

#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    speech: Speech,
    /// What the socket has not taken.
    unsent: Vec<u8>,
}

#[derive(Debug)]
enum Speech {
    H1(h1::Response),
    H2(h2::Session),
}

impl Connection {
    /// A connection that asks for `streams` as soon as its socket (not blocking) is connected.
    pub(super) fn new(
        socket: TcpStream,
        target: &Target,
        config: Option<&Arc<ClientConfig>>,
        streams: usize,
    ) -> Result<Self, Fault> {
        let tls = match config {
            Some(config) => {
                let name = ServerName::IpAddress(target.address.ip().into());
                Some(Box::new(ClientConnection::new(Arc::clone(config), name)?))
            }
            None => None,
        };
        let (speech, opening) = if target.protocol.is_h2() {
            let (mut session, mut opening) = h2::Session::new(target);
            session.open(streams, &mut opening);
            (Speech::H2(session), opening)
        } else {
            (
                Speech::H1(h1::Response::new()),
                h1::Response::request(target),
            )
        };
        let mut connection = Self {
            socket,
            tls,
            speech,
            unsent: Vec::new(),
        };
        connection.queue(&opening)?;
        Ok(connection)
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Asks for streams until there are `streams`; HTTP/1.1 has one for ever.
    pub(super) fn open(&mut self, streams: usize) -> Result<(), Fault> {
        let mut out = Vec::new();
        if let Speech::H2(session) = &mut self.speech {
            session.open(streams, &mut out);
        }
        self.queue(&out)?;
        self.flush()
    }

    /// Whether there is something to send when the socket takes it.
    pub(super) fn wants_write(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Reads once, and answers what must be answered. `buffer` is room, whatever it holds.
    pub(super) fn read(&mut self, buffer: &mut [u8], tally: &mut Tally) -> Result<(), Fault> {
        let read = match self.socket.read(buffer) {
            Ok(0) => return Err(Fault::Closed),
            Ok(read) => read,
            Err(error) if is_not_yet(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        tally.look_at_the_clock();
        let mut out = Vec::new();
        match &mut self.tls {
            None => self.speech.take(&buffer[..read], &mut out, tally)?,
            Some(tls) => {
                // rustls reads 4 KiB at a time: from memory, so that it costs one system call all the same.
                let (mut encrypted, mut plain) = (&buffer[..read], [0; 16 * 1024]);
                while !encrypted.is_empty() {
                    tls.read_tls(&mut encrypted)?;
                    tls.process_new_packets()?;
                    loop {
                        match tls.reader().read(&mut plain) {
                            Ok(0) => return Err(Fault::Closed),
                            Ok(read) => self.speech.take(&plain[..read], &mut out, tally)?,
                            Err(error) if is_not_yet(&error) => break,
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
            }
        }
        self.queue(&out)?;
        self.flush()
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if is_not_yet(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.unsent = Vec::new();
        Ok(())
    }

    /// Whatever there is to say, encrypted if need be, goes behind what is unsent.
    fn queue(&mut self, out: &[u8]) -> Result<(), Fault> {
        let Some(tls) = &mut self.tls else {
            self.unsent.extend_from_slice(out);
            return Ok(());
        };
        tls.writer().write_all(out)?;
        while tls.wants_write() {
            tls.write_tls(&mut self.unsent)?;
        }
        Ok(())
    }
}

impl Speech {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>, tally: &mut Tally) -> Result<(), Fault> {
        match self {
            Self::H1(response) => response.take(bytes, tally),
            Self::H2(session) => session.take(bytes, out, tally),
        }
    }
}

fn is_not_yet(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected
    )
}
