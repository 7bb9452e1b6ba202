//! `wellspring serve`: from configuration to the last connection; and `wellspring certs`.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use wellspring_front::{
    Bound, CertificateFiles, Front, Limits, Running, Scheme, Tls, trust_instructions,
};

use crate::cli::bad_use;
use crate::config::{Certificate, Config, Listen, Options};
use crate::interrupt::Interrupts;
use crate::routes::{Program, Served};
use crate::telemetry;

/// How often what is too old is forgotten.
const SWEEP: Duration = Duration::from_secs(5);

/// Serves until a signal. Ends with 2 when it cannot begin, with 1 when a second signal cut it short.
pub(crate) fn run(options: Options) -> ExitCode {
    let (config, bound, program) = match prepare(options) {
        Ok(prepared) => prepared,
        Err(error) => return bad_use(&error.to_string()),
    };
    match serve(&config, bound, &program) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wellspring: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints where the certificates are (and makes them if there are none), and how to trust them.
pub(crate) fn print_certificates(options: Options) -> ExitCode {
    let print = || -> Result<(), Box<dyn Error>> {
        match Config::load(options)?.certificate {
            Certificate::Files { certificate, key } => {
                println!(
                    "certificate {}\nkey         {}",
                    certificate.display(),
                    key.display()
                );
            }
            Certificate::SelfSigned { directory, names } => {
                Tls::self_signed(&directory, &names)?;
                print!("{}", trust_instructions(&directory));
            }
        }
        Ok(())
    };
    match print() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => bad_use(&error.to_string()),
    }
}

/// Everything that can be wrong with a configuration is wrong here, before anything is served.
fn prepare(options: Options) -> Result<(Config, Bound, Arc<Program>), Box<dyn Error>> {
    let config = Config::load(options)?;
    telemetry::start(&config.log, config.log_format)?;
    raise_file_limit();
    let mut front = Front::builder()
        .limits(limits(&config))
        .on_shard_start(wellspring::enter_shard);
    if let Some(cores) = config.cores {
        front = front.shards(cores);
    }
    if let Listen::At(address) = config.https {
        front = front.tls(address, tls(&config.certificate)?);
    }
    if let Listen::At(address) = config.http {
        front = front.plain(address);
    }
    let bound = front.bind()?;
    let program = Arc::new(Program::new(config.clone(), &bound.addresses())?);
    Ok((config, bound, program))
}

/// Raises the soft limit of open files to the hard one: each connection is a file, and the usual 1,024
/// would end a server long before its memory does.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(files = limit.maximum, "file limit raised"),
        Err(error) => tracing::warn!(files = limit.current, %error, "cannot raise the file limit"),
    }
}

fn limits(config: &Config) -> Limits {
    let mut limits = Limits::default();
    if let Some(streams) = config.streams {
        limits.max_concurrent_streams = streams;
    }
    limits
}

fn tls(certificate: &Certificate) -> Result<Tls, Box<dyn Error>> {
    Ok(match certificate {
        Certificate::Files { certificate, key } => Tls::from_files(certificate, key)?,
        Certificate::SelfSigned { directory, names } => Tls::self_signed(directory, names)?,
    })
}

fn serve(
    config: &Config,
    bound: Bound,
    program: &Arc<Program>,
) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Before the ready file: whoever has read it may send a signal.
        let mut interrupts = Interrupts::new()?;
        let running = bound.serve(Arc::new(Served(Arc::clone(program))))?;
        greet(config, running.addresses());
        if let Some(path) = &config.ready_file {
            write_ready_file(path, running.addresses())
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = sweep.tick() => program.sweep(),
                () = interrupts.next() => break,
            }
        }
        Ok(drain(config, program, &running, &mut interrupts).await)
    })
}

/// Sends everybody away: readers of topics first, in good order; whoever is left is cut at the deadline.
async fn drain(
    config: &Config,
    program: &Program,
    running: &Running,
    interrupts: &mut Interrupts,
) -> ExitCode {
    tracing::info!(
        seconds = config.drain.as_secs_f64(),
        "draining; a second signal ends at once"
    );
    program.begin_drain();
    let gone = async {
        let (_, drained) = tokio::join!(
            program.hub().drain(config.drain),
            running.drain(config.drain)
        );
        drained
    };
    tokio::select! {
        drained = gone => {
            tracing::info!(ended = drained.ended, cut = drained.cut, "drained");
            ExitCode::SUCCESS
        }
        () = interrupts.next() => {
            running.cut();
            running.ended().await;
            tracing::warn!("ended at once");
            ExitCode::FAILURE
        }
    }
}

/// Says on standard output where the program is, and what to do first.
fn greet(config: &Config, addresses: &[(Scheme, SocketAddr)]) {
    let mut out = std::io::stdout().lock();
    let mut say = |line: &str| {
        // A closed standard output is no reason not to serve.
        let _ = writeln!(out, "{line}");
    };
    say(concat!("wellspring ", env!("CARGO_PKG_VERSION")));
    for (scheme, address) in addresses {
        let protocols = match scheme {
            Scheme::Https => "HTTP/2 and HTTP/1.1",
            Scheme::Http => "HTTP/1.1, and HTTP/2 with prior knowledge",
        };
        say(&format!("  {:<28} {protocols}", url(*scheme, *address)));
    }
    for (index, upstream) in config.upstreams.all.iter().enumerate() {
        // The first answers unless another one is asked for by its name.
        match &upstream.name {
            Some(name) if index > 0 => say(&format!(
                "  {:<28} {}",
                format!("with X-Upstream: {name}"),
                upstream.url
            )),
            _ => say(&format!("  chats are answered by        {}", upstream.url)),
        }
    }
    if config.upstreams.all.is_empty() {
        say("  chats are answered by        the built-in demo (name a model with --upstream URL)");
    }
    if let (Certificate::SelfSigned { directory, .. }, Listen::At(_)) =
        (&config.certificate, config.https)
    {
        let authority = CertificateFiles::in_directory(directory).authority;
        say(&format!(
            "  the certificate's authority  {} (to trust it: wellspring certs)",
            authority.display()
        ));
    }
    let _ = out.flush();
}

/// As JSON, all at once: whoever waits for the file finds it whole.
fn write_ready_file(path: &Path, addresses: &[(Scheme, SocketAddr)]) -> std::io::Result<()> {
    let mut ready = json!({ "pid": std::process::id() });
    for (scheme, address) in addresses {
        ready[scheme.as_str()] = format!("{scheme}://{address}").into();
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    std::fs::write(&part, format!("{ready}\n"))?;
    std::fs::rename(&part, path)
}

/// As a person would type it.
fn url(scheme: Scheme, address: SocketAddr) -> String {
    if address.ip().is_loopback() {
        format!("{scheme}://localhost:{}/", address.port())
    } else {
        format!("{scheme}://{address}/")
    }
}
