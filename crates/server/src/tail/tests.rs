//! Following streams that break, against a server that says exactly what it is told to.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

/// Answers one connection after the other with these bytes, closes it, and gives back the heads of the requests.
async fn server(answers: &'static [&'static str]) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(serve(listener, answers)))
}

async fn serve(listener: TcpListener, answers: &[&str]) -> Vec<String> {
    let mut requests = Vec::new();
    for answer in answers {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        requests.push(String::from_utf8(head).unwrap());
        socket.write_all(answer.as_bytes()).await.unwrap();
    }
    requests
}

fn options(arguments: &[&str]) -> TailOptions {
    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        options: TailOptions,
    }
    let arguments = ["tail"].iter().chain(arguments);
    <Command as clap::Parser>::try_parse_from(arguments)
        .unwrap()
        .options
}

/// What is printed, and how it ended.
async fn tail(arguments: &[&str]) -> (String, Result<(), TailError>) {
    let options = options(arguments);
    let client = HttpClient::new(&options.trust).unwrap();
    let mut output = Vec::new();
    let result = Tail::new(client, &options, &mut output).follow().await;
    (String::from_utf8(output).unwrap(), result)
}

/// The value of a header of a request.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

const GONE: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn it_comes_back_after_a_break_and_stays_away_after_a_204() {
    let (address, requests) = server(&[
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 10\nid: a-1\ndata: one\n\nid: a-2\ndata: tw",
        "HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream;charset=utf-8\r\n\r\nid: a-2\ndata: two\n\n",
        GONE,
    ])
    .await;
    let (printed, result) = tail(&[&format!("http://{address}/topics/t")]).await;
    result.unwrap();
    assert_eq!(printed, "one\ntwo\n");
    let requests = requests.await.unwrap();
    let ids: Vec<_> = requests
        .iter()
        .map(|head| header(head, "last-event-id"))
        .collect();
    assert_eq!(ids, [None, Some("a-1"), Some("a-2")]);
    assert_eq!(header(&requests[0], "accept"), Some("text/event-stream"));
    assert_eq!(header(&requests[0], "cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_stream_that_broke_before_its_first_event_goes_on_from_where_it_began() {
    let (address, requests) = server(&[
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nlast-event-id: a-7\r\n\r\nretry: 10\n",
        GONE,
    ])
    .await;
    let (_, result) = tail(&[&format!("http://{address}/"), "--from=earliest"]).await;
    result.unwrap();
    let requests = requests.await.unwrap();
    assert!(requests[0].starts_with("GET /?last_event_id=earliest HTTP/1.1\r\n"));
    assert!(requests[1].starts_with("GET / HTTP/1.1\r\n"));
    assert_eq!(header(&requests[1], "last-event-id"), Some("a-7"));
}

#[tokio::test]
async fn it_begins_after_an_id() {
    let (address, requests) = server(&[GONE]).await;
    tail(&[&format!("http://{address}/"), "--from=a-3"])
        .await
        .1
        .unwrap();
    let requests = requests.await.unwrap();
    assert_eq!(header(&requests[0], "last-event-id"), Some("a-3"));
}

#[tokio::test]
async fn enough_is_enough_and_a_gap_does_not_count() {
    let (address, _requests) = server(&["HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
         event: gap\ndata: {\"reason\":\"epoch\",\"requested\":\"b-1\",\"first\":null,\"last\":null,\"missed\":null}\n\n\
         data: one\n\ndata: two\n\ndata: three\n\n"])
    .await;
    let (printed, result) = tail(&[&format!("http://{address}/"), "--count=2"]).await;
    result.unwrap();
    assert_eq!(printed, "one\ntwo\n");
}

#[tokio::test]
async fn anything_but_a_stream_is_final() {
    for (answer, line) in [
        (
            "HTTP/1.1 404 Not Found\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\r\n{\"detail\":\"no such run\"}",
            "404 Not Found: no such run",
        ),
        (
            "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n",
            "503 Service Unavailable",
        ),
        (
            "HTTP/1.1 301 Moved Permanently\r\nlocation: https://example.org/\r\nconnection: close\r\n\r\n",
            "301 Moved Permanently: it is at https://example.org/",
        ),
    ] {
        let (address, _requests) = server(Box::leak(Box::new([answer]))).await;
        let url = format!("http://{address}/t");
        let (_, result) = tail(&[&url]).await;
        assert_eq!(result.unwrap_err().to_string(), format!("{url}: {line}"));
    }
}

#[tokio::test]
async fn another_type_is_no_stream() {
    let (address, _requests) =
        server(&["HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<p>"])
            .await;
    let url = format!("http://{address}/t");
    let (_, result) = tail(&[&url]).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        format!("{url} is not an event stream, but text/html")
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for_only_on_demand() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/t");
    let (_, result) = tail(&[&url]).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        format!("cannot connect to {address}: connection refused (is the server running?)")
    );
    let late = async {
        // Long enough for a first attempt; should that be late, too, the test shows less and passes all the same.
        tokio::time::sleep(Duration::from_millis(200)).await;
        serve(TcpListener::bind(address).await.unwrap(), &[GONE]).await
    };
    let arguments = [url.as_str(), "--wait"];
    let ((_, result), _) = tokio::join!(tail(&arguments), late);
    result.unwrap();
}
