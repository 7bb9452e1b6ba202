//! What an idle HTTP/1.1 event stream costs in memory, measured.
//!
//! `cargo run --release -p wellspring-front --example idle [-- --streams 10000] [--tls] [--unmarked]` opens streams
//! whose bodies say one line and then nothing, and prints by how much the server's resident memory has grown for each.
//! `--unmarked` leaves out the mark of a long-lived response, and with it all that is done for such. Clients run in a
//! second process.

use std::{
    convert::Infallible,
    env,
    error::Error,
    fs,
    future::{Ready, ready},
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::Path,
    pin::Pin,
    process::{Command, Stdio},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::service::Service;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    runtime,
};
use tokio_rustls::TlsConnector;
use wellspring_front::{Application, Connection, Front, LongLived, RequestBody, Tls};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let count = value("--streams").map_or(Ok(10_000), |count| count.parse())?;
    if let Some(address) = value("--connect") {
        return client(address.parse()?, count, value("--authority").map(Path::new));
    }
    let directory = tempfile::tempdir()?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let front = match has("--tls") {
        true => Front::builder().tls(any, Tls::self_signed(directory.path(), &[])?),
        false => Front::builder().plain(any),
    };
    let is_marked = !has("--unmarked");
    let running = front
        .shards(NonZeroUsize::MIN)
        .bind()?
        .serve(Arc::new(Idle { is_marked }))?;
    let address = running.addresses()[0].1.to_string();
    // What only the first connections cost.
    let mut clients = vec![open(&address, 200, has("--tls"), directory.path())?];
    let before = resident_bytes()?;
    clients.push(open(&address, count, has("--tls"), directory.path())?);
    let grown = resident_bytes()? - before;
    println!(
        "{count} idle streams, tls {}, marked {is_marked}: {:.2} KiB resident each",
        has("--tls"),
        grown as f64 / count as f64 / 1024.0
    );
    running.cut();
    for mut client in clients {
        client.wait()?;
    }
    Ok(())
}

/// Starts a process with this many clients, and waits until each has its stream's first line.
fn open(address: &str, count: usize, tls: bool, directory: &Path) -> Outcome<std::process::Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["--connect", address, "--streams", &count.to_string()]);
    if tls {
        command.arg("--authority").arg(directory.join("ca.pem"));
    }
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    match line.trim() {
        "ready" => Ok(child),
        _ => Err("the clients failed".into()),
    }
}

fn resident_bytes() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes.ok_or("no VmRSS")?.trim().parse::<u64>()? * 1024)
}

/// Answers every request with a stream.
struct Idle {
    is_marked: bool,
}

impl Application for Idle {
    type Body = Line;
    type Service = Lines;

    fn connect(&self, _connection: &Arc<Connection>) -> Lines {
        Lines(self.is_marked)
    }
}

struct Lines(bool);

impl Service<Request<RequestBody>> for Lines {
    type Response = Response<Line>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Line>, Infallible>>;

    fn call(&self, _request: Request<RequestBody>) -> Self::Future {
        let mut response = Response::new(Line(Some(Bytes::from_static(b":\n"))));
        if self.0 {
            response.extensions_mut().insert(LongLived);
        }
        ready(Ok(response))
    }
}

/// One line, and then nothing for ever.
struct Line(Option<Bytes>);

impl Body for Line {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(line) => Poll::Ready(Some(Ok(Frame::data(line)))),
            None => Poll::Pending,
        }
    }
}

fn client(address: SocketAddr, count: usize, authority: Option<&Path>) -> Outcome<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let tls = authority.map(connector).transpose()?;
        let mut streams: Vec<Box<dyn Duplex>> = Vec::new();
        for _ in 0..count {
            let socket = TcpStream::connect(address).await?;
            let mut stream: Box<dyn Duplex> = match &tls {
                Some(tls) => {
                    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
                    Box::new(tls.connect(name, socket).await?)
                }
                None => Box::new(socket),
            };
            stream
                .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .await?;
            streams.push(stream);
        }
        for stream in &mut streams {
            let mut seen = Vec::new();
            while !seen.ends_with(b":\n\r\n") {
                seen.push(stream.read_u8().await?);
            }
        }
        println!("ready");
        io::stdout().flush()?;
        // Until the server leaves.
        for stream in &mut streams {
            let _ = stream.read_u8().await;
        }
        Ok(())
    })
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

fn connector(authority: &Path) -> Outcome<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
