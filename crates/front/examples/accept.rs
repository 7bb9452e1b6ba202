//! Two ways to spread connections over cores, measured: SO_REUSEPORT (a listening socket per core, the kernel picks by
//! hash) against one acceptor that hands each connection to the core with the fewest.
//!
//! `cargo run --release -p wellspring-front --example accept` prints, for each way and number of connections opened at
//! once, the seconds until every client has a byte from its core (median of five), and the share of the fullest core.
//! Every connection is greeted with one byte by the core it lives on. Clients run in a second process.

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime,
    sync::{mpsc, watch},
};

const RUNS: usize = 5;

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    if let (Some(address), Some(count)) = (arguments.next(), arguments.next()) {
        return client(parse(&address), parse(&count));
    }
    let cores = thread::available_parallelism().map_or(2, NonZeroUsize::get);
    println!("{cores} cores, median of {RUNS} runs");
    for (name, serve) in [
        ("SO_REUSEPORT", reuse_port as Serve),
        ("hand-over", hand_over),
    ] {
        for count in [6, 50, 10_000] {
            let mut runs = Vec::new();
            for _ in 0..RUNS {
                let (stop, stopped) = watch::channel(false);
                let loads: Vec<_> = (0..cores).map(|_| Arc::new(AtomicUsize::new(0))).collect();
                let address = serve(&loads, &stopped)?;
                let output = Command::new(env::current_exe()?)
                    .args([address.to_string(), count.to_string()])
                    .output()?;
                let seconds: f64 = parse(String::from_utf8_lossy(&output.stdout).trim());
                let fullest = loads
                    .iter()
                    .map(|load| load.load(Relaxed))
                    .max()
                    .unwrap_or(0);
                runs.push((seconds, fullest));
                drop(stop);
            }
            runs.sort_by(|one, other| one.0.total_cmp(&other.0));
            let fullest: Vec<_> = runs.iter().map(|(_, fullest)| fullest).collect();
            println!(
                "{name:>12} {count:>6} connections: {:.3} s, fullest core {fullest:?}",
                runs[RUNS / 2].0
            );
        }
    }
    Ok(())
}

type Loads = [Arc<AtomicUsize>];
type Serve = fn(&Loads, &watch::Receiver<bool>) -> io::Result<SocketAddr>;

fn reuse_port(loads: &Loads, stopped: &watch::Receiver<bool>) -> io::Result<SocketAddr> {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    for load in loads {
        let listener = listen(address, true)?;
        address = listener.local_addr()?;
        let load = Arc::clone(load);
        on_core(stopped, async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                load.fetch_add(1, Relaxed);
                tokio::task::spawn_local(greet(stream));
            }
        });
    }
    Ok(address)
}

fn hand_over(loads: &Loads, stopped: &watch::Receiver<bool>) -> io::Result<SocketAddr> {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), false)?;
    let address = listener.local_addr()?;
    let mut cores = Vec::new();
    for load in loads {
        let (sender, mut inbox) = mpsc::unbounded_channel();
        cores.push((Arc::clone(load), sender));
        on_core(stopped, async move {
            while let Some(stream) = inbox.recv().await {
                tokio::task::spawn_local(greet(TcpStream::from_std(stream)?));
            }
            Ok(())
        });
    }
    on_core(stopped, async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let stream = listener.accept().await?.0.into_std()?;
            let fewest = cores.iter().min_by_key(|(load, _)| load.load(Relaxed));
            let (load, core) = fewest.ok_or(io::ErrorKind::NotFound)?;
            load.fetch_add(1, Relaxed);
            let _ = core.send(stream);
        }
    });
    Ok(address)
}

fn listen(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_port(reuse_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

async fn greet(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"!").await?;
    stream.read(&mut [0]).await.map(drop)
}

/// Runs a future on a thread with a runtime of its own until the measurement stops.
fn on_core(
    stopped: &watch::Receiver<bool>,
    work: impl Future<Output = io::Result<()>> + Send + 'static,
) {
    let mut stopped = stopped.clone();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(runtime::LocalOptions::default())
            .expect("an event queue");
        runtime.block_on(async {
            tokio::select! {
                result = work => result.expect("the listener lives"),
                _ = stopped.changed() => {}
            }
        });
    });
}

/// Opens all connections at once, waits for a byte on each, prints the seconds it took.
fn client(address: SocketAddr, count: usize) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let start = Instant::now();
        let clients: Vec<_> = (0..count)
            .map(|_| {
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(address).await?;
                    stream.read_exact(&mut [0]).await?;
                    io::Result::Ok(stream)
                })
            })
            .collect();
        let mut open = Vec::with_capacity(count);
        for client in clients {
            open.push(client.await??);
        }
        println!("{}", start.elapsed().as_secs_f64());
        Ok(())
    })
}

fn parse<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("not understood: {text:?}"))
}
