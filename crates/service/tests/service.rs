//! The service over real sockets: HTTP/1.1 byte by byte, HTTP/2 through hyper's client.

#[path = "reading/data.rs"]
#[expect(dead_code, reason = "other tests poll readers, these read sockets")]
mod data;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use data::{Got, decode};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wellspring::event::Event;
use wellspring::{
    Cursor, End, EventBody, Hub, HubOptions, LAST_EVENT_ID, Log, LogOptions, Reader, SseService,
    Start, StreamOptions, TopicName, subscribe,
};

/// What every stream's answer begins with on HTTP/1.1.
const HEAD: &str = "HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream\r\n\
    cache-control: no-cache, no-transform\r\n\
    x-accel-buffering: no\r\n\
    x-content-type-options: nosniff\r\n";

#[tokio::test]
async fn a_whole_stream_byte_by_byte() {
    let hub = Hub::default();
    let first = publish(&hub, "t", "one\ntwo").await;
    let second = publish(&hub, "t", "").await;
    let server = serve(SseService::new(hub.clone()).with_options(options())).await;

    let mut tab = Tab::open(
        server,
        "GET /t?last_event_id=earliest HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await;
    let opening = format!(
        "{HEAD}last-event-id: {}\r\ntransfer-encoding: chunked\r\n\r\n\
         E\r\n:\nretry: 1500\n\r\n",
        Cursor::start(hub.epoch()),
    );
    tab.expect(&opening).await;
    let events = format!("data: one\ndata: two\nid: {first}\n\ndata: \nid: {second}\n\n");
    tab.expect(&chunk(&events)).await;
    let third = publish(&hub, "t", "live").await;
    tab.expect(&chunk(&format!("data: live\nid: {third}\n\n")))
        .await;
    assert_eq!(hub.drain(Duration::from_secs(20)).await, 0);
    tab.expect("C\r\nretry: 1500\n\r\n0\r\n\r\n").await;

    // The connection is whole, and carries the next request.
    tab.send("DELETE /t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let refusal = "only GET and HEAD are answered here\n";
    tab.expect(&format!(
        "HTTP/1.1 405 Method Not Allowed\r\ncontent-type: text/plain; charset=utf-8\r\n\
         allow: GET, HEAD\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{refusal}",
        refusal.len(),
    ))
    .await;
    tab.expect_end().await;
}

#[tokio::test]
async fn http_1_0_gets_the_same_until_the_connection_closes() {
    let hub = Hub::default();
    let server = serve(SseService::new(hub.clone()).with_options(options())).await;
    let mut tab = Tab::open(server, "GET /t HTTP/1.0\r\n\r\n").await;
    let head = HEAD.replace("HTTP/1.1", "HTTP/1.0");
    tab.expect(&format!(
        "{head}last-event-id: {}\r\n\r\n:\nretry: 1500\n",
        hub.tail()
    ))
    .await;
    let position = publish(&hub, "t", "x").await;
    tab.expect(&format!("data: x\nid: {position}\n\n")).await;
    hub.drain(Duration::from_secs(20)).await;
    tab.expect("retry: 1500\n").await;
    tab.expect_end().await;
}

#[tokio::test]
async fn each_refusal_has_its_status() {
    let hub = Hub::new(
        HubOptions::default()
            .with_topics(1)
            .with_topics_per_reader(2),
    );
    publish(&hub, "there", "x").await;
    let server = serve(SseService::new(hub.clone()).with_options(options())).await;
    let host = "Host: x\r\n";
    for (status, request, headers) in [
        (400, "GET /there", ""),
        (400, "GET /there", "Host: x\r\nHost: x\r\n"),
        (400, "GET /with%0Abreak", host),
        (400, "GET /not-utf8-%FF", host),
        (400, "GET /?topic=%FF", host),
        (400, "GET /?topic=", host),
        (400, "GET /?topic=a&topic=b&topic=c", host),
        (404, "GET /", host),
        (404, "GET /?other=a", host),
        (405, "POST /there", host),
        (405, "PUT /", host),
        (406, "GET /there", "Host: x\r\nAccept: application/json\r\n"),
        (406, "GET /", "Host: x\r\nAccept: text/event-stream;q=0\r\n"),
        (503, "GET /one-too-many", "Host: x\r\nAccept: */*\r\n"),
    ] {
        let (head, body) = whole(server, &format!("{request} HTTP/1.1\r\n{headers}")).await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request} {headers}: {head}"
        );
        assert!(body.ends_with('\n') && body.is_ascii(), "{body:?}");
        assert!(
            head.contains("content-type: text/plain; charset=utf-8\r\n"),
            "{head}"
        );
        assert_eq!(
            head.contains("allow: GET, HEAD\r\n"),
            status == 405,
            "{head}"
        );
        assert_eq!(head.contains("retry-after: 1\r\n"), status == 503, "{head}");
    }
    assert_eq!(
        (hub.topics(), hub.readers()),
        (1, 0),
        "a refused request made something"
    );
}

/// Any status but 200 closes an `EventSource` for good.
#[tokio::test]
async fn an_event_source_that_is_one_too_many_is_told_to_come_back() {
    let hub = Hub::new(HubOptions::default().with_topics(1));
    publish(&hub, "there", "x").await;
    let server = serve(SseService::new(hub.clone()).with_options(options())).await;
    let request = "GET /one-too-many HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n";
    let (head, body) = whole(server, request).await;
    assert!(head.starts_with(HEAD), "{head}");
    assert_eq!(body, "retry: 1500\n");
}

#[tokio::test]
async fn a_head_request_gets_the_head_alone() {
    let hub = Hub::default();
    let server = serve(SseService::new(hub.clone()).with_options(options())).await;
    let (head, body) = whole(server, "HEAD /t HTTP/1.1\r\nHost: x\r\n").await;
    assert!(head.starts_with(HEAD), "{head}");
    assert!(
        head.contains(&format!("last-event-id: {}\r\n", hub.tail())),
        "{head}"
    );
    assert!(
        !head.contains("content-length"),
        "a stream has no length: {head}"
    );
    assert_eq!(body, "");
    assert_eq!(hub.readers(), 0);
}

#[tokio::test]
async fn the_last_event_id_is_taken_from_header_or_query() {
    let hub = Hub::default();
    let first = publish(&hub, "t", "1").await;
    let second = publish(&hub, "t", "2").await;
    let third = publish(&hub, "t", "3").await;
    let server = serve(SseService::new(hub.clone()).with_options(options())).await;
    let after = |id: &dyn std::fmt::Display| format!("last-event-id: {id}\r\n");
    for (request, headers, answered, data) in [
        ("/t", after(&first), after(&first), "23"),
        ("/t", after(&second), after(&second), "3"),
        (
            &format!("/t?last_event_id={first}"),
            String::new(),
            after(&first),
            "23",
        ),
        (
            &format!("/t?last_event_id={first}"),
            after(&second),
            after(&second),
            "3",
        ),
        ("/?topic=t&topic=u", after(&first), after(&first), "23"),
        ("/t", String::new(), after(&third), ""),
    ] {
        let mut tab = Tab::open(
            server,
            &format!("GET {request} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"),
        )
        .await;
        assert!(tab.head().await.contains(&answered), "{request} {headers}");
        let got: String = tab
            .events(data.len())
            .await
            .into_iter()
            .map(|e| e.data)
            .collect();
        assert_eq!(got, data, "{request} {headers}");
    }
}

#[tokio::test]
async fn a_lost_reader_learns_where_it_stands_from_its_gap() {
    let hub = Hub::default();
    publish(&hub, "t", "1").await;
    let server = serve(SseService::new(hub.clone()).with_options(options())).await;
    let lost = "Host: x\r\nLast-Event-ID: zzzzzz-000000000007\r\n";
    let mut tab = Tab::open(server, &format!("GET /t HTTP/1.1\r\n{lost}\r\n")).await;
    let head = tab.head().await;
    assert!(
        !head.contains("last-event-id"),
        "who comes back with it is told of no gap: {head}"
    );
    let [gap, event] = &tab.events(2).await[..] else {
        panic!("a gap and an event");
    };
    assert!(
        gap.data
            .contains(r#""reason":"epoch","requested":"zzzzzz-000000000007""#)
    );
    assert_eq!(event.data, "1");
}

#[tokio::test]
async fn a_closed_tab_frees_its_reader_at_once() {
    let hub = Hub::default();
    // No heartbeat: it is the closing that is noticed, not a write that fails.
    let quiet = options().with_heartbeat(None);
    let server = serve(SseService::new(hub.clone()).with_options(quiet)).await;
    let mut tabs = Vec::new();
    for _ in 0..10 {
        let mut tab = Tab::open(server, "GET /t HTTP/1.1\r\nHost: x\r\n\r\n").await;
        tab.head().await;
        tabs.push(tab);
    }
    assert_eq!(hub.readers(), 10);
    tabs.truncate(3);
    until("closed tabs to be noticed", || hub.readers() == 3).await;

    let (mut client, _) = http2(server).await;
    let streams = [get(&mut client, "/t").await, get(&mut client, "/t").await];
    assert_eq!(hub.readers(), 5);
    let [first, second] = streams;
    drop(first);
    until("a reset stream to be noticed", || hub.readers() == 4).await;
    drop((second, client, tabs));
    until("everybody to be gone", || hub.readers() == 0).await;
}

#[tokio::test]
async fn the_same_over_http_2() {
    let hub = Hub::default();
    let first = publish(&hub, "t", "1").await;
    let server = serve(SseService::new(hub.clone()).with_options(options())).await;
    let (mut client, connection) = http2(server).await;

    let refused = request(&mut client, Method::POST, "/t").await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);

    let mut stream = get(&mut client, "/t?last_event_id=earliest").await;
    let headers = stream.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-cache, no-transform");
    assert_eq!(
        headers[LAST_EVENT_ID],
        Cursor::start(hub.epoch()).to_string()
    );
    assert!(!headers.contains_key("connection"));
    assert_eq!(text(&mut stream).await, ":\nretry: 1500\n");
    assert_eq!(text(&mut stream).await, format!("data: 1\nid: {first}\n\n"));
    let second = publish(&hub, "t", "2").await;
    assert_eq!(
        text(&mut stream).await,
        format!("data: 2\nid: {second}\n\n")
    );

    // Many on one connection, and one event for all of them.
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = get(&mut client, "/t").await;
        assert_eq!(text(&mut stream).await, ":\nretry: 1500\n");
        streams.push(stream);
    }
    let third = publish(&hub, "t", "3").await;
    streams.push(stream);
    for stream in &mut streams {
        assert_eq!(text(stream).await, format!("data: 3\nid: {third}\n\n"));
    }
    assert_eq!(hub.drain(Duration::from_secs(20)).await, 0);
    for stream in &mut streams {
        assert_eq!(text(stream).await, "retry: 1500\n");
        assert!(soon("the end", stream.frame()).await.is_none());
    }
    drop((client, streams));
    soon("the connection's end", connection).await.unwrap();
}

#[tokio::test]
async fn who_has_all_of_a_finished_stream_is_told_to_stay_away() {
    let log = Log::new(LogOptions::default());
    let only = log.append(&Event::new("all of it")).unwrap();
    let server = serve(over(log.clone())).await;
    let get = "GET / HTTP/1.1\r\nHost: x\r\n";
    log.close(End::Complete);

    let (head, body) = whole(server, get).await;
    assert!(head.starts_with(HEAD), "{head}");
    assert_eq!(
        body,
        format!(":\nretry: 1500\ndata: all of it\nid: {only}\n\n")
    );

    let returning = format!("{get}Last-Event-ID: {only}\r\n");
    let (head, body) = whole(server, &returning).await;
    assert_eq!(head, "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    assert_eq!(body, "");
}

#[tokio::test]
async fn a_failed_stream_never_ends_cleanly() {
    let log = Log::new(LogOptions::default());
    let server = serve(over(log.clone())).await;
    let mut tab = Tab::open(server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    tab.head().await;
    let (mut client, _) = http2(server).await;
    let mut stream = get(&mut client, "/").await;
    let half = log.append(&Event::new("half")).unwrap();
    log.close(End::Failed);

    let event = format!("data: half\nid: {half}\n\n");
    tab.expect(&format!("{}{}", chunk(":\nretry: 1500\n"), chunk(&event)))
        .await;
    tab.expect_end().await;

    assert_eq!(text(&mut stream).await, ":\nretry: 1500\n");
    assert_eq!(text(&mut stream).await, event);
    let broken = soon("the reset", stream.frame())
        .await
        .expect("not a clean end");
    assert!(broken.is_err());
}

/// A log of its own behind [`subscribe`], as services with routes of their own do it.
fn over(
    log: Log,
) -> impl Service<
    Request<Incoming>,
    Response = Response<EventBody>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<EventBody>, Infallible>> + Send,
> + Clone {
    service_fn(move |request: Request<Incoming>| {
        let (parts, _) = request.into_parts();
        let response = subscribe(&parts, options(), Start::Earliest, |start| {
            Ok(Reader::from(log.read(start)))
        });
        std::future::ready(Ok(response.expect("a fine request")))
    })
}

/// Streams that are alike to the byte.
fn options() -> StreamOptions {
    let retry = Duration::from_millis(1_500);
    StreamOptions::default().with_retry(retry..=retry)
}

async fn publish(hub: &Hub, topic: &str, data: &str) -> wellspring::Position {
    let topic = TopicName::new(topic).unwrap();
    hub.publish(&topic, &Event::new(data)).await.unwrap()
}

/// Serves HTTP/1.1, and HTTP/2 to those who know beforehand.
async fn serve<S>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<EventBody>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            // Event by event, as they leave: not when the one before is acknowledged.
            socket.set_nodelay(true).unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                let mut server = auto::Builder::new(TokioExecutor::new());
                server
                    .http1()
                    .timer(TokioTimer::new())
                    .auto_date_header(false);
                // What becomes of the connection is for the client to say.
                let _ = server.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    address
}

/// A client that reads what comes, byte by byte.
struct Tab {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Tab {
    async fn open(server: SocketAddr, request: &str) -> Self {
        let socket = TcpStream::connect(server).await.unwrap();
        let unread = Vec::new();
        let mut tab = Self { socket, unread };
        tab.send(request).await;
        tab
    }

    async fn send(&mut self, request: &str) {
        self.socket.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads exactly this.
    async fn expect(&mut self, expected: &str) {
        while self.unread.len() < expected.len() && self.more().await > 0 {}
        let length = self.unread.len().min(expected.len());
        let got: Vec<u8> = self.unread.drain(..length).collect();
        assert_eq!(String::from_utf8_lossy(&got), expected);
    }

    /// Reads the connection's end, and nothing before it.
    async fn expect_end(&mut self) {
        self.more().await;
        assert_eq!(String::from_utf8_lossy(&self.unread), "");
    }

    /// Reads a head with its blank line.
    async fn head(&mut self) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.unread).into_owned();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let head = format!("{head}\r\n\r\n");
                self.unread.drain(..head.len());
                return head;
            }
            assert!(self.more().await > 0, "the connection ended in {text:?}");
        }
    }

    /// Reads so many events. (None of these tests has an event that looks like a chunk's frame.)
    async fn events(&mut self, events: usize) -> Vec<Got> {
        loop {
            let got = decode(&self.unread);
            if got.len() >= events {
                return got;
            }
            assert!(self.more().await > 0, "the connection ended after {got:?}");
        }
    }

    async fn more(&mut self) -> usize {
        soon("bytes", self.socket.read_buf(&mut self.unread))
            .await
            .unwrap()
    }
}

/// The whole answer to a request without its blank line: head and body, out of its chunks.
async fn whole(server: SocketAddr, request: &str) -> (String, String) {
    let mut tab = Tab::open(server, &format!("{request}Connection: close\r\n\r\n")).await;
    let head = tab.head().await;
    while tab.more().await > 0 {}
    let mut rest = String::from_utf8(tab.unread).unwrap();
    if !head.contains("transfer-encoding: chunked\r\n") {
        return (head, rest);
    }
    let mut body = String::new();
    loop {
        let (length, chunks) = rest.split_once("\r\n").expect("a chunk's length");
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&chunks[..length]);
        rest = chunks[length..]
            .strip_prefix("\r\n")
            .expect("a chunk's end")
            .to_owned();
        if length == 0 {
            assert_eq!(rest, "");
            return (head, body);
        }
    }
}

fn chunk(text: &str) -> String {
    format!("{:X}\r\n{text}\r\n", text.len())
}

type Client = hyper::client::conn::http2::SendRequest<Empty<Bytes>>;

async fn http2(server: SocketAddr) -> (Client, tokio::task::JoinHandle<()>) {
    let io = TokioIo::new(TcpStream::connect(server).await.unwrap());
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (client, connection) = handshake.await.unwrap();
    let connection = tokio::spawn(async move { connection.await.expect("a clean connection") });
    (client, connection)
}

async fn request(client: &mut Client, method: Method, path: &str) -> Response<Incoming> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://wellspring.test{path}"))
        .body(Empty::new())
        .unwrap();
    soon("an answer", client.send_request(request))
        .await
        .unwrap()
}

async fn get(client: &mut Client, path: &str) -> Response<Incoming> {
    let response = request(client, Method::GET, path).await;
    assert_eq!(response.status(), StatusCode::OK);
    response
}

/// The next DATA frame.
async fn text(stream: &mut Response<Incoming>) -> String {
    let frame = soon("a frame", stream.frame()).await.expect("not the end");
    let bytes = frame.expect("not broken").into_data().expect("no trailers");
    assert!(!bytes.is_empty(), "an empty DATA frame");
    String::from_utf8(bytes.into()).unwrap()
}

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let patient = tokio::time::timeout(PATIENCE, future);
    patient
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
