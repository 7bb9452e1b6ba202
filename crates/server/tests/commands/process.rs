//! The program: once as a server, and as often as needed as a command.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;

/// The longest wait for anything that has to happen: far more than it takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running `wellspring serve`, with certificates of its own. Dropping it kills it.
pub(crate) struct Server {
    process: Process,
    folder: TempDir,
    ready: Ready,
}

/// What `--ready-file` holds.
#[derive(Deserialize)]
struct Ready {
    http: String,
    https: String,
}

impl Server {
    /// Starts it on free ports, and waits until it serves.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (process, ready) = serve(folder.path(), "127.0.0.1:0", "127.0.0.1:0");
        Self {
            process,
            folder,
            ready,
        }
    }

    /// Kills it without a word, which ends all that it kept.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again where it was.
    pub(crate) fn restart(&mut self) {
        let (http, https) = (address(&self.ready.http), address(&self.ready.https));
        (self.process, _) = serve(self.folder.path(), http, https);
    }

    pub(crate) fn http(&self) -> &str {
        &self.ready.http
    }

    pub(crate) fn https(&self) -> &str {
        &self.ready.https
    }

    /// The plain port's address.
    pub(crate) fn address(&self) -> &str {
        address(self.http())
    }

    /// The certificate of the authority that signed the server's.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("certs/ca.pem")
    }

    /// What a topic keeps, up to so many events, each its data.
    pub(crate) fn topic(&self, topic: &str, events: usize) -> Vec<String> {
        let url = format!("{}/topics/{topic}", self.http());
        let count = events.to_string();
        let tail = Process::start(&["tail", "--from", "earliest", "--count", &count, &url]);
        let finished = tail.finish();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        finished.output
    }
}

fn serve(folder: &Path, http: &str, https: &str) -> (Process, Ready) {
    let path = |name| folder.join(name).to_str().unwrap().to_owned();
    let (ready_file, certs) = (path("ready.json"), path("certs"));
    let _ = std::fs::remove_file(&ready_file);
    let mut process = Process::start(&[
        "serve",
        "--http",
        http,
        "--https",
        https,
        "--certs",
        &certs,
        "--ready-file",
        &ready_file,
        // Ten thousand lines are kept, so that who reads late misses none.
        "--topic-bytes",
        "16777216",
    ]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(ready) = std::fs::read(&ready_file) {
            return (process, serde_json::from_slice(&ready).unwrap());
        }
        let ended = process.child.try_wait().unwrap();
        let errors = process.errors.seen();
        assert!(ended.is_none(), "{ended:?}: {errors:?}");
        assert!(Instant::now() < deadline, "not ready: {errors:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn address(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

/// The program at work, its input and output in our hands. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    input: Option<mpsc::Sender<Vec<u8>>>,
    /// Bytes of input that the program, or the pipe to it, has taken.
    taken: Arc<AtomicUsize>,
    pub(crate) output: Lines,
    pub(crate) errors: Lines,
}

/// What the program has left when it has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) output: Vec<String>,
    pub(crate) errors: Vec<String>,
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wellspring"));
        command.args(arguments);
        // Whoever runs the tests may use the program.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WELLSPRING_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // From a thread: the program may stop reading, and the test must go on.
        let (input, texts) = mpsc::channel::<Vec<u8>>();
        let mut stdin = child.stdin.take().unwrap();
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        thread::spawn(move || {
            for text in texts {
                for chunk in text.chunks(4096) {
                    if stdin.write_all(chunk).is_err() {
                        return;
                    }
                    count.fetch_add(chunk.len(), Relaxed);
                }
            }
        });
        Self {
            output: Lines::of(child.stdout.take().unwrap()),
            errors: Lines::of(child.stderr.take().unwrap()),
            child,
            input: Some(input),
            taken,
        }
    }

    /// Runs it on an input to its end, which must come by itself.
    pub(crate) fn run(arguments: &[&str], input: impl AsRef<[u8]>) -> Finished {
        let mut process = Self::start(arguments);
        process.feed(input);
        process.close_input();
        process.finish()
    }

    /// Gives it more input, without waiting until it takes it.
    pub(crate) fn feed(&self, text: impl AsRef<[u8]>) {
        let input = self.input.as_ref().expect("the input is open");
        input.send(text.as_ref().to_vec()).unwrap();
    }

    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits for its end, and for the last line that it wrote.
    pub(crate) fn finish(mut self) -> Finished {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            let errors = self.errors.seen();
            assert!(Instant::now() < deadline, "no end: {errors:?}");
            thread::sleep(Duration::from_millis(5));
        };
        Finished {
            code: status.code(),
            output: self.output.all(),
            errors: self.errors.all(),
        }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines that a process writes, as they come.
pub(crate) struct Lines {
    seen: Arc<(Mutex<Vec<String>>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let to = Arc::clone(&seen);
        let reader = thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let Ok(line) = line else { break };
                to.0.lock().unwrap().push(line);
                to.1.notify_all();
            }
        });
        Self {
            seen,
            reader: Some(reader),
        }
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.0.lock().unwrap().clone()
    }

    /// Waits until the lines so far are what is wanted, and gives them.
    pub(crate) fn wait_until(&self, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let (lines, more) = &*self.seen;
        let (lines, waited) = more
            .wait_timeout_while(lines.lock().unwrap(), PATIENCE, |lines| !wanted(lines))
            .unwrap();
        assert!(
            !waited.timed_out(),
            "waited in vain, last {:?}",
            lines.last()
        );
        lines.clone()
    }

    /// Waits until there are so many.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<String> {
        self.wait_until(|lines| lines.len() >= count)
    }

    /// Waits until so many of them hold these words.
    pub(crate) fn wait_for_words(&self, words: &str, count: usize) {
        let has = |line: &&String| line.contains(words);
        self.wait_until(|lines| lines.iter().filter(has).count() >= count);
    }

    /// All of them, when the process has ended.
    fn all(&mut self) -> Vec<String> {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.seen()
    }
}
