//! Builds what is compared, with the cargo that started us.

use std::io;
use std::process::Command;

/// Builds the program as it is shipped, by itself: in one command with others it would get their features. Cargo's words
/// go to standard error.
///
/// # Errors
///
/// When cargo cannot be run, or fails.
pub fn build_program() -> io::Result<()> {
    cargo(&["-p", "wellspring-server", "--bin", "wellspring"])
}

/// Builds the servers of the benches.
///
/// # Errors
///
/// As [`build_program`].
pub fn build_peers() -> io::Result<()> {
    cargo(&[
        "-p",
        "wellspring-benches",
        "--bin",
        "floor",
        "--bin",
        "axum-peer",
    ])
}

fn cargo(what: &[&str]) -> io::Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet"])
        .args(what)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "cargo build {}: {status}",
            what.join(" ")
        )))
    }
}
