//! The client's one loop: standard input and all connections on one epoll.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::connection::Connection;
use super::tally::Tally;
use super::{Answer, Command, Fault, Target};

/// How long a command may take; whatever is late then is lost.
const PATIENCE: Duration = Duration::from_secs(120);
/// Standard input, among the numbers of connections.
const COMMANDS: u64 = u64::MAX;

pub(super) struct Client {
    target: Target,
    config: Option<Arc<ClientConfig>>,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Streams that each connection has, or has asked for.
    streams: usize,
    tally: Tally,
    task: Option<Task>,
    ready: Vec<epoll::Event>,
    /// Room for one read of one connection.
    buffer: Vec<u8>,
}

/// What the parent waits for.
#[derive(Debug)]
struct Task {
    since: Instant,
    goal: Goal,
}

#[derive(Debug)]
enum Goal {
    Heads { connections: usize, at_once: usize },
    Events(u64),
}

impl Client {
    pub(super) fn new(target: Target) -> Result<Self, Fault> {
        let config = target.protocol.is_tls().then(|| tls(&target)).transpose()?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let commands = EventData::new_u64(COMMANDS);
        epoll::add(&epoll, std::io::stdin(), commands, EventFlags::IN)?;
        Ok(Self {
            target,
            config,
            epoll,
            connections: Vec::new(),
            streams: 0,
            tally: Tally::new(),
            task: None,
            ready: Vec::with_capacity(1024),
            buffer: vec![0; 256 * 1024],
        })
    }

    /// Waits for something to happen and deals with it. `None` when the parent is gone.
    #[expect(
        clippy::option_option,
        reason = "gone, or nothing to say, or an answer"
    )]
    pub(super) fn turn(&mut self) -> Result<Option<Option<Answer>>, Fault> {
        self.ready.clear();
        let second = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let room = rustix::buffer::spare_capacity(&mut self.ready);
        match epoll::wait(&self.epoll, room, Some(&second)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            // A copy: the field is not aligned.
            let (token, flags) = (event.data.u64(), event.flags);
            if token == COMMANDS {
                if !self.command()? {
                    return Ok(None);
                }
            } else {
                let index = usize::try_from(token).expect("an index");
                self.serve(index, flags)?;
            }
        }
        self.ready = ready;
        self.connect()?;
        self.finished().map(Some)
    }

    fn serve(&mut self, index: usize, flags: EventFlags) -> Result<(), Fault> {
        let connection = &mut self.connections[index];
        let wrote = connection.wants_write();
        if flags.contains(EventFlags::OUT) {
            connection.flush()?;
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            connection.read(&mut self.buffer, &mut self.tally)?;
        }
        if wrote != connection.wants_write() {
            self.watch(index)?;
        }
        Ok(())
    }

    fn watch(&self, index: usize) -> Result<(), Fault> {
        let connection = &self.connections[index];
        let token = EventData::new_u64(index as u64);
        epoll::modify(
            &self.epoll,
            connection.socket(),
            token,
            interest(connection),
        )?;
        Ok(())
    }

    /// Reads one command; whether there was one.
    fn command(&mut self) -> Result<bool, Fault> {
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let goal = match serde_json::from_str(&line).map_err(std::io::Error::from)? {
            Command::Open {
                connections,
                streams,
                at_once,
            } => {
                self.streams = streams;
                for index in 0..self.connections.len() {
                    self.connections[index].open(streams)?;
                    self.watch(index)?;
                }
                Goal::Heads {
                    connections,
                    at_once,
                }
            }
            Command::Receive { events } => {
                Goal::Events(u64::from(events) * (self.connections.len() * self.streams) as u64)
            }
        };
        self.task = Some(Task {
            since: Instant::now(),
            goal,
        });
        Ok(true)
    }

    /// Begins as many connections as are wanted and allowed.
    fn connect(&mut self) -> Result<(), Fault> {
        let Some(Task {
            goal: Goal::Heads {
                connections,
                at_once,
            },
            ..
        }) = self.task
        else {
            return Ok(());
        };
        while self.connections.len() < connections
            && self.connections.len() - self.tally.heads() / self.streams < at_once
        {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
            // A reset instead of a goodbye: tens of thousands of ports in TIME_WAIT would be missing in the next run.
            set_socket_linger(&socket, Some(Duration::ZERO))?;
            match connect(&socket, &self.target.address) {
                Ok(()) | Err(Errno::INPROGRESS) => {}
                Err(error) => return Err(error.into()),
            }
            let config = self.config.as_ref();
            let socket = TcpStream::from(socket);
            let connection = Connection::new(socket, &self.target, config, self.streams)?;
            let token = EventData::new_u64(self.connections.len() as u64);
            epoll::add(
                &self.epoll,
                connection.socket(),
                token,
                interest(&connection),
            )?;
            self.connections.push(connection);
        }
        Ok(())
    }

    /// The answer to what is asked, once there is one.
    fn finished(&mut self) -> Result<Option<Answer>, Fault> {
        let Some(task) = &self.task else {
            return Ok(None);
        };
        let (done, have, wanted) = match task.goal {
            Goal::Heads { connections, .. } => {
                let (have, wanted) = (self.tally.heads(), connections * self.streams);
                (have == wanted, have as u64, wanted as u64)
            }
            Goal::Events(wanted) => {
                let have = self.tally.delivered();
                (have == wanted, have, wanted)
            }
        };
        if !done {
            return if task.since.elapsed() > PATIENCE {
                let what = match task.goal {
                    Goal::Heads { .. } => "heads",
                    Goal::Events(_) => "events",
                };
                let seconds = PATIENCE.as_secs();
                Err(Fault::Late(format!(
                    "{have} of {wanted} {what} after {seconds} s"
                )))
            } else {
                Ok(None)
            };
        }
        let answer = match task.goal {
            Goal::Heads { .. } => Answer::Opened {
                seconds: task.since.elapsed().as_secs_f64(),
            },
            Goal::Events(_) => Answer::Received(self.tally.receipt()),
        };
        self.task = None;
        Ok(Some(answer))
    }
}

fn interest(connection: &Connection) -> EventFlags {
    if connection.wants_write() {
        EventFlags::IN | EventFlags::OUT
    } else {
        EventFlags::IN
    }
}

/// Trusts the one certificate of the comparison. No resumption and one classical key exchange that all servers
/// have: every connection costs every server the same handshake.
fn tls(target: &Target) -> Result<Arc<ClientConfig>, Fault> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(&target.authority)
        .map_err(|error| Fault::Late(format!("{}: {error}", target.authority.display())))?;
    for certificate in certificates.flatten() {
        roots.add(certificate)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    let protocol: &[u8] = if target.protocol.is_h2() {
        b"h2"
    } else {
        b"http/1.1"
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}
