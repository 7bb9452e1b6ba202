//! What cannot be: one line that says so, and exit code 1.

use std::net::TcpListener;

use super::{lines, server, topic};
use crate::process::Process;

/// Runs the program, which must fail with this one line.
fn assert_fails(arguments: &[&str], input: &str, line: &str) {
    let finished = Process::run(arguments, input);
    assert_eq!(finished.code, Some(1), "{arguments:?}: {finished:?}");
    assert_eq!(
        finished.errors,
        [format!("wellspring: {line}")],
        "{arguments:?}"
    );
}

#[test]
fn nobody_is_there() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{nobody}");
    let line = format!("cannot connect to {nobody}: connection refused (is the server running?)");
    assert_fails(&["publish", "--url", &url, "t"], "line 1\n", &line);
    assert_fails(&["tail", &url], "", &line);
}

#[test]
fn the_certificate_is_nobodys() {
    let server = server();
    let line = format!(
        "certificate of {} is not trusted: its authority is unknown; give its CA with --cacert FILE (for an upstream: --upstream-cacert FILE)",
        server.https().trim_start_matches("https://")
    );
    assert_fails(
        &["publish", "--url", server.https(), "t"],
        "line 1\n",
        &line,
    );
    assert_fails(
        &["tail", &format!("{}/topics/t", server.https())],
        "",
        &line,
    );
}

#[test]
fn the_server_does_not_take_it() {
    let server = server();
    let name = "n".repeat(300);
    for input in ["", "line 1\n"] {
        let line = format!(
            "{}/topics/{name}: 400 Bad Request: a topic's name has at most 256 bytes, this one has 300",
            server.http()
        );
        assert_fails(&["publish", "--url", server.http(), &name], input, &line);
    }
    let url = format!("{}/healthz", server.http());
    let line = format!("{url} is not an event stream, but text/plain");
    assert_fails(&["tail", &url], "", &line);

    let url = format!("{}/nowhere", server.http());
    let tail = Process::run(&["tail", &url], "");
    assert_eq!((tail.code, tail.errors.len()), (Some(1), 1), "{tail:?}");
    let begin = format!("wellspring: {url}: 404 Not Found");
    assert!(tail.errors[0].starts_with(&begin), "{tail:?}");
}

/// Runs `publish`, which must fail with this last line after it has published two.
fn assert_fails_after_two(arguments: &[&str], input: &[&[u8]], line: &str) {
    let server = server();
    let mut command = vec!["publish", "--url", server.http(), "t"];
    command.extend(arguments);
    let publish = Process::run(&command, input.concat());
    assert_eq!(publish.code, Some(1), "{publish:?}");
    assert_eq!(publish.errors.len(), 2, "{publish:?}");
    assert!(
        publish.errors[0].contains("published 2 lines to t"),
        "{publish:?}"
    );
    assert_eq!(publish.errors[1], format!("wellspring: {line}"));
    assert_eq!(topic(&server, "t", 2), lines(1..=2));
}

#[test]
fn a_line_is_larger_than_an_event_may_be() {
    let large = b"x".repeat(300_000);
    let line = "line 3: 413 Payload Too Large: the data is longer than 262144 bytes";
    assert_fails_after_two(&[], &[b"line 1\nline 2\n", &large, b"\nline 4\n"], line);
}

#[test]
fn a_line_is_not_utf_8() {
    let line = "line 3 is not UTF-8";
    assert_fails_after_two(&[], &[b"line 1\nline 2\n", b"caf\xe9\n", b"line 4\n"], line);
}

#[test]
fn a_line_has_no_end() {
    let endless = b"x".repeat(2 << 20);
    let line = "line 3 is longer than 1 MiB";
    assert_fails_after_two(&[], &[b"line 1\nline 2\n", &endless], line);
}

#[test]
fn a_line_is_no_event() {
    let begin = b"{\"data\":\"line 1\"}\n\n{\"data\":\"line 2\"}\n";
    let after = b"{\"data\":\"line 5\"}\n";
    // Found by us: a line that is no object could be given no key.
    let line = "line 4 is no event: expected a JSON object";
    assert_fails_after_two(&["--ndjson"], &[begin, b"\"line 4\"\n", after], line);
    // Found by the server, which counts the lines that it is sent.
    let server_line = "line 4: 400 Bad Request: unknown field `date`, expected one of `event`, `data`, `retry`, `key` (column 7)";
    assert_fails_after_two(
        &["--ndjson"],
        &[begin, b"{\"date\":\"x\"}\n", after],
        server_line,
    );
}
