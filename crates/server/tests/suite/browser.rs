//! Real browsers: `tests/browser`, against programs of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use wellspring_load::lab::{Profile, Setup, Transport, Wait};

use crate::lab::tried;
use crate::program::Program;

#[test]
fn the_chat_works_in_chromium_on_both_ports() {
    let program = Program::start(&[]);
    pass("chat.test.mjs", &ports(&program), 24);
}

#[test]
fn the_chat_works_in_firefox_on_both_ports() {
    let program = Program::start(&[]);
    let firefox = installed("FIREFOX", "firefox-esr");
    let [http, https] = ports(&program);
    let environment = [http, https, ("FIREFOX", firefox.as_str())];
    pass("chat-firefox.test.mjs", &environment, 4);
}

#[test]
fn the_events_work_in_chromium_on_both_ports() {
    let program = Program::start(&[]);
    pass("events.test.mjs", &ports(&program), 8);
}

#[test]
fn the_lab_shows_in_chromium_what_lives_and_what_waits() {
    let program = Program::start(&[]);
    pass("lab-page.test.mjs", &ports(&program), 9);
}

/// The counts of `wellspring-load lab` are those of the browsers that it models.
#[tokio::test]
async fn the_labs_model_does_what_browsers_do() {
    let (program, few, many) = (
        Program::start(&[]),
        Program::start(&["--streams", "16"]),
        Program::start(&["--streams", "400"]),
    );
    let both = &["chromium", "firefox"][..];
    let mut trials = Vec::new();
    for tabs in [5, 6, 12] {
        trials.push(expected(&program, Transport::Http1, tabs, Profile::CHROMIUM, both).await);
    }
    trials.push(expected(&program, Transport::Http2Tls, 12, Profile::CHROMIUM, both).await);
    trials.push(expected(&few, Transport::Http2Tls, 16, Profile::CHROMIUM, both).await);
    trials.push(expected(&few, Transport::Http2Tls, 20, Profile::CHROMIUM, both).await);
    for (profile, browser) in [
        (Profile::CHROMIUM, "chromium"),
        (Profile::FIREFOX, "firefox"),
    ] {
        trials.push(expected(&many, Transport::Http2Tls, 260, profile, &[browser]).await);
    }
    let firefox = installed("FIREFOX", "firefox-esr");
    let trials = Value::from(trials).to_string();
    let environment = [
        ("WELLSPRING_LAB", trials.as_str()),
        ("FIREFOX", firefox.as_str()),
    ];
    pass("lab.test.mjs", &environment, 14);
}

/// A trial for browsers, with what the model sees.
async fn expected(
    program: &Program,
    transport: Transport,
    tabs: usize,
    profile: Profile,
    browsers: &[&str],
) -> Value {
    let setup = Setup {
        profile,
        events: 1,
        ..Setup::new(transport, tabs)
    };
    let trial = tried(program, setup).await;
    let comes = |wait: Wait| wait != Wait::ForEver;
    let after = trial.after_close;
    json!({
        "name": format!("{tabs} tabs over {transport}: {} live", trial.live),
        "base": if transport.is_secure() { program.https() } else { program.http() },
        "tabs": tabs,
        "browsers": browsers,
        "expected": {
            "fetched": comes(trial.fetch),
            "live": trial.live,
            "waiting": trial.waiting,
            "nextAfterClose": after.and_then(|after| after.next_tab).map(comes),
            "fetchedAfterClose": after.map(|after| comes(after.fetch)),
        },
    })
}

/// How the tests are told where the program is.
fn ports(program: &Program) -> [(&str, &str); 2] {
    [
        ("WELLSPRING_HTTP", program.http()),
        ("WELLSPRING_HTTPS", program.https()),
    ]
}

/// Runs one file of tests, of which so many must pass: `node --test` is content with none at all.
fn pass(file: &str, environment: &[(&str, &str)], tests: usize) {
    let chromium = installed("CHROMIUM", "chromium");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    install(&folder);
    let output = Command::new("node")
        .args(["--test", file])
        .current_dir(&folder)
        .env("CHROMIUM", chromium)
        .envs(environment.iter().copied())
        .output()
        .expect("node 20 must be installed (apt-get install nodejs npm)");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains(&format!("pass {tests}\n")),
        "{tests} tests must pass:\n{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The program that the variable names, or Debian's of this package.
fn installed(variable: &str, package: &str) -> String {
    let debians = || PathBuf::from(format!("/usr/bin/{package}"));
    let program = std::env::var_os(variable).map_or_else(debians, PathBuf::from);
    assert!(
        program.exists(),
        "{} is not there: install it (apt-get install {package}), or name another with {variable}=path",
        program.display()
    );
    program.display().to_string()
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
