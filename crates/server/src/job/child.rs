//! The command as a process of its own.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;
use tokio::process::Command;

use super::output::Output;

/// A command that was started. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    /// Itself and what it starts: signals go to all of them, as from a terminal.
    group: Option<Pid>,
}

/// Why the command was not started.
#[derive(Debug, Error)]
#[error("cannot start {command}: {error}")]
pub(super) struct StartError {
    command: String,
    error: io::Error,
}

impl Child {
    /// Starts the command, of which there must be a first word.
    pub(super) fn start(command: &[OsString]) -> Result<(Self, Output), StartError> {
        // A group in the background that reads from the terminal would be stopped (SIGTTIN).
        let stdin = if io::stdin().is_terminal() {
            Stdio::null()
        } else {
            Stdio::inherit()
        };
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| StartError {
                command: command[0].to_string_lossy().into_owned(),
                error,
            })?;
        let output = Output::new(process.stdout.take(), process.stderr.take());
        let group = process
            .id()
            .and_then(|id| Pid::from_raw(id.try_into().ok()?));
        Ok((Self { process, group }, output))
    }

    /// Waits for its end.
    ///
    /// # Cancel safety
    ///
    /// An end that came is kept for the next call.
    pub(super) async fn wait(&mut self) -> ExitStatus {
        // ECHILD is the one error: it has ended, and somebody else was told how.
        self.process.wait().await.unwrap_or_default()
    }

    /// Sends a signal to all of it, as long as its first process is there.
    pub(super) fn signal(&self, signal: Signal) {
        if let (Some(group), Some(_)) = (self.group, self.process.id()) {
            // Gone by now: that is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl StartError {
    /// As shells and `env` have it (POSIX, Shell Command Language, 2.8.2).
    pub(super) fn exit_code(&self) -> u8 {
        match self.error.kind() {
            io::ErrorKind::NotFound => 127,
            _ => 126,
        }
    }
}
