//! The playground in Chromium: `tests/browser`, against a program of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::Program;

#[test]
fn the_playground_works_in_chromium_on_both_ports() {
    let chromium =
        std::env::var_os("CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from);
    assert!(
        chromium.exists(),
        "{} is not there: install it (apt-get install chromium), or name another with CHROMIUM=path",
        chromium.display()
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    install(&folder);
    let program = Program::start(&[]);
    let output = Command::new("node")
        .arg("--test")
        .current_dir(&folder)
        .env("CHROMIUM", chromium)
        .env("WELLSPRING_HTTP", program.http())
        .env("WELLSPRING_HTTPS", program.https())
        .output()
        .expect("node 20 must be installed (apt-get install nodejs npm)");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // `node --test` is content with no tests at all.
    assert!(
        told.contains("# pass 20\n") || told.contains("pass 20\n"),
        "{told}"
    );
}

/// What `package-lock.json` names, unless it is there: npm leaves a lock file of its own in what it has installed.
fn install(folder: &Path) {
    let modified = |file: &str| {
        folder
            .join(file)
            .metadata()
            .and_then(|file| file.modified())
            .ok()
    };
    let installed = modified("node_modules/.package-lock.json");
    if installed.is_some() && installed >= modified("package-lock.json") {
        return;
    }
    let output = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .output()
        .expect("npm must be installed (apt-get install nodejs npm)");
    assert!(
        output.status.success(),
        "npm ci: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
