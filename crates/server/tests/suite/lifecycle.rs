//! From configuration to the end: what the program is told, what it logs, and how it leaves.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{PATIENCE, Process, Signal};
use crate::program::Program;
use crate::stream::{Events, data};
use crate::transport::{Client, Transport, Whole, get, post, publish, run_of};

#[tokio::test]
async fn a_drain_tells_readers_when_to_come_back_and_ends_in_good_order() {
    let program = Program::start(&["--drain", "1m"]);
    let ready = Whole::of(&program, Transport::Http1, get("/readyz")).await;
    assert_eq!((ready.status.as_u16(), ready.text()), (200, "ready\n"));
    let mut streams = Vec::new();
    for transport in Transport::ALL {
        for path in ["/topics/drained", "/topics?topic=drained&topic=other"] {
            streams.push((transport, Events::open(&program, transport, path).await));
        }
    }
    publish(&program, "drained", "last").await;
    program.signal(Signal::TERM);
    for (transport, events) in &mut streams {
        // Everything that was published, then the line, then an end without a fault.
        assert_eq!(data(&events.rest().await), ["last"], "{transport:?}");
        let text = events.text();
        let (_, line) = text.rsplit_once("\n\n").unwrap();
        let retry = line.strip_prefix("retry: ").unwrap().trim_end();
        assert!(
            (1..=60_000).contains(&retry.parse().unwrap()),
            "{transport:?}: {text:?}"
        );
    }
    drop(streams);
    let begun = Instant::now();
    let end = program.ended().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "nobody was left to wait for"
    );
}

#[tokio::test]
async fn while_it_drains_it_is_not_ready() {
    let program = Program::start(&["--drain", "1m"]);
    let (location, mut answer) = ask(&program, Transport::Http2, 150).await;
    answer.next().await;
    program.signal(Signal::TERM);
    program
        .logged("the drain", |line| line.contains("draining"))
        .await;
    // Whoever is let in at all is told; the listeners close at the same time.
    if let Ok(socket) = tokio::net::TcpStream::connect(program.address(false)).await {
        let io = hyper_util::rt::TokioIo::new(socket);
        if let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(io).await {
            tokio::spawn(async move { drop(connection.await) });
            let mut request = get("/readyz");
            request
                .headers_mut()
                .insert("host", "localhost".parse().unwrap());
            if let Ok(response) = sender.send_request(request).await {
                assert_eq!(response.status(), 503);
            }
        }
    }
    assert!(!location.is_empty());
    assert_eq!(answer.rest().await.last().unwrap().data, "[DONE]");
    assert_eq!(program.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_run_under_way_may_finish() {
    let program = Program::start(&["--drain", "1m"]);
    let mut answers = Vec::new();
    for transport in Transport::ALL {
        let (path, mut answer) = ask(&program, transport, 60).await;
        answer.next().await;
        let native = Events::open(&program, transport, &path).await;
        answers.push((transport, answer, native));
    }
    program.signal(Signal::TERM);
    for (transport, answer, native) in &mut answers {
        assert_eq!(
            answer.rest().await.last().unwrap().data,
            "[DONE]",
            "{transport:?}"
        );
        assert_eq!(
            native.rest().await.last().unwrap().event,
            "done",
            "{transport:?}"
        );
    }
    drop(answers);
    let end = program.ended().await;
    assert_eq!(end.code, Some(0), "{end:?}");
}

#[tokio::test]
async fn a_run_beyond_the_deadline_is_cut_and_looks_cut() {
    let program = Program::start(&["--drain", "300ms"]);
    let mut answers = Vec::new();
    for transport in Transport::ALL {
        let (_, mut answer) = ask(&program, transport, 2_000).await;
        answer.next().await;
        answers.push((transport, answer));
    }
    program.signal(Signal::TERM);
    for (transport, answer) in &mut answers {
        assert!(
            breaks(answer).await,
            "{transport:?} ended as if it were whole"
        );
    }
    assert_eq!(program.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::INT)] {
        let program = Program::start(&["--drain", "1h"]);
        let (_, mut answer) = ask(&program, Transport::Http2, 2_000).await;
        answer.next().await;
        program.signal(first);
        program
            .logged("the drain", |line| line.contains("draining"))
            .await;
        program.signal(second);
        assert!(breaks(&mut answer).await);
        let end = program.ended().await;
        assert_eq!(end.code, Some(1), "{end:?}");
    }
}

#[test]
fn bad_use_is_one_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("unknown.toml", "http = \"off\"\n\nhtps = \"127.0.0.1:0\"\n");
    write("value.toml", "heartbeat = \"soon\"\n");
    write("broken.toml", "http = \n");
    write("bad.pem", "no certificate\n");
    write("empty.key", "\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: [(&[&str], &[&str]); 18] = [
        (&["--htps", "off"], &["--htps"]),
        (&["--http", "nowhere"], &["--http", "nowhere"]),
        (&["--heartbeat", "soon"], &["--heartbeat", "soon"]),
        (&["--heartbeat", "0s"], &["--heartbeat", "0s"]),
        (&["--topic-events", "0"], &["--topic-events", "0"]),
        (&["--overflow", "explode"], &["--overflow", "explode"]),
        (&["--upstream", "nonsense"], &["--upstream", "nonsense"]),
        (&["--log", "wellspring=loud"], &["--log", "wellspring=loud"]),
        (&["serve", "surplus"], &["surplus"]),
        (&["--http", "off", "--https", "off"], &["--http", "--https"]),
        (&["--cert", "bad.pem"], &["--cert", "--key"]),
        (&["--config", "missing.toml"], &["missing.toml"]),
        (&["--config", "unknown.toml"], &["unknown.toml:3", "htps"]),
        (&["--config", "value.toml"], &["value.toml:1", "soon"]),
        (&["--config", "broken.toml"], &["broken.toml:1"]),
        (
            &[
                "--https",
                "127.0.0.1:0",
                "--cert",
                "no.pem",
                "--key",
                "no.key",
            ],
            &["no.pem"],
        ),
        (
            &[
                "--https",
                "127.0.0.1:0",
                "--cert",
                "bad.pem",
                "--key",
                "bad.pem",
            ],
            &["bad.pem"],
        ),
        (&["--http", &taken, "--https", "off"], &[&taken]),
    ];
    for (arguments, named) in cases {
        let end = Process::run_in(folder.path(), &[], arguments);
        assert_eq!(end.code, Some(2), "{arguments:?}: {end:?}");
        assert_eq!(end.errors.len(), 1, "{arguments:?}: {end:?}");
        for name in named {
            assert!(end.errors[0].contains(name), "{arguments:?}: {end:?}");
        }
        assert!(end.output.is_empty(), "{arguments:?}: {end:?}");
    }
    for name in ["missing.key", "empty.key"] {
        let arguments = [
            "--upstream",
            "http://localhost/v1",
            "--upstream-key-file",
            name,
        ];
        let end = Process::run_in(folder.path(), &[], &arguments);
        assert_eq!(
            (end.code, end.errors.len()),
            (Some(2), 1),
            "{name}: {end:?}"
        );
    }
    let end = Process::run_in(folder.path(), &[("WELLSPRING_HTTP", "elsewhere")], &[]);
    assert_eq!((end.code, end.errors.len()), (Some(2), 1), "{end:?}");
    assert!(end.errors[0].contains("elsewhere"), "{end:?}");
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wellspring.toml");
    std::fs::write(&file, "upstream = \"http://file.invalid/v1\"\n").unwrap();
    let file = file.to_str().unwrap();
    let environment = ("WELLSPRING_UPSTREAM", "http://environment.invalid/v1");
    let config = ("WELLSPRING_CONFIG", file);
    let flag = ["--upstream", "http://flag.invalid/v1"];
    for (environment, arguments, winner) in [
        (&[][..], &[][..], "built-in demo"),
        (&[config], &[], "file.invalid"),
        (&[config, environment], &[], "environment.invalid"),
        (&[config, environment], &flag, "flag.invalid"),
        (&[environment], &["--config", file], "environment.invalid"),
    ] {
        let program = Program::start_in(environment, arguments);
        let told = program.printed("chats are answered by");
        assert!(
            told.contains(winner),
            "{environment:?} {arguments:?}: {told}"
        );
    }
}

#[test]
fn the_start_says_who_answers_unasked() {
    let (one, two) = ("one=http://one.invalid/v1", "two=http://two.invalid/v1");
    let program = Program::start_in(&[], &["--upstream", one, "--upstream", two]);
    let told = program.printed("chats are answered by");
    assert!(told.contains("http://one.invalid/v1"), "{told}");
    let told = program.printed("with X-Upstream: two");
    assert!(told.contains("http://two.invalid/v1"), "{told}");
}

#[test]
fn the_file_limit_is_raised_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    let mut program = std::process::Command::new("sh")
        .current_dir(folder.path())
        .args(["-c", "ulimit -S -n 64; exec \"$0\" \"$@\""])
        .args([env!("CARGO_BIN_EXE_wellspring"), "--https", "off"])
        .args(["--http", "127.0.0.1:0", "--ready-file", "ready.json"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !ready.exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.id())).unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = files.unwrap().split_whitespace().collect();
    assert_ne!(words[3], "64");
    assert_eq!(words[3], words[4], "{limits}");
}

#[test]
fn help_is_readable_at_a_glance_and_names_every_command() {
    let help = Process::run(&["--help"], "");
    assert_eq!((help.code, help.errors.len()), (Some(0), 0), "{help:?}");
    for command in ["serve", "certs", "publish", "tail"] {
        let named = |line: &String| line.trim_start().starts_with(command);
        assert!(help.output.iter().any(named), "{command}: {help:?}");
        let own = Process::run(&[command, "--help"], "");
        assert_eq!((own.code, own.errors.len()), (Some(0), 0), "{own:?}");
    }
    assert!(
        help.output.iter().all(|line| line.chars().count() <= 120),
        "{help:?}"
    );
    let version = Process::run(&["--version"], "");
    assert_eq!(
        version.output,
        [concat!("wellspring ", env!("CARGO_PKG_VERSION"))]
    );
}

#[tokio::test]
async fn each_connection_is_told_in_one_line_when_it_ends() {
    let program = Program::start(&["--log-format", "json"]);
    for (transport, protocol, scheme) in [
        (Transport::Http1, "h1", "http"),
        (Transport::Http1Tls, "h1", "https"),
        (Transport::Http2, "h2", "https"),
        (Transport::H2c, "h2", "http"),
    ] {
        let topic = format!("told-{transport:?}");
        let mut events = Events::open(&program, transport, &format!("/topics/{topic}")).await;
        for text in ["1", "2", "3"] {
            publish(&program, &topic, text).await;
        }
        events.take(3).await;
        let received = events.text().len();
        events.cut().await;
        let about = |line: &str| line.contains(&topic);
        let line = program.logged("the connection's line", about).await;
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told["message"], json!("connection ended"), "{line}");
        assert_eq!(told["protocol"], json!(protocol), "{line}");
        assert_eq!(told["scheme"], json!(scheme), "{line}");
        assert_eq!(told["topics"], json!(topic), "{line}");
        assert_eq!(told["events"], json!(3), "{line}");
        assert_eq!(told["event_bytes"], json!(received), "{line}");
        assert!(
            told["peer"].as_str().unwrap().starts_with("127.0.0.1:"),
            "{line}"
        );
        assert!(
            told["reason"].as_str().unwrap().starts_with("peer "),
            "{line}"
        );
        assert!(
            told["bytes_out"].as_u64().unwrap() > received as u64,
            "{line}"
        );
    }
    let end = program.terminate().await;
    let mut ids: Vec<u64> = Vec::new();
    for line in &end.errors {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        if told["message"] == json!("connection ended") {
            ids.push(told["id"].as_u64().unwrap());
        }
    }
    // Four readers, and a connection for each of their three events.
    assert_eq!(ids.len(), 16, "{end:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 16, "one line each: {end:?}");
}

#[tokio::test]
async fn no_key_is_in_any_line() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key");
    std::fs::write(&key, "sk-very-secret-1\n").unwrap();
    // Nobody listens there: errors talk the most.
    let program = Program::start_in(
        &[("WELLSPRING_UPSTREAM_KEY", "sk-very-secret-2")],
        &[
            "--log",
            "trace",
            "--upstream",
            "http://127.0.0.1:9/v1",
            "--upstream-key-file",
            key.to_str().unwrap(),
        ],
    );
    let chat = json!({ "stream": true, "messages": [{ "role": "user", "content": "?" }] });
    for transport in Transport::ALL {
        let mut chat = post("/v1/chat/completions", "application/json", chat.to_string());
        let client = "Bearer sk-very-secret-3".parse().unwrap();
        chat.headers_mut().insert("authorization", client);
        let answer = Whole::of(&program, transport, chat).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(!answer.text().contains("very-secret"), "{answer:?}");
    }
    let certificates = program.authority().parent().unwrap().to_owned();
    let mut secrets = vec!["very-secret".to_owned(), "PRIVATE KEY".to_owned()];
    for name in ["ca.key", "leaf.key"] {
        let pem = std::fs::read_to_string(certificates.join(name)).unwrap();
        let body = pem.lines().filter(|line| !line.starts_with('-'));
        secrets.extend(body.map(str::to_owned));
    }
    let end = program.terminate().await;
    assert!(end.errors.len() > 20, "it does log at this level");
    for line in end.errors.iter().chain(&end.output) {
        for secret in &secrets {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

/// Asks the demo for an answer of so many tokens: where to read it again, and its chunks.
async fn ask(program: &Program, transport: Transport, tokens: u32) -> (String, Events) {
    let chat = json!({
        "stream": true,
        "max_tokens": tokens,
        "messages": [{ "role": "user", "content": "What is a spring?" }],
    });
    let mut client = Client::connect(program, transport).await;
    let chat = post("/v1/chat/completions", "application/json", chat.to_string());
    let response = client.send(chat).await.unwrap();
    (run_of(response.headers()), Events::of(response))
}

/// Whether the stream breaks; an end in good order would be a lie.
async fn breaks(events: &mut Events) -> bool {
    loop {
        match events.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}
