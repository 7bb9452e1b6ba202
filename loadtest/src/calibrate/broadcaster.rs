//! The least that a server can do: take events from one connection and write each to every other.
//!
//! Blocking sockets and one thread: no runtime, no queue, no protocol beyond the heads. It speaks with the generator and
//! with nobody else.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::stamp::{Stamp, system_time};

/// What is read from the publisher at once.
const BATCH: usize = 64 << 10;

const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n:\n";

/// A broadcaster that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broadcaster {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process, if that is not this one.
    pub process: Option<u32>,
}

/// Which moment an event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamping {
    /// The one that the publisher wrote.
    AsPublished,
    /// For each copy of it, the moment just before its `write`.
    AtWrite {
        /// What the system's monotonic clock showed when the run's clock showed zero.
        zero: Duration,
    },
}

impl AsRef<Self> for Broadcaster {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Broadcaster {
    /// Serves one publication to the subscribers who are there when it begins, and returns when it ends.
    ///
    /// # Errors
    /// When the publisher breaks off, or a subscriber does.
    pub fn serve(listener: &TcpListener, stamping: Stamping) -> io::Result<()> {
        let mut subscribers = Vec::new();
        loop {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let mut reader = BufReader::with_capacity(1 << 10, stream);
            if is_publication(&mut reader)? {
                return relay(reader, &mut subscribers, stamping);
            }
            let mut stream = reader.into_inner();
            stream.write_all(STREAM)?;
            subscribers.push(stream);
        }
    }
}

/// Reads the head of a request, and says whether it publishes.
fn is_publication(reader: &mut BufReader<TcpStream>) -> io::Result<bool> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let publishes = line.starts_with("POST ");
    while line.trim_end() != "" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(publishes)
}

/// Takes the lines of one chunked body and writes each as an event to everybody; several that came together leave
/// together, unless each is to carry the moment of its own write.
fn relay(
    mut publisher: BufReader<TcpStream>,
    subscribers: &mut [TcpStream],
    stamping: Stamping,
) -> io::Result<()> {
    let mut published = 0u64;
    let (mut body, mut events) = (Vec::with_capacity(BATCH), Vec::with_capacity(2 * BATCH));
    loop {
        let mut size = String::new();
        publisher.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        body.resize(size + 2, 0);
        publisher.read_exact(&mut body)?;
        if size == 0 {
            break;
        }
        events.clear();
        for line in body[..size].split(|&byte| byte == b'\n') {
            let Some(data) = data(line) else { continue };
            published += 1;
            match stamping {
                Stamping::AsPublished => {
                    write_event(&mut events, published, |out| {
                        out.extend_from_slice(data.as_bytes());
                    });
                }
                Stamping::AtWrite { zero } => {
                    let Some(stamp) = Stamp::parse(data) else {
                        continue;
                    };
                    for subscriber in &mut *subscribers {
                        events.clear();
                        let due = system_time().saturating_sub(zero);
                        write_event(&mut events, published, |out| {
                            Stamp { due, ..stamp }.write(data.len(), out);
                        });
                        subscriber.write_all(&events)?;
                    }
                    events.clear();
                }
            }
        }
        if !events.is_empty() {
            for subscriber in &mut *subscribers {
                subscriber.write_all(&events)?;
            }
        }
    }
    let answer = format!("{{\"published\":{published}}}");
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    );
    publisher.get_mut().write_all(head.as_bytes())?;
    // The subscribers leave first: an end before the run's would be a break to them.
    for subscriber in subscribers {
        let _ = subscriber.read(&mut [0]);
    }
    Ok(())
}

/// What stands in `{"data":"..."}`: our publisher's data needs no escape.
fn data(line: &[u8]) -> Option<&str> {
    std::str::from_utf8(line)
        .ok()?
        .strip_prefix("{\"data\":\"")?
        .strip_suffix("\"}")
}

fn write_event(out: &mut Vec<u8>, id: u64, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(id.to_string().as_bytes());
    out.extend_from_slice(b"\ndata: ");
    write(out);
    out.extend_from_slice(b"\n\n");
}
