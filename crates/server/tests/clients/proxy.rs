//! What networks do to connections: a proxy that cuts event streams in the middle, a planned number of times.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use memchr::memmem;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy on a free port of loopback. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    server: JoinHandle<()>,
}

/// When to cut: the same seed draws the same places.
#[derive(Debug, Clone)]
pub(crate) struct Cuts {
    pub(crate) planned: usize,
    made: watch::Sender<usize>,
    draw: Arc<Mutex<(StdRng, Range<usize>)>>,
    within_lines: bool,
}

/// How a connection is cut.
enum Cut {
    /// With a RST.
    Reset,
    /// With a FIN in the middle of a body.
    Closed,
}

impl Proxy {
    /// Between its clients and `target`.
    pub(crate) async fn start(target: SocketAddr, cuts: Cuts) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let cuts = cuts.clone();
                // What fails here has failed for one of the two, who tells the test.
                tokio::spawn(async move { drop(carry(client, target, &cuts).await) });
            }
        });
        Self { address, server }
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Cuts {
    /// So many, each after so many bytes of a stream's body.
    pub(crate) fn new(planned: usize, after: Range<usize>, seed: u64) -> Self {
        Self {
            planned,
            made: watch::Sender::new(0),
            draw: Arc::new(Mutex::new((StdRng::seed_from_u64(seed), after))),
            within_lines: false,
        }
    }

    /// The same, but none between the last line of an event and the blank one that ends it.
    pub(crate) fn within_lines(self) -> Self {
        Self {
            within_lines: true,
            ..self
        }
    }

    /// How many there were.
    pub(crate) fn made(&self) -> usize {
        *self.made.borrow()
    }

    /// The count, as it grows.
    pub(crate) fn count(&self) -> watch::Receiver<usize> {
        self.made.subscribe()
    }

    /// After how many bytes the next stream is cut: more than it has, when all cuts were made.
    fn draw(&self) -> usize {
        let (random, after) = &mut *self.draw.lock().unwrap();
        if self.made() < self.planned {
            random.random_range(after.clone())
        } else {
            usize::MAX
        }
    }

    /// Counts a cut. They take turns, so that each client meets both ends.
    fn cut(&self) -> Cut {
        let made = self.made();
        self.made.send_replace(made + 1);
        if made.is_multiple_of(2) {
            Cut::Reset
        } else {
            Cut::Closed
        }
    }
}

/// Carries both ways until either side ends, or a cut.
async fn carry(client: TcpStream, target: SocketAddr, cuts: &Cuts) -> io::Result<()> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asked, mut told) = client.into_split();
    let (mut answered, mut asking) = server.into_split();
    let there = async {
        tokio::io::copy(&mut asked, &mut asking).await?;
        // The client has hung up: hang up on the server.
        io::Result::Ok(None)
    };
    let cut = tokio::select! {
        cut = back(&mut answered, &mut told, cuts) => cut?,
        cut = there => cut?,
    };
    match cut {
        Some(Cut::Reset) => told.as_ref().set_zero_linger(),
        Some(Cut::Closed) | None => told.shutdown().await,
    }
}

/// Carries answers until they end, or a cut.
async fn back(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    cuts: &Cuts,
) -> io::Result<Option<Cut>> {
    let mut heads = Vec::new();
    let mut left = None;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(None);
        }
        let mut data = &buffer[..read];
        if left.is_none()
            && let Some(body) = stream_in(&mut heads, data)
        {
            to.write_all(&data[..body]).await?;
            data = &data[body..];
            left = Some(cuts.draw());
        }
        if let Some(left) = &mut left {
            let is_after_line = data.get(..*left).is_some_and(|data| data.ends_with(b"\n"));
            *left += usize::from(cuts.within_lines && is_after_line);
            if *left <= data.len() {
                to.write_all(&data[..*left]).await?;
                return Ok(Some(cuts.cut()));
            }
            *left -= data.len();
        }
        to.write_all(data).await?;
    }
}

/// Where in the data the body of an event stream begins, if it does; `heads` is what came before it.
fn stream_in(heads: &mut Vec<u8>, data: &[u8]) -> Option<usize> {
    let before = heads.len();
    heads.extend_from_slice(data);
    let mut from = 0;
    while let Some(end) = memmem::find(&heads[from..], b"\r\n\r\n") {
        let head = &heads[from..from + end];
        from += end + 4;
        if memmem::find(head, b"content-type: text/event-stream").is_some() {
            return Some(from - before);
        }
    }
    heads.drain(..from);
    None
}
