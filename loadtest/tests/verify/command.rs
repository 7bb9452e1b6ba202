//! The program itself: what it prints, and its exit status.

use std::process::{Command, Output};

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
        (&[&closed], "is the server running"),
        (&["http://no-such-host.invalid/"], "no-such-host.invalid"),
        (&["-s", "2", "http://localhost/"], "HTTP/2"),
    ] {
        let output = wellspring_load(arguments).await;
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(word), "{arguments:?}: {err}");
    }
}
