//! `wellspring run`: a command of this machine, whose output and progress are a run.
//!
//! | of the command | in the run |
//! | --- | --- |
//! | its start | `progress {"command":"make","message":"make is running"}` |
//! | a line on standard output | `answer {"text":"line\n"}` |
//! | a line on standard error | `progress {"message":"line","stream":"stderr"}` |
//! | a line with a percentage, on either | `progress {"percent":25,"message":"line"}` |
//! | a minute without a line | `progress {"silent_seconds":60}`, so that the run does not expire |
//! | its end | `done {"exit_code":0,"finish_reason":"exit"}` |
//! | its end by a signal | `done {"exit_code":143,"finish_reason":"signal","signal":15}` |
//! | it cannot be started | `error {"message":"cannot start make: …"}` |
//!
//! Local only, and off unless allowed: whoever knows the id of a run reads it and may end it, so a command's output
//! leaves the hands of whoever typed it. Only the name of the command is told, since arguments may hold secrets.

mod child;
mod output;
mod record;
mod remote;

use std::ffi::OsString;
use std::io::{Write, stderr, stdout};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use clap::Args;
use rustix::process::Signal;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

use self::child::{Child, StartError};
use self::output::Output;
use self::record::{Record, Recorder};
use self::remote::{Remote, RemoteError};
use crate::client::{ServerUrl, Trust};
use crate::config::{self, ConfigError};
use crate::interrupt::Interrupts;
use crate::runs::RunId;
use crate::uplink::{News, Uplink, UplinkError, lines};

/// What `wellspring run` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP)]
pub(crate) struct JobOptions {
    /// The server, on this machine
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) server: ServerUrl,

    /// What the run is called, in 16 to 64 letters, digits, _ and -; who knows it reads the output, and may end the
    /// command [default: drawn at random]
    #[arg(long, value_name = "ID", value_parser = |id: &str| RunId::try_from(id.to_owned()))]
    pub(crate) id: Option<RunId>,

    /// Allow commands to be run, which whoever knows the run's id reads and may end
    #[arg(long, env = "WELLSPRING_ALLOW_COMMANDS", hide_env = true)]
    pub(crate) allow_commands: bool,

    /// A TOML file that may say allow-commands = true
    #[arg(long, value_name = "FILE", env = "WELLSPRING_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) trust: Trust,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

const HELP: &str = "\
Examples:
  wellspring run --allow-commands -- make -j2
  WELLSPRING_ALLOW_COMMANDS=true wellspring run -- sh -c 'for i in 1 2 3 4; do echo $((i * 25))%; sleep 1; done'

The command runs here, as you, with a process group of its own. What it prints is read on the page whose address is printed, and \
not here. Ctrl-C, or a cancel of the run, ends it: SIGTERM, and SIGKILL after 5 s or at a second Ctrl-C.

The exit code is the command's, 128 and the signal's number if one ended it, 127 or 126 if it cannot be found or \
started, and 125 if it was never tried.";

/// Why a command was not tried.
#[derive(Debug, Error)]
enum JobError {
    #[error(
        "commands are not allowed: whoever knows a run's id reads what they print, and may end them. Allow them with --allow-commands, \
         WELLSPRING_ALLOW_COMMANDS=true, or allow-commands = true in the file of --config"
    )]
    NotAllowed,
    #[error(
        "{0} is not on this machine: commands are only run for a server on loopback, such as http://127.0.0.1:8080"
    )]
    NotLocal(ServerUrl),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("cannot listen for Ctrl-C: {0}")]
    Signals(std::io::Error),
}

/// As `env`, `timeout` and `nohup` say that they failed themselves.
const NOT_TRIED: u8 = 125;

/// From SIGTERM to SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a command has started in the background may hold its output open: it is read for so long after its end.
const LINGER: Duration = Duration::from_secs(2);
/// After so long without a line the run is told that the command still runs.
const SILENCE: Duration = Duration::from_secs(60);

/// Runs the command to its end, and until the server has all of what it said.
pub(crate) async fn run(options: JobOptions) -> ExitCode {
    match Job::begin(options).await {
        Ok((job, interrupts)) => job.run(interrupts).await,
        Err(error) => {
            say(&error.to_string());
            ExitCode::from(NOT_TRIED)
        }
    }
}

struct Job {
    command: Vec<OsString>,
    remote: Remote,
    uplink: Uplink,
    /// Whether the run still takes what the command says.
    is_followed: bool,
    recorder: Recorder,
}

impl Job {
    async fn begin(options: JobOptions) -> Result<(Self, Interrupts), JobError> {
        let is_allowed = options.allow_commands
            || match &options.config {
                Some(file) => config::allows_commands(file)?,
                None => false,
            };
        if !is_allowed {
            return Err(JobError::NotAllowed);
        }
        if !is_local(&options.server) {
            return Err(JobError::NotLocal(options.server));
        }
        let interrupts = Interrupts::new().map_err(JobError::Signals)?;
        let remote = Remote::begin(options.server, options.id, &options.trust).await?;
        // A closed output or error is no reason to fail here, as it would be with `println!`.
        let _ = writeln!(stdout(), "{}", remote.page());
        let job = Self {
            command: options.command,
            uplink: remote.uplink(),
            remote,
            is_followed: true,
            recorder: Recorder::default(),
        };
        Ok((job, interrupts))
    }

    async fn run(mut self, mut interrupts: Interrupts) -> ExitCode {
        let (last, code) = match Child::start(&self.command) {
            Ok((child, output)) => {
                self.push(&Record::started(&self.command[0]));
                let status = self.follow(child, output, &mut interrupts).await;
                let code = record::exit_code(status);
                (Record::ended(status), code)
            }
            Err(error) => {
                say(&error.to_string());
                (Record::failed(&error), error.exit_code())
            }
        };
        self.push(&last);
        self.settle(&mut interrupts).await;
        ExitCode::from(code)
    }

    /// Passes on what the command says until it has ended, and is silent.
    async fn follow(
        &mut self,
        mut child: Child,
        mut output: Output,
        interrupts: &mut Interrupts,
    ) -> ExitStatus {
        let mut ended: Option<(ExitStatus, Instant)> = None;
        let mut kill_at: Option<Instant> = None;
        let mut silent_at = Instant::now() + SILENCE;
        loop {
            while !self.is_full()
                && let Some(line) = output.next_line()
            {
                silent_at = Instant::now() + SILENCE;
                for record in self.recorder.records(&line) {
                    self.push(&record);
                }
            }
            if let Some((status, _)) = ended
                && output.is_over()
            {
                return status;
            }
            let (is_full, is_running) = (self.is_full(), ended.is_none());
            let linger_until = ended.map(|(_, at)| at + LINGER);
            tokio::select! {
                biased;
                () = interrupts.next() => end(&child, &mut kill_at),
                news = self.uplink.news(), if self.is_followed => {
                    if self.hear(news).await == Heard::Cancelled {
                        say("the run was cancelled");
                        end(&child, &mut kill_at);
                    }
                }
                status = child.wait(), if is_running => ended = Some((status, Instant::now())),
                () = output.fill(), if !is_full => {}
                () = at(kill_at), if is_running => {
                    child.signal(Signal::KILL);
                    kill_at = None;
                }
                () = at(linger_until) => output.close(),
                () = sleep_until(silent_at) => {
                    silent_at = Instant::now() + SILENCE;
                    self.push(&Record::silence(SILENCE));
                }
            }
        }
    }

    /// Waits until the server has everything, or a Ctrl-C says not to.
    async fn settle(&mut self, interrupts: &mut Interrupts) {
        self.uplink.close();
        while self.is_followed && !self.uplink.is_quiet() {
            tokio::select! {
                biased;
                () = interrupts.next() => {
                    let left = lines(self.uplink.len() as u64);
                    say(&format!("interrupted: nobody knows whether the server has the last {left}"));
                    return;
                }
                news = self.uplink.news() => {
                    self.hear(news).await;
                }
            }
        }
    }

    async fn hear(&mut self, news: Result<News, UplinkError>) -> Heard {
        match news {
            Ok(News::Sent | News::Acknowledged { .. }) => Heard::Taken,
            Ok(News::Delayed(what)) => {
                say(&what);
                Heard::Taken
            }
            Err(error) => {
                self.is_followed = false;
                if self.remote.is_cancelled().await {
                    return Heard::Cancelled;
                }
                say(&format!(
                    "{error}; the command goes on, and nobody can watch it"
                ));
                Heard::Lost
            }
        }
    }

    /// Whether no more can be pushed before the server has taken some.
    fn is_full(&self) -> bool {
        self.is_followed && self.uplink.is_full()
    }

    fn push(&mut self, record: &Record) {
        if self.is_followed {
            let number = self.uplink.next_number();
            self.uplink.push(number, record.to_line());
        }
    }
}

/// What the server makes of what it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Taken,
    Cancelled,
    /// It takes no more.
    Lost,
}

/// Asks the command to end; the second time it is not asked.
fn end(child: &Child, kill_at: &mut Option<Instant>) {
    if kill_at.is_some() {
        child.signal(Signal::KILL);
    } else {
        child.signal(Signal::TERM);
        *kill_at = Some(Instant::now() + PATIENCE);
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn is_local(server: &ServerUrl) -> bool {
    let url = server.join("/");
    let host = url.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|host: IpAddr| host.is_loopback())
}

fn say(text: &str) {
    let _ = writeln!(stderr(), "wellspring: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_local() {
        let is_local = |url: &str| is_local(&url.parse().unwrap());
        for url in [
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "https://[::1]:1",
            "http://localhost:8080/x",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "http://10.0.0.1",
            "http://127.0.0.1.example.org",
            "http://localhost.example",
            "http://[::]:1",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }
}
