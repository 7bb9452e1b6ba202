//! The wish of whoever started the program that it end.

use std::io;

/// Hears Ctrl-C, and SIGTERM where there is such a thing, from its making on: none is missed between two calls.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Interrupts {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Interrupts {
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    ///
    /// # Cancel safety
    ///
    /// One that came is kept for the next call.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Hears Ctrl-C from its making on: none is missed between two calls.
#[cfg(windows)]
#[derive(Debug)]
pub(super) struct Interrupts(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Interrupts {
    pub(super) fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    /// Waits for the next one.
    ///
    /// # Cancel safety
    ///
    /// One that came is kept for the next call.
    pub(super) async fn next(&mut self) {
        self.0.recv().await;
    }
}
