//! The servers that are compared: each is one program, started afresh for each run.
//!
//! All of them have one topic at [`PATH`]: `GET` subscribes, `POST` publishes. All say in the same file where they
//! listen, and all have the same certificate.

mod build;
mod nchan;

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

pub use self::build::{build_peers, build_program};
use crate::publisher::Batch;

/// The topic.
pub const PATH: &str = "/topics/t";

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// The program of this workspace, as it is shipped.
    Wellspring,
    /// One `write` of prepared bytes per connection and nothing else.
    Floor,
    /// axum's `Sse` over tokio's `broadcast`, as axum's documentation has it.
    Axum,
    /// Node.js with its `http` and `http2`.
    Node,
    /// nginx with Nchan.
    Nchan,
}

/// What servers are started from: programs, a certificate, a folder.
#[derive(Debug)]
pub struct Kit {
    directory: TempDir,
    programs: PathBuf,
}

/// A server that listens; it ends with this value.
#[derive(Debug)]
pub struct Server {
    peer: Peer,
    child: Child,
    addresses: Addresses,
}

/// Where a server listens: what its ready file holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Addresses {
    /// `http://ADDRESS`
    http: String,
    /// `https://ADDRESS`
    https: String,
}

impl Peer {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self::Wellspring,
        Self::Floor,
        Self::Axum,
        Self::Node,
        Self::Nchan,
    ];

    /// As it is called in tables and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wellspring => "wellspring",
            Self::Floor => "floor",
            Self::Axum => "axum",
            Self::Node => "node",
            Self::Nchan => "nchan",
        }
    }

    pub(crate) fn batch(self) -> Batch {
        match self {
            Self::Wellspring => Batch::EventStream,
            Self::Floor | Self::Axum | Self::Node => Batch::Lines,
            Self::Nchan => Batch::Pipelined,
        }
    }
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let peer = Self::ALL.into_iter().find(|peer| peer.name() == name);
        peer.ok_or_else(|| format!("no server is called {name}"))
    }
}

impl Kit {
    /// A kit with a fresh certificate, for programs that lie beside this one. Raises the file limit of this process
    /// and of all that it starts.
    ///
    /// # Errors
    ///
    /// When there is no folder for temporary files.
    pub fn new() -> io::Result<Self> {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        setrlimit(Resource::Nofile, raised)?;
        let mut programs = std::env::current_exe()?;
        programs.pop();
        // Examples lie one folder deeper.
        if programs.ends_with("examples") {
            programs.pop();
        }
        let kit = Self {
            directory: TempDir::new()?,
            programs,
        };
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        fs::write(kit.certificate(), made.cert.pem())?;
        fs::write(kit.key(), made.signing_key.serialize_pem())?;
        Ok(kit)
    }

    /// The certificate of all servers: PEM, signed by itself.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// What must be installed or built before this server can be started.
    #[must_use]
    pub fn missing(&self, peer: Peer) -> Option<String> {
        match peer {
            Peer::Node => (!runs("node", "--version"))
                .then(|| "no node here: apt-get install nodejs".to_owned()),
            Peer::Nchan => nchan::missing(),
            Peer::Wellspring | Peer::Floor | Peer::Axum => {
                let program = self.program(peer);
                (!program.exists()).then(|| format!("{} is not built", program.display()))
            }
        }
    }

    /// Starts a server and waits until it listens. `options` go behind those that all runs have.
    ///
    /// # Errors
    ///
    /// When it does not start; the error has the last of what it said.
    pub fn start(&self, peer: Peer, options: &[&str]) -> io::Result<Server> {
        let ready = self.directory.path().join("ready.json");
        let _ = fs::remove_file(&ready);
        let mut said = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(self.directory.path().join("said.txt"))?;
        let mut command = match peer {
            Peer::Wellspring => {
                let mut command = Command::new(self.program(peer));
                command.args(["serve", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"]);
                command.arg("--cert").arg(self.certificate());
                command.arg("--key").arg(self.key());
                command.arg("--ready-file").arg(&ready);
                command
            }
            Peer::Floor | Peer::Axum => {
                let mut command = Command::new(self.program(peer));
                command.arg(&ready).arg(self.certificate()).arg(self.key());
                command
            }
            Peer::Node => {
                let mut command = Command::new("node");
                command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/node.mjs"));
                command.arg(&ready).arg(self.certificate()).arg(self.key());
                command
            }
            Peer::Nchan => nchan::command(self.directory.path(), &ready)?,
        };
        let child = command
            .args(options)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said.try_clone()?)
            .spawn()?;
        let mut server = Server {
            peer,
            child,
            addresses: Addresses {
                http: String::new(),
                https: String::new(),
            },
        };
        let deadline = Instant::now() + PATIENCE;
        while !ready.exists() || (peer == Peer::Nchan && !nchan::listens(&ready)) {
            if server.child.try_wait()?.is_some() || Instant::now() > deadline {
                let mut text = String::new();
                said.rewind()?;
                said.read_to_string(&mut text)?;
                let last = text.lines().last().unwrap_or("it said nothing");
                return Err(io::Error::other(format!("does not start: {last}")));
            }
            sleep(Duration::from_millis(5));
        }
        server.addresses = serde_json::from_slice(&fs::read(&ready)?)?;
        Ok(server)
    }

    fn program(&self, peer: Peer) -> PathBuf {
        self.programs.join(match peer {
            Peer::Wellspring => "wellspring",
            Peer::Floor => "floor",
            Peer::Axum => "axum-peer",
            Peer::Node => "node",
            Peer::Nchan => "nginx",
        })
    }
}

impl Server {
    /// Which program it is.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it speaks HTTP/1.1, and takes what is published.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        parse(&self.addresses.http)
    }

    /// Where it speaks TLS.
    #[must_use]
    pub fn https(&self) -> SocketAddr {
        parse(&self.addresses.https)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.peer == Peer::Nchan {
            // Killed outright, it would leave its workers behind.
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        } else {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Addresses {
    /// Two addresses on the loopback.
    #[must_use]
    pub fn new(http: SocketAddr, https: SocketAddr) -> Self {
        Self {
            http: format!("http://{http}"),
            https: format!("https://{https}"),
        }
    }

    /// Tells them to whoever waits for the file, which is there at once and whole.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn announce(&self, ready: &Path) -> io::Result<()> {
        let part = ready.with_extension("part");
        fs::write(&part, serde_json::to_vec(self)?)?;
        fs::rename(part, ready)
    }
}

fn parse(url: &str) -> SocketAddr {
    let address = url.rsplit('/').next().unwrap_or(url);
    address.parse().expect("servers listen on addresses")
}

/// Whether a program is there.
fn runs(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
