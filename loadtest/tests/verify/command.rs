//! The program itself: what it prints, and its exit status.

use std::process::{Command, Output};

use http::StatusCode;

use crate::server::{Fault, Served, Transport};

/// Runs the program to its end beside the server, which goes on in the test's runtime.
pub(crate) async fn wellspring_load(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wellspring-load"));
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn zero_when_all_was_delivered() {
    let served = Served::start(Transport::Http2, Fault::None).await;
    let file = served.authority_file().unwrap();
    let url = served.url();
    let arguments = [
        "-c",
        "2",
        "-s",
        "5",
        "-n",
        "200",
        "--cuts",
        "3",
        "--retry",
        "5",
        "--seed",
        "7",
        "--cacert",
        file.to_str().unwrap(),
        &url,
    ];
    let output = wellspring_load(&arguments).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    for line in [
        "subscribers         10 over 2 connections",
        "expected            2000",
        "received            2000",
        "seed 7",
        "bytes per event",
        "fan-out spread",
        "own CPU",
    ] {
        assert!(out.contains(line), "{line:?} is missing in\n{out}");
    }
}

#[tokio::test]
async fn one_when_something_was_lost() {
    let served = Served::start(Transport::Http1, Fault::Doubles(3)).await;
    let output = wellspring_load(&[
        "-c",
        "2",
        "-n",
        "100",
        "--output-format",
        "json",
        &served.url(),
    ])
    .await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (
            json["schema"].as_u64(),
            json["totals"]["duplicated"].as_u64()
        ),
        (Some(2), Some(2)),
        "{json}"
    );
    assert_eq!(json["faulty"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn one_when_an_expectation_does_not_hold() {
    let served = Served::start(Transport::Http1, Fault::None).await;
    let url = served.url();
    let arguments = [
        "-c",
        "2",
        "-n",
        "100",
        "--assert",
        "lost==0",
        "--assert",
        "p99<0.001us",
        &url,
    ];
    let output = wellspring_load(&arguments).await;
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(
        err.contains("expected p99<0.001us, found") && !err.contains("expected lost"),
        "{err}"
    );
    let kept = wellspring_load(&["-c", "2", "-n", "100", "--assert", "p99<60s", &url]).await;
    assert_eq!(kept.status.code(), Some(0), "{}", text(&kept.stderr));
}

#[tokio::test]
async fn several_runs_are_printed_side_by_side() {
    let plain = Served::start(Transport::Http1, Fault::None).await;
    let secure = Served::start(Transport::Http2, Fault::None).await;
    let (first, second) = (plain.url(), secure.url());
    let output = wellspring_load(&[
        "-c",
        "2",
        "-s",
        "3",
        "-n",
        "50",
        "--insecure",
        "--http1.1",
        &first,
    ])
    .await;
    assert_eq!(
        output.status.code(),
        Some(2),
        "several streams need HTTP/2: {}",
        text(&output.stderr)
    );
    let output = wellspring_load(&["-c", "6", "-n", "50", "--insecure", &first, &second]).await;
    let out = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{out}{}",
        text(&output.stderr)
    );
    assert!(
        out.lines()
            .any(|line| line.contains("HTTP/1.1  ") && line.contains("HTTP/2 over TLS")),
        "{out}"
    );
    let received: Vec<_> = out
        .lines()
        .find(|line| line.starts_with("received"))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(received, ["received", "300", "300"], "{out}");
}

#[tokio::test]
async fn reports_are_written_to_files() {
    let served = Served::start(Transport::Http1, Fault::None).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (csv, html, hgrm, url) = (path("a.csv"), path("a.html"), path("a.hgrm"), served.url());
    let arguments = [
        "-c",
        "3",
        "-z",
        "1200ms",
        "-q",
        "100",
        "--output-format",
        "csv",
        "-o",
        &csv,
        "--html",
        &html,
        "--hgrm",
        &hgrm,
        &url,
    ];
    let output = wellspring_load(&arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));

    let csv = std::fs::read_to_string(csv).unwrap();
    let lines: Vec<Vec<_>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((lines.len(), lines[0].len()), (2, lines[1].len()), "{csv}");
    let column = lines[0]
        .iter()
        .position(|&name| name == "totals.received")
        .unwrap();
    assert_eq!(lines[1][column], "360", "{csv}");

    let html = std::fs::read_to_string(html).unwrap();
    assert_eq!(html.matches("<svg ").count(), 6, "{html}");
    assert!(html.contains("3 subscribers got all 120 events"), "{html}");

    let hgrm = std::fs::read_to_string(hgrm).unwrap();
    assert!(
        hgrm.contains("Percentile") && hgrm.contains("Total count    =          360"),
        "{hgrm}"
    );
}

#[tokio::test]
async fn each_second_is_a_line() {
    let served = Served::start(Transport::Http1, Fault::None).await;
    let output = wellspring_load(&[
        "-c",
        "2",
        "-z",
        "2500ms",
        "-q",
        "100",
        "--no-tui",
        &served.url(),
    ])
    .await;
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    let seconds: Vec<_> = err.lines().filter(|line| line.contains("2 open")).collect();
    assert!(seconds.len() >= 2, "{err}");
    assert!(
        seconds
            .iter()
            .all(|line| line.contains("events/s") && line.contains("p99")),
        "{err}"
    );
}

#[tokio::test]
async fn an_interrupted_run_still_reports() {
    let served = Served::start(Transport::Http1, Fault::None).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_wellspring-load"));
    command.args(["-c", "2", "-z", "10m", "-q", "100", &served.url()]);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id().to_string();
    let waiting = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    // It is under way when it publishes.
    while served.topic.length() < 20 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = tokio::time::timeout(std::time::Duration::from_secs(20), waiting)
        .await
        .unwrap()
        .unwrap();
    let out = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{out}{}",
        text(&output.stderr)
    );
    let events = served.topic.length();
    assert!(
        out.contains(&format!("expected            {}", events * 2)),
        "{out}"
    );
}

#[tokio::test]
async fn the_self_check_starts_its_own_other_side() {
    let output = wellspring_load(&["--calibrate", "-c", "50", "-q", "20", "-z", "500ms"]).await;
    let out = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{out}{}",
        text(&output.stderr)
    );
    for words in [
        "complete            yes",
        "own error",
        "broadcaster's CPU",
        "ceiling",
    ] {
        assert!(out.contains(words), "{words:?} is missing in\n{out}");
    }
}

#[tokio::test]
async fn two_when_it_was_used_badly() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let closed = format!("http://{free}/topics/t");
    for (arguments, word) in [
        (&["nonsense"][..], "'nonsense'"),
        (&["https://localhost/"], "--cacert"),
        (&["--fast", "http://localhost/"], "--fast"),
        (&["--assert", "fast", "http://localhost/"], "p99<50ms"),
        (&["-s", "2", "http://localhost/"], "HTTP/2"),
        (&["-c", "100m", "http://localhost/"], "ulimit"),
        (&["--pid", "4294967295", &closed], "--pid"),
    ] {
        let output = wellspring_load(arguments).await;
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(word), "{arguments:?}: {err}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_measured_is_one_line_that_says_what_to_do() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let closed = format!("http://{free}/topics/t");
    let page = Served::start(Transport::Http1, Fault::ContentType("text/html")).await;
    let private = Served::start(Transport::Http1, Fault::Answers(StatusCode::UNAUTHORIZED)).await;
    let stranger = Served::start(Transport::Http2, Fault::None).await;
    let other = Served::start(Transport::Http2, Fault::None).await;
    let authority = other.authority_file().unwrap();
    let authority = authority.to_str().unwrap();
    let (page, private, stranger) = (page.url(), private.url(), stranger.url());
    let plain_as_tls = private.replace("http:", "https:");
    for (arguments, words) in [
        (
            &[closed.as_str()][..],
            &["refused", "is the server running"][..],
        ),
        (
            &["http://no-such-host.invalid/"],
            &["no-such-host.invalid", "check the host name"],
        ),
        (
            &[&page],
            &["text/html", "not with text/event-stream", "URL"],
        ),
        (&[&private], &["401", "-H"]),
        (&["--cacert", authority, &stranger], &["TLS", "--insecure"]),
        (&["--insecure", &plain_as_tls], &["TLS", "http:"]),
        (
            &["--http1.1", "--insecure", &stranger],
            &["does not speak HTTP/1.1", "--http2"],
        ),
    ] {
        let output = wellspring_load(arguments).await;
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        // The first line says what is tried.
        let lines: Vec<_> = err.lines().skip(1).collect();
        assert_eq!(lines.len(), 1, "{arguments:?}: {err}");
        for word in words {
            assert!(
                lines[0].contains(word),
                "{word:?} is missing for {arguments:?}: {err}"
            );
        }
    }
}

#[tokio::test]
async fn bad_use_of_a_word_names_the_whole_command() {
    for word in ["model", "lab"] {
        let output = wellspring_load(&[word, "--surplus"]).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let usage = format!("Usage: wellspring-load {word} ");
        assert!(text(&output.stderr).contains(&usage), "{output:?}");
    }
}
