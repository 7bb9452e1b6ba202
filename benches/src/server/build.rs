//! Builds what is compared, with the cargo that started us.

use std::io;
use std::process::Command;

/// Builds the program as it is shipped, by itself (in one command with others it would get their features), and the
/// servers of the benches. Cargo's words go to standard error.
///
/// # Errors
///
/// When cargo cannot be run, or fails.
pub fn build() -> io::Result<()> {
    let server: &[&str] = &["-p", "wellspring-server", "--bin", "wellspring"];
    let peers = &[
        "-p",
        "wellspring-benches",
        "--bin",
        "floor",
        "--bin",
        "axum-peer",
    ];
    for what in [server, peers] {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet"])
            .args(what)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()?;
        if !status.success() {
            return Err(io::Error::other(format!(
                "cargo build {}: {status}",
                what.join(" ")
            )));
        }
    }
    Ok(())
}
