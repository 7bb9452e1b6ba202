//! The real binary as a child process: what goes in, what comes out, how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// The longest wait for anything that has to happen: far more than it takes, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program at work, its input and output in our hands. Dropping it kills it.
#[derive(Debug)]
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
        Self::start_in(Path::new("."), &[], arguments)
    }

    /// The same, in this folder and this environment.
    pub(crate) fn start_in(
        folder: &Path,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wellspring"));
        command.current_dir(folder).args(arguments);
        // Whoever runs the tests may use the program.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WELLSPRING_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .envs(environment.iter().copied())
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

    /// Runs it without input to its end, in this folder and this environment.
    pub(crate) fn run_in(
        folder: &Path,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Finished {
        let mut process = Self::start_in(folder, environment, arguments);
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

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its number, as the system knows it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
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

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("the program's log:\n{}", self.errors.seen().join("\n"));
        }
    }
}

/// The lines that a process writes, as they come.
#[derive(Debug)]
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
