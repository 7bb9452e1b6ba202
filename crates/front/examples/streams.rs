//! What an event costs on HTTP/2, measured: the front end alone, over TLS, every stream of every connection has
//! something to say in each turn.
//!
//! `cargo run --release -p wellspring-front --example streams [CONNECTIONS [STREAMS]]` (default: 50 with 100 each)
//! prints, for events of 100, 300, 900 and 4,000 bytes, 20 times a second: CPU of the server's one core per delivery
//! (median of five seconds; of that thread alone, so not what waking tasks from the publisher's thread costs), system calls per connection and event, and how often a body is asked per delivery; and
//! before that what an idle stream costs in resident memory. The readers are another process and only read.

use std::{
    cell::RefCell,
    convert::Infallible,
    env, fs,
    future::{Ready, ready},
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    num::NonZeroUsize,
    path::Path,
    pin::Pin,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::service::Service;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use wellspring_front::{Application, Connection, Front, Limits, RequestBody, Tls};

const LENGTHS: [usize; 4] = [100, 300, 900, 4_000];
const SECONDS: usize = 5;
const RATE: u32 = 20;

static EVENT: [u8; 4_000] = [b'x'; 4_000];

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("read") {
        let [address, directory, connections, streams] = [(); 4].map(|()| arguments.next());
        return read(
            parse(address, None),
            Path::new(&directory.unwrap_or_default()),
            parse(connections, None),
            parse(streams, None),
        );
    }
    let connections = parse(first, Some(50));
    let streams = parse(arguments.next(), Some(100));
    serve(connections, streams)
}

fn parse<T: std::str::FromStr>(argument: Option<String>, default: Option<T>) -> T {
    let parsed = argument.and_then(|argument| argument.parse().ok());
    parsed
        .or(default)
        .expect("numbers of connections and streams")
}

fn serve(connections: usize, streams: usize) -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let tls = Tls::self_signed(directory.path(), &[]).map_err(io::Error::other)?;
    let mut limits = Limits::default();
    limits.max_concurrent_streams = u32::MAX;
    let (orders, inbox) = mpsc::channel();
    let (report, results) = mpsc::channel();
    let shard = Mutex::new(Some((inbox, report)));
    let bound = Front::builder()
        .tls(SocketAddr::from(([127, 0, 0, 1], 0)), tls)
        .shards(NonZeroUsize::MIN)
        .limits(limits)
        .on_shard_start(move |_| {
            if let Some((inbox, report)) = shard.lock().ok().and_then(|mut shard| shard.take()) {
                tokio::task::spawn_local(publish(inbox, report));
            }
        })
        .bind()
        .map_err(io::Error::other)?;
    let address = bound.addresses()[0].1;
    let application = Arc::new(Everybody::default());
    let running = bound.serve(Arc::clone(&application))?;

    let before = resident()?;
    let mut readers = Command::new(env::current_exe()?)
        .arg("read")
        .args([address.to_string(), directory.path().display().to_string()])
        .args([connections.to_string(), streams.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut opened = String::new();
    let output = readers.stdout.take().expect("piped");
    BufReader::new(output).read_line(&mut opened)?;
    let subscribers = connections * streams;
    println!(
        "{connections} connections x {streams} streams: {:.2} KiB per stream",
        (resident()? - before) / subscribers as f64
    );
    println!("  bytes  us/delivery  writes/event/connection  polls/delivery");
    for length in LENGTHS {
        let writes = application.writes();
        let _ = orders.send(length);
        let mut sample: Sample = results.recv().map_err(io::Error::other)?;
        sample.seconds.sort_by(f64::total_cmp);
        let turns = (sample.events as usize * connections) as f64;
        println!(
            "{length:>7}  {:>11.3}  {:>23.2}  {:>14.2}",
            sample.seconds[SECONDS / 2],
            (application.writes() - writes) as f64 / turns,
            sample.polls as f64 / (sample.events as usize * subscribers) as f64,
        );
    }
    readers.kill()?;
    drop(running);
    Ok(())
}

/// What publishing one length cost.
struct Sample {
    /// By second: microseconds of the core per delivery.
    seconds: Vec<f64>,
    events: u64,
    polls: u64,
}

thread_local! {
    /// The core's readers that wait for the next event.
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

static SEQUENCE: AtomicU64 = AtomicU64::new(0);
static LENGTH: AtomicU64 = AtomicU64::new(0);
static POLLS: AtomicU64 = AtomicU64::new(0);

/// Publishes from within the shard and wakes its readers in one pass.
async fn publish(inbox: mpsc::Receiver<usize>, report: mpsc::Sender<Sample>) {
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    loop {
        pause.tick().await;
        let length = match inbox.try_recv() {
            Ok(length) => length,
            Err(mpsc::TryRecvError::Empty) => continue,
            Err(mpsc::TryRecvError::Disconnected) => return,
        };
        LENGTH.store(length as u64, Relaxed);
        let polls = POLLS.load(Relaxed);
        let mut sample = Sample {
            seconds: Vec::new(),
            events: 0,
            polls: 0,
        };
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
        for _ in 0..SECONDS {
            let start = busy();
            let mut deliveries = 0;
            for _ in 0..RATE {
                ticks.tick().await;
                SEQUENCE.fetch_add(1, Relaxed);
                sample.events += 1;
                let waiting = WAITING.take();
                deliveries += waiting.len();
                waiting.into_iter().for_each(Waker::wake);
            }
            ticks.tick().await;
            sample
                .seconds
                .push((busy() - start) * 1e6 / deliveries as f64);
        }
        sample.polls = POLLS.load(Relaxed) - polls;
        let _ = report.send(sample);
    }
}

/// Seconds that this thread has run.
fn busy() -> f64 {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split(' ').next().unwrap_or_default();
    nanoseconds.parse::<f64>().unwrap_or(f64::NAN) / 1e9
}

/// KiB of memory that this process holds.
fn resident() -> io::Result<f64> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let pages = pages.split(' ').nth(1).unwrap_or_default();
    Ok(pages.parse::<f64>().unwrap_or(f64::NAN) * 4.0)
}

/// Gives every request an endless stream of everything.
#[derive(Default)]
struct Everybody(Mutex<Vec<Arc<Connection>>>);

impl Everybody {
    fn writes(&self) -> u64 {
        let connections = self.0.lock().expect("nothing panics");
        connections
            .iter()
            .map(|connection| connection.writes())
            .sum()
    }
}

impl Application for Everybody {
    type Body = Everything;
    type Service = Subscribe;

    fn connect(&self, connection: &Arc<Connection>) -> Subscribe {
        let mut connections = self.0.lock().expect("nothing panics");
        connections.push(Arc::clone(connection));
        Subscribe
    }
}

struct Subscribe;

impl Service<Request<RequestBody>> for Subscribe {
    type Response = Response<Everything>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Everything>, Infallible>>;

    fn call(&self, _request: Request<RequestBody>) -> Self::Future {
        ready(Ok(Response::new(Everything {
            seen: SEQUENCE.load(Relaxed),
        })))
    }
}

struct Everything {
    seen: u64,
}

impl Body for Everything {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        POLLS.fetch_add(1, Relaxed);
        let sequence = SEQUENCE.load(Relaxed);
        if self.seen == sequence {
            WAITING.with_borrow_mut(|waiting| waiting.push(context.waker().clone()));
            return Poll::Pending;
        }
        self.seen = sequence;
        let event = Bytes::from_static(&EVENT[..LENGTH.load(Relaxed) as usize]);
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

/// Opens the connections and streams, says so, and reads and forgets what comes.
#[tokio::main(flavor = "current_thread")]
async fn read(
    address: SocketAddr,
    directory: &Path,
    connections: usize,
    streams: usize,
) -> io::Result<()> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(directory.join("ca.pem"));
    roots
        .add(authority.map_err(io::Error::other)?)
        .map_err(io::Error::other)?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    for _ in 0..connections {
        let socket = TcpStream::connect(address).await?;
        let name = "localhost".try_into().map_err(io::Error::other)?;
        let mut stream = connector.connect(name, socket).await?;
        // The preface, SETTINGS with the largest window for each stream, and the same for the connection.
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await?;
        stream
            .write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff")
            .await?;
        stream
            .write_all(b"\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0")
            .await?;
        let mut requests = Vec::new();
        for stream in 0..streams as u32 {
            // GET / over https from localhost, in the words of HPACK's static table (RFC 7541, appendix A).
            requests.extend_from_slice(b"\0\0\x0e\x01\x05");
            requests.extend_from_slice(&(2 * stream + 1).to_be_bytes());
            requests.extend_from_slice(b"\x82\x87\x84\x01\x09localhost");
        }
        stream.write_all(&requests).await?;
        tokio::spawn(forget(stream));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("open");
    std::future::pending().await
}

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACKNOWLEDGED: u8 = 1;

/// Reads what comes, and answers what must be answered: SETTINGS and pings.
async fn forget(mut stream: TlsStream<TcpStream>) -> io::Result<()> {
    let mut room = vec![0; 256 * 1024];
    let mut kept = 0;
    loop {
        match stream.read(&mut room[kept..]).await? {
            0 => return Ok(()),
            read => kept += read,
        }
        let mut rest = &room[..kept];
        let mut answers = Vec::new();
        while let Some((header, payload)) = rest.split_at_checked(9) {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let Some((payload, next)) = payload.split_at_checked(length) else {
                break;
            };
            match (header[3], header[4]) {
                (SETTINGS, 0) => {
                    answers.extend_from_slice(&[0, 0, 0, SETTINGS, ACKNOWLEDGED, 0, 0, 0, 0]);
                }
                (PING, 0) => {
                    answers.extend_from_slice(&[0, 0, 8, PING, ACKNOWLEDGED, 0, 0, 0, 0]);
                    answers.extend_from_slice(payload);
                }
                _ => {}
            }
            rest = next;
        }
        let read = kept - rest.len();
        room.copy_within(read..kept, 0);
        kept -= read;
        if !answers.is_empty() {
            stream.write_all(&answers).await?;
        }
    }
}
