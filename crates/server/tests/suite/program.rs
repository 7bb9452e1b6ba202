//! The program as a server of its own for each test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use crate::process::{Finished, PATIENCE, Process, Signal};

/// A running `wellspring serve` on free ports of loopback, with certificates of its own. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Program {
    process: Process,
    folder: TempDir,
    ready: Ready,
    arguments: Vec<String>,
}

/// What `--ready-file` holds.
#[derive(Debug, Deserialize)]
struct Ready {
    pid: u32,
    http: String,
    https: String,
}

impl Program {
    /// Starts it with these arguments besides its addresses, and waits until it serves.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(&[], arguments)
    }

    /// The same, in this environment.
    pub(crate) fn start_in(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = ["127.0.0.1:0", "127.0.0.1:0"];
        let (process, ready) = serve(folder.path(), free, environment, arguments);
        Self {
            process,
            folder,
            ready,
            arguments: arguments.iter().copied().map(str::to_owned).collect(),
        }
    }

    /// Kills it without a word, which ends all that it kept.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was.
    pub(crate) fn restart(&mut self) {
        self.process.kill();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let addresses = [false, true].map(|secure| self.address(secure).to_string());
        let addresses = [addresses[0].as_str(), addresses[1].as_str()];
        (self.process, self.ready) = serve(self.folder(), addresses, &[], &arguments);
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn http(&self) -> &str {
        &self.ready.http
    }

    /// `https://127.0.0.1:PORT`
    pub(crate) fn https(&self) -> &str {
        &self.ready.https
    }

    /// Where the plain port is, or the TLS port.
    pub(crate) fn address(&self, secure: bool) -> SocketAddr {
        let url = if secure { self.https() } else { self.http() };
        let (_, address) = url.split_once("://").unwrap();
        address.parse().unwrap()
    }

    /// Its process, as the system knows it.
    pub(crate) fn id(&self) -> u32 {
        self.ready.pid
    }

    /// A folder that lives as long as the program, which runs in it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of the authority that signed the program's own.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder().join("certs/ca.pem")
    }

    /// Waits for a line that it prints: the ready file may be seen before what was printed earlier.
    pub(crate) fn printed(&self, words: &str) -> String {
        let has = |line: &&String| line.contains(words);
        let output = &self.process.output;
        let lines = output.wait_until(|lines| lines.iter().any(|line| has(&line)));
        lines.iter().find(has).unwrap().clone()
    }

    /// Waits for a line of the log.
    pub(crate) async fn logged(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let log = &self.process.errors;
        until(what, || log.seen().into_iter().find(|line| wanted(line))).await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end, and for the last line that it wrote.
    pub(crate) async fn ended(self) -> Finished {
        let mut process = self.process;
        until("the program's end", || process.has_ended().then_some(())).await;
        process.finish()
    }

    /// Asks it to end, and waits.
    pub(crate) async fn terminate(self) -> Finished {
        self.signal(Signal::TERM);
        self.ended().await
    }
}

/// Looks again and again until there is what is looked for.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for something that has to happen.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = tokio::time::timeout(PATIENCE, future).await else {
        panic!("waited in vain for {what}")
    };
    output
}

fn serve(
    folder: &Path,
    [http, https]: [&str; 2],
    environment: &[(&str, &str)],
    arguments: &[&str],
) -> (Process, Ready) {
    let ready_file = folder.join("ready.json");
    let _ = std::fs::remove_file(&ready_file);
    let own = [
        "--http",
        http,
        "--https",
        https,
        "--certs",
        "certs",
        "--ready-file",
        "ready.json",
    ];
    let mut process = Process::start_in(folder, environment, &[&own, arguments].concat());
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(ready) = std::fs::read(&ready_file) {
            let ready: Ready = serde_json::from_slice(&ready).unwrap();
            assert_eq!(ready.pid, process.id());
            return (process, ready);
        }
        let (ended, log) = (process.has_ended(), process.errors.seen());
        assert!(!ended, "it does not serve: {log:?}");
        assert!(Instant::now() < deadline, "not ready: {log:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
