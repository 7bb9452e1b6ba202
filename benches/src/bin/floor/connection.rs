//! A connection of the floor: one write per publish.

use std::io::{self, Error, Read, Write};
use std::net::TcpStream;

use rustls::ServerConnection;

use crate::request::{Request, Requests};

/// Bytes of one publish, as they cross the wire; what connections have in common is made once.
pub(crate) struct Prepared {
    /// As chunks of HTTP/1.1.
    chunks: Vec<u8>,
    /// As one frame's payload of HTTP/2.
    events: Vec<u8>,
    /// As frames, and of which streams.
    frames: (Vec<u32>, Vec<u8>),
}

pub(crate) struct Connection {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
    requests: Requests,
    /// HTTP/1.1: whether it is subscribed.
    subscribed: bool,
    /// HTTP/2: the streams that are.
    streams: Vec<u32>,
}

impl Prepared {
    /// Of a body with an event a line.
    pub(crate) fn new(body: &[u8]) -> Self {
        let mut prepared = Self {
            chunks: Vec::new(),
            events: Vec::new(),
            frames: Default::default(),
        };
        for line in body.split(|byte| *byte == b'\n') {
            let event = [b"data: ", line, b"\n\n"].concat();
            let size = format!("{:x}\r\n", event.len());
            prepared.chunks.extend_from_slice(size.as_bytes());
            prepared.chunks.extend_from_slice(&event);
            prepared.chunks.extend_from_slice(b"\r\n");
            prepared.events.extend_from_slice(&event);
        }
        prepared
    }

    /// A DATA frame (RFC 9113, section 6.1) per stream.
    fn frames(&mut self, streams: &[u32]) -> &[u8] {
        let (of, frames) = &mut self.frames;
        if of != streams {
            frames.clear();
            let length = u32::try_from(self.events.len()).expect("a frame is short");
            for stream in streams {
                frames.extend_from_slice(&length.to_be_bytes()[1..]);
                frames.extend_from_slice(&[0, 0]);
                frames.extend_from_slice(&stream.to_be_bytes());
                frames.extend_from_slice(&self.events);
            }
            streams.clone_into(of);
        }
        frames
    }
}

impl Connection {
    pub(crate) fn new(socket: TcpStream, tls: Option<Box<ServerConnection>>) -> Self {
        Self {
            socket,
            tls,
            requests: Requests::default(),
            subscribed: false,
            streams: Vec::new(),
        }
    }

    /// Reads once; what is asked for is answered, but for publishing.
    pub(crate) fn read(&mut self) -> io::Result<Vec<Request>> {
        let mut buffer = [0; 16 * 1024];
        if let Some(tls) = &mut self.tls {
            if tls.read_tls(&mut self.socket)? == 0 {
                return Err(Error::other("closed"));
            }
            let state = tls.process_new_packets().map_err(Error::other)?;
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            tls.reader().read_exact(&mut plain)?;
            self.requests.push(&plain);
        } else {
            let read = self.socket.read(&mut buffer)?;
            if read == 0 {
                return Err(Error::other("closed"));
            }
            self.requests.push(&buffer[..read]);
        }
        let mut publishes = Vec::new();
        let mut answer = Vec::new();
        while let Some(request) = self.requests.next(&mut answer) {
            match request {
                Request::Subscribe(0) => self.subscribed = true,
                Request::Subscribe(stream) => self.streams.push(stream),
                Request::Publish(_) => publishes.push(request),
            }
        }
        self.send(&answer)?;
        Ok(publishes)
    }

    /// The publish's bytes, in one write, if there is anybody for them.
    pub(crate) fn deliver(&mut self, prepared: &mut Prepared) -> io::Result<()> {
        if self.subscribed {
            self.send(&prepared.chunks)
        } else if !self.streams.is_empty() {
            let streams = std::mem::take(&mut self.streams);
            let sent = self.send(prepared.frames(&streams));
            self.streams = streams;
            sent
        } else {
            Ok(())
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write_all(bytes);
        };
        tls.writer().write_all(bytes)?;
        while tls.wants_write() {
            tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}
