//! Publishes stamped events over one kept-alive HTTP/1.1 connection, on time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use crate::event::{Stamp, now};
use crate::server::{PATH, Server};

/// How a server takes several events at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// One request of `text/event-stream`, an event a block.
    EventStream,
    /// One request of `text/plain`, an event a line.
    Lines,
    /// A request per event, all of them in one write.
    Pipelined,
}

/// A publisher of one topic.
#[derive(Debug)]
pub struct Publisher {
    connection: BufReader<TcpStream>,
    batch: Batch,
    size: usize,
    /// The number of the next event.
    next: u32,
    data: String,
    request: String,
}

impl Publisher {
    /// Publishes to `server` events with `size` bytes of data each.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached.
    pub fn new(server: &Server, size: usize) -> io::Result<Self> {
        let connection = TcpStream::connect(server.http())?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self {
            connection: BufReader::new(connection),
            batch: server.peer().batch(),
            size,
            next: 0,
            data: String::new(),
            request: String::new(),
        })
    }

    /// Events published so far.
    #[must_use]
    pub fn published(&self) -> u32 {
        self.next
    }

    /// Publishes `rounds` times `burst` events, `per_second` times a second. An event bears the time at which it was
    /// due: a publisher that a slow server holds up hides nothing.
    ///
    /// # Errors
    ///
    /// When the server refuses one, or goes away.
    pub fn publish(&mut self, rounds: u32, burst: u32, per_second: u32) -> io::Result<()> {
        let interval = 1_000_000_000 / u64::from(per_second.max(1));
        let begin = now();
        for round in 0..rounds {
            let due = begin + u64::from(round) * interval;
            sleep(Duration::from_nanos(due.saturating_sub(now())));
            self.round(burst, due)?;
        }
        Ok(())
    }

    fn round(&mut self, burst: u32, time: u64) -> io::Result<()> {
        self.request.clear();
        self.data.clear();
        let media = match self.batch {
            _ if burst == 1 => "text/plain",
            Batch::EventStream => "text/event-stream",
            Batch::Lines | Batch::Pipelined => "text/plain",
        };
        for index in 0..burst {
            let stamp = Stamp {
                number: self.next,
                time,
            };
            self.next += 1;
            match self.batch {
                Batch::EventStream if burst > 1 => {
                    self.data.push_str("data: ");
                    stamp.write(self.size, &mut self.data);
                    self.data.push_str("\n\n");
                }
                _ => {
                    if index > 0 && self.batch == Batch::Lines {
                        self.data.push('\n');
                    }
                    stamp.write(self.size, &mut self.data);
                }
            }
            if self.batch == Batch::Pipelined {
                write_request(&mut self.request, media, &self.data);
                self.data.clear();
            }
        }
        if self.batch != Batch::Pipelined {
            write_request(&mut self.request, media, &self.data);
        }
        self.connection
            .get_mut()
            .write_all(self.request.as_bytes())?;
        let answers = if self.batch == Batch::Pipelined {
            burst
        } else {
            1
        };
        (0..answers).try_for_each(|_| self.read_answer())
    }

    fn read_answer(&mut self) -> io::Result<()> {
        let mut line = String::new();
        self.connection.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 2") {
            return Err(io::Error::other(format!(
                "publish refused: {}",
                line.trim_end()
            )));
        }
        let mut length = 0;
        loop {
            line.clear();
            self.connection.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                Some(_) => {}
                None => break,
            }
        }
        io::copy(&mut self.connection.by_ref().take(length), &mut io::sink())?;
        Ok(())
    }
}

fn write_request(request: &mut String, media: &str, data: &str) {
    use std::fmt::Write;
    let length = data.len();
    write!(
        request,
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n{data}"
    )
    .expect("a String takes all");
}
