//! The parent's end of a client process.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use thiserror::Error;

use crate::client::{AS_CLIENT, Answer, Command, Receipt, Target};

/// A client in a process of its own; it ends with this value.
#[derive(Debug)]
pub struct Driver {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Why a client's run is worth nothing.
#[derive(Debug, Error)]
pub enum DriverError {
    /// The process cannot be started or talked to.
    #[error("the client: {0}")]
    Io(#[from] io::Error),
    /// The client says so: an event lost or doubled, a connection refused or closed.
    #[error("{0}")]
    Failed(String),
}

impl Driver {
    /// Starts this program once more, as a client of `target`: its `main` begins with
    /// [`run_if_asked`](crate::client::run_if_asked).
    ///
    /// # Errors
    ///
    /// When the process cannot be started.
    pub fn start(target: &Target) -> Result<Self, DriverError> {
        let mut child = std::process::Command::new(std::env::current_exe()?)
            .arg(AS_CLIENT)
            .arg(serde_json::to_string(target).map_err(io::Error::from)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Ok(Self {
            child,
            commands,
            answers,
        })
    }

    /// Has so many connections opened in all, with so many streams each, `at_once` of them at a time. Ask for the time it
    /// took with [`Driver::opened`], later; several clients are at it at once.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn open(
        &mut self,
        connections: usize,
        streams: usize,
        at_once: usize,
    ) -> Result<(), DriverError> {
        self.send(&Command::Open {
            connections,
            streams,
            at_once,
        })
    }

    /// Waits until all streams have their heads: seconds since they were asked for.
    ///
    /// # Errors
    ///
    /// When one of them is refused, or late beyond reason.
    pub fn opened(&mut self) -> Result<f64, DriverError> {
        match self.answer()? {
            Answer::Opened { seconds } => Ok(seconds),
            other => Err(unexpected(&other)),
        }
    }

    /// Says what is to be received: `events` by each stream, since the beginning. Ask for the
    /// [`Driver::receipt`] later.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn expect(&mut self, events: u32) -> Result<(), DriverError> {
        self.send(&Command::Receive { events })
    }

    /// Waits until all that was expected is there.
    ///
    /// # Errors
    ///
    /// When an event was lost, doubled, out of order, or late beyond reason.
    pub fn receipt(&mut self) -> Result<Receipt, DriverError> {
        match self.answer()? {
            Answer::Received(receipt) => Ok(receipt),
            other => Err(unexpected(&other)),
        }
    }

    fn send(&mut self, command: &Command) -> Result<(), DriverError> {
        let mut line = serde_json::to_vec(command).expect("it is plain data");
        line.push(b'\n');
        match self.commands.write_all(&line) {
            Ok(()) => Ok(()),
            // It has failed already, and said why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn answer(&mut self) -> Result<Answer, DriverError> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(DriverError::Failed("the client is gone".to_owned()));
        }
        Ok(serde_json::from_str(&line).map_err(io::Error::from)?)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may be gone already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unexpected(answer: &Answer) -> DriverError {
    DriverError::Failed(match answer {
        Answer::Failed(why) => why.clone(),
        other => format!("the client answered {other:?}"),
    })
}
