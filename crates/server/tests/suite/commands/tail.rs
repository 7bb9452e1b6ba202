//! Streams on standard output.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{lines, server};
use crate::process::{PATIENCE, Process};

#[test]
fn it_goes_on_after_an_id() {
    let server = server();
    let url = format!("{}/topics/t", server.http());
    let publish = ["publish", "--url", server.http(), "t"];
    Process::run(&publish, "line 1\nline 2\nline 3\n");
    let first = Process::run(
        &["tail", "--json", "--from=earliest", "--count=1", &url],
        "",
    );
    let event: serde_json::Value = serde_json::from_str(&first.output[0]).unwrap();
    let from = format!("--from={}", event["id"].as_str().unwrap());
    let rest = Process::run(&["tail", "--count=2", &from, &url], "");
    assert_eq!((rest.code, rest.output), (Some(0), lines(2..=3)));
}

#[test]
fn it_begins_with_the_next_event_unless_it_is_told_otherwise() {
    let server = server();
    let url = format!("{}/topics/t", server.http());
    let publish = ["publish", "--url", server.http(), "t"];
    Process::run(&publish, "before\n");
    let tail = Process::start(&["tail", "--verbose", "--count=1", &url]);
    tail.errors.wait_for_words("connected over HTTP/1.1, ", 1);
    Process::run(&publish, "line 1\n");
    assert_eq!(tail.finish().output, lines(1..=1));
}

#[test]
fn a_reader_that_has_had_enough_ends_it_quietly() {
    let server = server();
    let url = format!("{}/topics/t", server.http());
    let script = format!(
        "'{}' tail --from=earliest '{url}' | head -n 1",
        env!("CARGO_BIN_EXE_wellspring")
    );
    let mut shell = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut publish = Process::start(&["publish", "--url", server.http(), "t"]);
    // The pipe is broken by the first line; it is noticed when there is something to write, so that lines go on.
    let deadline = Instant::now() + PATIENCE;
    while shell.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it does not end");
        publish.feed("line 1\n");
        thread::sleep(Duration::from_millis(10));
    }
    publish.close_input();
    assert_eq!(publish.finish().code, Some(0));
    let output = shell.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "line 1\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn any_certificate_is_believed_on_demand() {
    let server = server();
    let publish = ["publish", "--insecure", "--url", server.https(), "t"];
    assert_eq!(Process::run(&publish, "line 1\n").code, Some(0));
    let url = format!("{}/topics/t", server.https());
    let tail = [
        "tail",
        "--insecure",
        "--verbose",
        "--from=earliest",
        "--count=1",
        &url,
    ];
    let tail = Process::run(&tail, "");
    assert_eq!((tail.code, tail.output), (Some(0), lines(1..=1)));
    assert!(
        tail.errors[0].contains("connected over HTTP/2"),
        "{:?}",
        tail.errors
    );
}
