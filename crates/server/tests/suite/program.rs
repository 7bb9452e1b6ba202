//! The program under test: the real binary, in a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde::Deserialize;
use tempfile::TempDir;

/// The longest wait for anything that has to happen: far more than it takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running `wellspring serve` on free ports of loopback, with certificates of its own. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
    ready: Ready,
    output: Lines,
    log: Lines,
}

/// A program that has run to its end.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) output: Vec<String>,
    pub(crate) errors: Vec<String>,
}

/// What `--ready-file` holds.
#[derive(Debug, Deserialize)]
struct Ready {
    pid: u32,
    http: String,
    https: String,
}

/// The lines that a process writes, as they come.
#[derive(Debug)]
struct Lines {
    seen: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts it with these arguments besides its addresses, and waits until it serves.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_in(&[], arguments)
    }

    /// The same, in this environment.
    pub(crate) fn start_in(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ready_file = folder.path().join("ready.json");
        let mut child = command(folder.path())
            .args(["--http", "127.0.0.1:0", "--https", "127.0.0.1:0"])
            .args(["--certs", "certs", "--ready-file", "ready.json"])
            .args(arguments)
            .envs(environment.iter().copied())
            .spawn()
            .unwrap();
        let mut output = Lines::of(child.stdout.take().unwrap());
        let mut log = Lines::of(child.stderr.take().unwrap());
        let deadline = Instant::now() + PATIENCE;
        let ready = loop {
            if let Ok(ready) = std::fs::read(&ready_file) {
                break serde_json::from_slice::<Ready>(&ready).unwrap();
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{status}: {:?} {:?}", output.all(), log.all());
            }
            assert!(Instant::now() < deadline, "not ready: {:?}", log.seen());
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(ready.pid, child.id());
        Self {
            child,
            folder,
            ready,
            output,
            log,
        }
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

    /// A folder that lives as long as the program, which runs in it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of the authority that signed the program's own.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("certs/ca.pem")
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.seen()
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> Vec<String> {
        self.output.seen()
    }

    /// Waits for a line of the log.
    pub(crate) async fn logged(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        until(what, || self.log().into_iter().find(|line| wanted(line))).await
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end, and for the last line that it wrote.
    pub(crate) async fn ended(mut self) -> Finished {
        let child = &mut self.child;
        let status = until("the program's end", || child.try_wait().unwrap()).await;
        Finished {
            code: status.code(),
            output: self.output.all(),
            errors: self.log.all(),
        }
    }

    /// Asks it to end, and waits.
    pub(crate) async fn terminate(self) -> Finished {
        self.signal(Signal::TERM);
        self.ended().await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the program's log:\n{}", self.log().join("\n"));
        }
    }
}

impl Finished {
    /// Runs the program to its end, which must come by itself.
    pub(crate) fn of(environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::in_folder(folder.path(), environment, arguments)
    }

    /// The same, in this folder.
    pub(crate) fn in_folder(
        folder: &Path,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        let mut child = command(folder)
            .args(arguments)
            .envs(environment.iter().copied())
            .spawn()
            .unwrap();
        let mut output = Lines::of(child.stdout.take().unwrap());
        let mut errors = Lines::of(child.stderr.take().unwrap());
        let status = wait(&mut child);
        Self {
            code: status.code(),
            output: output.all(),
            errors: errors.all(),
        }
    }
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let lines = Arc::clone(&seen);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
            }
        });
        Self {
            seen,
            reader: Some(reader),
        }
    }

    fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// To the last line, which comes when the process has ended.
    fn all(&mut self) -> Vec<String> {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.seen()
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

/// The binary, in an environment that says nothing to it.
fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wellspring"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WELLSPRING_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
