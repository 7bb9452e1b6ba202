//! A small real server of one topic over hyper, with the faults that a test asks for.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use wellspring_load::target::{Protocol, Target, Trust};

/// What the server does wrong, or differently.
#[derive(Clone, Debug, Default)]
pub(crate) enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Leaves every hundredth event out.
    DropsEveryHundredth,
    /// Sends this event twice.
    Doubles(usize),
    /// Sends this event a second time, so much later.
    DoublesLater(usize, Duration),
    /// Sends this event after the one that follows it.
    Swaps(usize),
    /// Sends each event this much later than it came in, and remembers when it did.
    Holds(fn(usize) -> Duration),
    /// Gives this event the id of the one before it.
    RepeatsId(usize),
    /// Sends no ids, and no position in the head.
    NoIds,
    /// Leaves this event out and says so.
    Gap(usize),
    /// Breaks the body off, unterminated and within an event, after so many events of a stream.
    CutsAfter(usize),
    /// Ends the body in good order after so many events of a stream, with a `retry:` line.
    RetriesAfter(usize, Duration),
    /// On a resume, begins with the event that the client already has.
    ResumesInclusively,
    /// On a resume, goes on from the newest event.
    ForgetsPosition,
    /// After so many events of a stream ends it; then answers with this status.
    AnswersLater(usize, StatusCode),
    /// Answers a subscriber with this status at once.
    Answers(StatusCode),
    /// Answers with another content type.
    ContentType(&'static str),
    /// Accepts a subscriber and never answers.
    Silent,
    /// Refuses what is published.
    RefusesPublishing,
    /// Says that it took one event fewer than it did.
    Miscounts,
}

/// How the server is spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Http1,
    Http1Tls,
    H2c,
    Http2,
}

/// A running server. It ends with the test's runtime.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) topic: Arc<Topic>,
    transport: Transport,
    authority: Option<(tempfile::TempDir, PathBuf)>,
}

/// The topic's events, and what the server has seen of its clients.
pub(crate) struct Topic {
    fault: Fault,
    /// Data, and when it came in.
    events: Mutex<Vec<(String, Instant)>>,
    length: watch::Sender<usize>,
    pub(crate) seen: Mutex<Seen>,
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    /// The `Last-Event-ID` of every subscription, in the order of arrival.
    pub(crate) positions: Vec<Option<String>>,
    pub(crate) publishing_requests: usize,
    /// How long after they came in events were handed to the socket's writer, by the server's own clock.
    pub(crate) held: Vec<Duration>,
    /// Streams that it broke off, unterminated.
    pub(crate) broken: u64,
}

type Chunk = Result<Bytes, io::Error>;

/// A body that is fed from a task.
struct Fed(mpsc::Receiver<Chunk>);

impl Served {
    pub(crate) async fn start(transport: Transport, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let topic = Arc::new(Topic {
            fault,
            events: Mutex::default(),
            length: watch::Sender::new(0),
            seen: Mutex::default(),
        });
        let (tls, authority) = match transport {
            Transport::Http1 | Transport::H2c => (None, None),
            Transport::Http1Tls | Transport::Http2 => {
                let (tls, folder, file) = certificates(transport);
                (Some(tls), Some((folder, file)))
            }
        };
        tokio::spawn(accept(listener, transport, tls, Arc::clone(&topic)));
        Self {
            address,
            topic,
            transport,
            authority,
        }
    }

    pub(crate) fn target(&self) -> Target {
        let protocol = match self.transport {
            Transport::Http1 | Transport::Http1Tls => Protocol::Http1,
            Transport::H2c | Transport::Http2 => Protocol::Http2,
        };
        Target::parse(&self.url(), Some(protocol), &self.trust()).unwrap()
    }

    pub(crate) fn trust(&self) -> Trust {
        self.authority_file()
            .map_or(Trust::Nobody, Trust::Authorities)
    }

    pub(crate) fn authority_file(&self) -> Option<PathBuf> {
        self.authority.as_ref().map(|(_, file)| file.clone())
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.authority.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}/topics/t", self.address)
    }

    pub(crate) fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.topic.seen.lock().unwrap()
    }
}

/// A CA and a leaf for 127.0.0.1: rustls takes no CA certificate for a leaf.
fn certificates(transport: Transport) -> (TlsAcceptor, tempfile::TempDir, PathBuf) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf
        .signed_by(&key, &rcgen::Issuer::new(ca, ca_key))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca_certificate.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    config.alpn_protocols = match transport {
        Transport::Http1 | Transport::Http1Tls => vec![b"http/1.1".to_vec()],
        Transport::H2c | Transport::Http2 => vec![b"h2".to_vec()],
    };
    (TlsAcceptor::from(Arc::new(config)), folder, file)
}

async fn accept(
    listener: TcpListener,
    transport: Transport,
    tls: Option<TlsAcceptor>,
    topic: Arc<Topic>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        topic.seen.lock().unwrap().connections += 1;
        tokio::spawn(connection(
            stream,
            transport,
            tls.clone(),
            Arc::clone(&topic),
        ));
    }
}

async fn connection(
    stream: TcpStream,
    transport: Transport,
    tls: Option<TlsAcceptor>,
    topic: Arc<Topic>,
) {
    stream.set_nodelay(true).unwrap();
    match tls {
        None => serve(stream, transport, topic).await,
        Some(tls) => {
            // A client that does not like the certificate hangs up; that is its test's business.
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, transport, topic).await;
            }
        }
    }
}

async fn serve<T>(socket: T, transport: Transport, topic: Arc<Topic>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(request, Arc::clone(&topic)));
    let socket = TokioIo::new(socket);
    // Clients that vanish are what is tested: how a connection ends is no failure here.
    let _ = match transport {
        Transport::Http1 | Transport::Http1Tls => {
            hyper::server::conn::http1::Builder::new()
                .serve_connection(socket, service)
                .await
        }
        Transport::H2c | Transport::Http2 => {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(socket, service)
                .await
        }
    };
}

async fn answer(
    request: Request<Incoming>,
    topic: Arc<Topic>,
) -> Result<Response<Fed>, Infallible> {
    Ok(if request.method() == Method::POST {
        topic.publish(request).await
    } else {
        topic.subscribe(request.headers()).await
    })
}

impl Topic {
    /// How many events it has.
    pub(crate) fn length(&self) -> usize {
        *self.length.borrow()
    }

    async fn publish(&self, request: Request<Incoming>) -> Response<Fed> {
        self.seen.lock().unwrap().publishing_requests += 1;
        if matches!(self.fault, Fault::RefusesPublishing) {
            return full(StatusCode::FORBIDDEN, "not on this\n topic");
        }
        let (mut body, mut pending, mut published) = (request.into_body(), Vec::new(), 0);
        while let Some(Ok(frame)) = body.frame().await {
            pending.extend_from_slice(frame.data_ref().expect("no trailers are sent"));
            while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let event: serde_json::Value =
                    serde_json::from_slice(&line).expect("each line is JSON");
                self.events
                    .lock()
                    .unwrap()
                    .push((event["data"].as_str().unwrap().to_owned(), Instant::now()));
                self.length.send_modify(|length| *length += 1);
                published += 1;
            }
        }
        assert!(pending.is_empty(), "a line without its end");
        let counted = if matches!(self.fault, Fault::Miscounts) {
            published - 1
        } else {
            published
        };
        full(
            StatusCode::OK,
            &format!(r#"{{"published": {counted}, "last_id": "e-{published}"}}"#),
        )
    }

    async fn subscribe(self: Arc<Self>, headers: &HeaderMap) -> Response<Fed> {
        let position = headers
            .get("last-event-id")
            .map(|id| id.to_str().unwrap().to_owned());
        assert_eq!(headers["accept"], "text/event-stream");
        self.seen.lock().unwrap().positions.push(position.clone());
        let resuming = position.is_some();
        match self.fault {
            Fault::Answers(status) => return full(status, "no"),
            Fault::AnswersLater(_, status) if resuming => return full(status, "no"),
            Fault::Silent => std::future::pending().await,
            _ => {}
        }
        let length = *self.length.borrow();
        let next = match position
            .as_deref()
            .map(|id| id.strip_prefix("e-").unwrap().parse::<usize>().unwrap())
        {
            Some(_) if matches!(self.fault, Fault::ForgetsPosition) => length,
            Some(seen) if matches!(self.fault, Fault::ResumesInclusively) => seen.saturating_sub(1),
            Some(seen) => seen,
            None => length,
        };
        let kind = if let Fault::ContentType(kind) = self.fault {
            kind
        } else {
            "text/event-stream"
        };
        let mut response = Response::builder().header(CONTENT_TYPE, kind);
        if !matches!(self.fault, Fault::NoIds) {
            response = response.header("last-event-id", format!("e-{next}"));
        }
        let (feed, fed) = mpsc::channel(4);
        tokio::spawn(async move { self.feed(next, feed).await });
        response.body(Fed(fed)).unwrap()
    }

    /// Writes events from `next` on, live or not; ends when the client has gone or a fault says so.
    async fn feed(&self, mut next: usize, feed: mpsc::Sender<Chunk>) {
        let mut length = self.length.subscribe();
        let mut written = 0;
        if feed.send(Ok(Bytes::from_static(b":\n"))).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                _ = length.wait_for(|&length| length > next) => {}
                () = feed.closed() => return,
            }
            let ending = match self.fault {
                Fault::CutsAfter(count) if written == count => Some(vec![
                    Ok(Bytes::from(format!("id: e-{}\nda", next + 1))),
                    Err(io::Error::other("cut")),
                ]),
                Fault::RetriesAfter(count, delay) if written == count => Some(vec![Ok(
                    Bytes::from(format!("retry: {}\n", delay.as_millis())),
                )]),
                Fault::AnswersLater(count, _) if written == count => Some(Vec::new()),
                _ => None,
            };
            if let Some(ending) = ending {
                self.seen.lock().unwrap().broken +=
                    u64::from(ending.last().is_some_and(Result::is_err));
                for chunk in ending {
                    let _ = feed.send(chunk).await;
                }
                return;
            }
            let came_in = self.events.lock().unwrap()[next].1;
            if let Fault::Holds(hold) = self.fault {
                tokio::time::sleep_until((came_in + hold(next)).into()).await;
            }
            let event = Bytes::from(self.render(next));
            // Before it is handed over: nobody can have it earlier.
            let held = came_in.elapsed();
            if feed.send(Ok(event)).await.is_err() {
                return;
            }
            if matches!(self.fault, Fault::Holds(_)) {
                self.seen.lock().unwrap().held.push(held);
            }
            if let Fault::DoublesLater(at, delay) = self.fault
                && at == next
            {
                tokio::time::sleep(delay).await;
                let _ = feed.send(Ok(Bytes::from(self.render(next)))).await;
            }
            written += 1;
            next += 1;
        }
    }

    /// The bytes that stand for event `index`, faults included.
    fn render(&self, index: usize) -> String {
        let block = |index: usize| {
            let id = match self.fault {
                Fault::NoIds => String::new(),
                Fault::RepeatsId(at) if at == index => format!("id: e-{index}\n"),
                _ => format!("id: e-{}\n", index + 1),
            };
            format!("{id}data: {}\n\n", self.events.lock().unwrap()[index].0)
        };
        match self.fault {
            Fault::DropsEveryHundredth if index % 100 == 99 => String::from(":\n"),
            Fault::Doubles(at) if at == index => block(index).repeat(2),
            // The later one of the two brings the earlier one along.
            Fault::Swaps(at) if at == index => String::from(":\n"),
            Fault::Swaps(at) if at + 1 == index => block(index) + &block(at),
            Fault::Gap(at) if at == index => format!(
                "event: gap\nid: e-{}\ndata: {{\"missed\":1}}\n\n",
                index + 1
            ),
            _ => block(index),
        }
    }
}

impl Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0
            .poll_recv(context)
            .map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

fn full(status: StatusCode, text: &str) -> Response<Fed> {
    let (feed, fed) = mpsc::channel(1);
    feed.try_send(Ok(Bytes::from(text.to_owned()))).unwrap();
    let body = if status == StatusCode::NO_CONTENT {
        Fed(mpsc::channel(1).1)
    } else {
        Fed(fed)
    };
    Response::builder().status(status).body(body).unwrap()
}
