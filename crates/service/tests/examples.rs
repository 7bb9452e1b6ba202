//! The examples, started as a newcomer would start them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use wellspring::event::Decoder;

#[test]
fn the_hyper_example_ticks() {
    let example = Example::start("hyper");
    let mut tab = example.get("/clock");
    let seconds = |tick: String| tick.strip_suffix(" s").unwrap().parse::<u64>().unwrap();
    let first = seconds(tab.event());
    assert_eq!(seconds(tab.event()), first + 1);
}

#[test]
fn the_axum_example_streams_three_ways() {
    let example = Example::start("axum");

    let mut topic = example.get("/topics/news");
    let id = example.post("/publish/news", "hello");
    assert_eq!(topic.event(), "hello");
    assert_eq!(topic.decoder.last_event_id(), id);
    let mut again = example.get("/topics/news?last_event_id=earliest");
    assert_eq!(again.event(), "hello", "nested under a path, and resumable");

    let mut countdown = example.get("/countdown");
    assert_eq!(["3", "2", "1"], [(); 3].map(|()| countdown.event()));

    let (mut whole, mut part) = (example.get("/answer"), example.get("/answer"));
    let mut words = vec![whole.event()];
    assert_eq!(part.event(), "It");
    let seen = part.decoder.last_event_id().to_owned();
    drop(part);
    let mut resumed = example.get(&format!("/answer?last_event_id={seen}"));
    assert_eq!(resumed.event(), "is");
    while words.last().is_some_and(|word| word != "start.") {
        words.push(whole.event());
    }
    assert_eq!(
        words.join(" "),
        "It is written once and read by all who come, from the start."
    );
}

/// A running example; it ends with the test.
struct Example {
    program: Child,
    address: String,
}

impl Example {
    fn start(name: &str) -> Self {
        let mut program = Command::new(built(name))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("example {name}: {error}"));
        let mut said = String::new();
        let mut out = BufReader::new(program.stdout.take().unwrap());
        out.read_line(&mut said).unwrap();
        let address = said
            .split("http://")
            .nth(1)
            .and_then(|url| url.split('/').next());
        let address = address
            .unwrap_or_else(|| panic!("no address in {said:?}"))
            .to_owned();
        Self { program, address }
    }

    fn get(&self, path: &str) -> Tab {
        let mut socket = self.connect();
        write!(
            socket,
            "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.address
        )
        .unwrap();
        let mut tab = Tab {
            socket: BufReader::new(socket),
            decoder: Decoder::new(),
            unread: Vec::new(),
        };
        assert_eq!(tab.line(), "HTTP/1.1 200 OK");
        while tab.line() != "" {}
        tab
    }

    fn post(&self, path: &str, body: &str) -> String {
        let mut socket = self.connect();
        let (host, length) = (&self.address, body.len());
        write!(
            socket,
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\
             Content-Type: text/plain\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        socket
    }
}

/// `cargo test` builds the examples before it runs the tests, beside the folder that holds them;
/// `cargo test --test examples` alone does not.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let example = profile.join("examples").join(name);
    if !example.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--package", "wellspring", "--example", name]);
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(
            cargo.status().unwrap().success(),
            "example {name} does not build"
        );
    }
    example
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

struct Tab {
    socket: BufReader<TcpStream>,
    decoder: Decoder,
    /// What is left of the last chunk.
    unread: Vec<u8>,
}

impl Tab {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.socket.read_line(&mut line).expect("a line in time");
        line.trim_end_matches("\r\n").to_owned()
    }

    /// The data of the next event.
    fn event(&mut self) -> String {
        loop {
            let mut bytes = self.unread.as_slice();
            let event = self.decoder.decode(&mut bytes).expect("a small event");
            let event = event.map(|message| message.data().to_owned());
            self.unread = bytes.to_vec();
            if let Some(data) = event {
                return data;
            }
            let length = usize::from_str_radix(&self.line(), 16).expect("a chunk's length");
            assert_ne!(length, 0, "the stream has ended");
            self.unread.resize(length, 0);
            self.socket.read_exact(&mut self.unread).unwrap();
            assert_eq!(self.line(), "");
        }
    }
}
