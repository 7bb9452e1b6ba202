//! The packages that people have, unmodified and at one version each, and the scripts that use them.
//!
//! They are installed once into the folder that cargo keeps for tests, and again when the versions change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::process::PATIENCE;

/// What a script tells of its package at work.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    /// All the text that it got, in the order in which it got it.
    pub(crate) text: String,
    /// In how many pieces.
    pub(crate) deltas: usize,
    /// How often it came back after a break.
    #[serde(default)]
    pub(crate) resumes: usize,
    /// What went wrong, and should not have.
    pub(crate) errors: Vec<String>,
    /// Whatever else it has to say.
    #[serde(flatten)]
    pub(crate) more: serde_json::Map<String, Value>,
}

/// What a script prints, as JSON.
pub(crate) trait Told: DeserializeOwned + Send + 'static {}

impl<R: DeserializeOwned + Send + 'static> Told for R {}

/// Runs a script of `python/` with these arguments.
pub(crate) async fn python<R: Told>(script: &'static str, arguments: Value) -> R {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    blocking(move || {
        let python = INSTALLED.get_or_init(virtual_environment);
        let script = source("python").join(script);
        let mut command = Command::new(python);
        // Nothing is written beside the scripts.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        report(command.arg(script).arg(arguments.to_string()))
    })
    .await
}

/// Runs a script of `node/` with these arguments.
pub(crate) async fn node<R: Told>(script: &'static str, arguments: Value) -> R {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    blocking(move || {
        let folder = INSTALLED.get_or_init(node_modules);
        let script = folder.join(script);
        report(Command::new("node").arg(script).arg(arguments.to_string()))
    })
    .await
}

async fn blocking<R: Told>(run: impl FnOnce() -> R + Send + 'static) -> R {
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The Python that has what `requirements.txt` names.
fn virtual_environment() -> PathBuf {
    let folder = installation("python");
    let python = folder.join("bin/python");
    let wanted = fs::read_to_string(source("python").join("requirements.txt")).unwrap();
    let installed = folder.join("requirements.txt");
    if fs::read_to_string(&installed).ok().as_ref() != Some(&wanted) {
        let mut make = Command::new("python3");
        succeed(make.args(["-m", "venv", "--clear"]).arg(&folder));
        let mut install = Command::new(&python);
        install.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--requirement",
        ]);
        succeed(install.arg(source("python").join("requirements.txt")));
        fs::write(installed, wanted).unwrap();
    }
    python
}

/// A folder with the scripts, and what `package-lock.json` names beside them: there modules look for what they import.
fn node_modules() -> PathBuf {
    let folder = installation("node");
    fs::create_dir_all(&folder).unwrap();
    let wanted = fs::read(source("node").join("package-lock.json")).unwrap();
    let is_installed = fs::read(folder.join("node_modules/wanted.json"))
        .ok()
        .as_ref()
        == Some(&wanted);
    for file in fs::read_dir(source("node")).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), folder.join(file.file_name())).unwrap();
        }
    }
    if !is_installed {
        let mut install = Command::new("npm");
        install.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
        succeed(install.current_dir(&folder));
        fs::write(folder.join("node_modules/wanted.json"), wanted).unwrap();
    }
    folder
}

fn source(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(language)
}

fn installation(language: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("clients")
        .join(language)
}

/// The JSON object that a script prints, within the deadline.
fn report<R: Told>(command: &mut Command) -> R {
    let said = succeed(command);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}"))
}

/// What the command prints; it must succeed, and within the deadline.
fn succeed(command: &mut Command) -> String {
    for name in [
        "OPENAI_BASE_URL",
        "ANTHROPIC_BASE_URL",
        "HTTP_PROXY",
        "http_proxy",
    ] {
        command.env_remove(name);
    }
    let child = command
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{command:?}: {error}: apt-get install nodejs npm python3-venv")
        });
    let pid = Pid::from_child(&child);
    let (ended, output) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait_with_output()));
    let in_time = output.recv_timeout(PATIENCE);
    let is_late = in_time.is_err();
    if is_late {
        let _ = kill_process(pid, Signal::KILL);
    }
    let output = in_time.unwrap_or_else(|_| output.recv().unwrap()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!is_late, "{command:?} does not end: {errors}");
    assert!(
        output.status.success(),
        "{command:?}: {}: {errors}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}
