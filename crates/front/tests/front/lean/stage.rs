//! A front end whose application does what a test tells it to, turn by turn.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::service::Service;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::mpsc,
};
use tokio_rustls::client::TlsStream;
use wellspring_front::{
    Application, Connection, EndReason, Ended, Front, Limits, LongLived, RequestBody, Running,
    Scheme, Tls,
};

use crate::{
    browser::{config, connect, connect_tls},
    soon,
};

/// A front end with its application.
pub(super) struct Stage {
    pub(super) running: Running,
    theatre: Arc<Theatre>,
    directory: TempDir,
    actors: mpsc::UnboundedReceiver<Actor>,
    ended: mpsc::UnboundedReceiver<EndReason>,
}

impl Stage {
    /// Answers with this head, marked as long-lived or not.
    pub(super) fn new(head: fn(&mut Response<()>), long_lived: bool) -> Self {
        Self::with_limits(head, long_lived, Limits::default())
    }

    pub(super) fn with_limits(
        head: fn(&mut Response<()>),
        long_lived: bool,
        limits: Limits,
    ) -> Self {
        let directory = TempDir::new().unwrap();
        let (entrances, actors) = mpsc::unbounded_channel();
        let (departures, ended) = mpsc::unbounded_channel();
        let theatre = Arc::new(Theatre {
            head,
            long_lived,
            opening: Mutex::default(),
            connections: Mutex::default(),
            entrances,
            departures,
        });
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = Front::builder()
            .plain(any)
            .tls(any, Tls::self_signed(directory.path(), &[]).unwrap())
            .shards(NonZeroUsize::MIN)
            .limits(limits)
            .bind()
            .unwrap()
            .serve(Arc::new(Host(Arc::clone(&theatre))))
            .unwrap();
        Self {
            running,
            theatre,
            directory,
            actors,
            ended,
        }
    }

    /// What the next body says before anybody asks.
    pub(super) fn begin_with(&self, act: Act) {
        self.theatre.opening.lock().unwrap().push(act);
    }

    pub(super) async fn connect(&self, scheme: Scheme) -> Client {
        let addresses = self.running.addresses();
        let (_, address) = addresses
            .iter()
            .find(|address| address.0 == scheme)
            .unwrap();
        match scheme {
            Scheme::Http => Client::Plain(connect(*address).await),
            Scheme::Https => {
                let config = config(self.directory.path(), &["http/1.1"]);
                Client::Tls(Box::new(connect_tls(*address, &config).await))
            }
        }
    }

    /// The body of the next request.
    pub(super) async fn actor(&mut self) -> Actor {
        soon("a request", self.actors.recv()).await.unwrap()
    }

    /// The connection that came last.
    pub(super) fn connection(&self) -> Arc<Connection> {
        let connections = self.theatre.connections.lock().unwrap();
        Arc::clone(connections.last().unwrap())
    }

    /// The next end of a connection.
    pub(super) async fn departure(&mut self) -> EndReason {
        soon("a connection to end", self.ended.recv())
            .await
            .unwrap()
    }
}

/// One turn of a body.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Say(Vec<Result<Said, &'static str>>),
    End,
    Panic,
}

/// One frame of a body.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// Tells a body what to do.
pub(super) struct Actor {
    acts: mpsc::UnboundedSender<Act>,
    waiting: Arc<AtomicUsize>,
}

impl Actor {
    pub(super) fn perform(&self, act: Act) {
        self.waiting.fetch_add(1, Relaxed);
        let _ = self.acts.send(act);
    }

    /// Turns that the body has not been asked for yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Whether the body is dropped.
    pub(super) fn is_gone(&self) -> bool {
        self.acts.is_closed()
    }
}

struct Theatre {
    head: fn(&mut Response<()>),
    long_lived: bool,
    opening: Mutex<Vec<Act>>,
    connections: Mutex<Vec<Arc<Connection>>>,
    entrances: mpsc::UnboundedSender<Actor>,
    departures: mpsc::UnboundedSender<EndReason>,
}

struct Host(Arc<Theatre>);

impl Application for Host {
    type Body = Scripted;
    type Service = Guest;

    fn connect(&self, connection: &Arc<Connection>) -> Guest {
        let mut connections = self.0.connections.lock().unwrap();
        connections.push(Arc::clone(connection));
        Guest(Arc::clone(&self.0))
    }

    fn disconnect(&self, _connection: &Connection, _service: &Guest, end: &Ended) {
        let _ = self.0.departures.send(end.reason.clone());
    }
}

struct Guest(Arc<Theatre>);

impl Service<Request<RequestBody>> for Guest {
    type Response = Response<Scripted>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Scripted>, Infallible>> + Send>>;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        let theatre = Arc::clone(&self.0);
        Box::pin(async move {
            let is_last = request.uri().path() == "/last";
            let _ = request.into_body().collect().await;
            if is_last {
                let last = Bytes::from_static(b"last");
                return Ok(Response::new(Scripted::Whole(Some(last))));
            }
            let (acts, script) = mpsc::unbounded_channel();
            let waiting = Arc::new(AtomicUsize::new(0));
            let body = Scripted::Live {
                script,
                now: VecDeque::new(),
                waiting: Arc::clone(&waiting),
            };
            let actor = Actor { acts, waiting };
            for act in theatre.opening.lock().unwrap().drain(..) {
                actor.perform(act);
            }
            let _ = theatre.entrances.send(actor);
            let mut head = Response::new(());
            (theatre.head)(&mut head);
            if theatre.long_lived {
                head.extensions_mut().insert(LongLived);
            }
            Ok(head.map(|()| body))
        })
    }
}

/// A body that a test plays.
pub(super) enum Scripted {
    Whole(Option<Bytes>),
    Live {
        script: mpsc::UnboundedReceiver<Act>,
        now: VecDeque<Result<Said, &'static str>>,
        waiting: Arc<AtomicUsize>,
    },
}

impl Body for Scripted {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Live {
                script,
                now,
                waiting,
            } => loop {
                if let Some(said) = now.pop_front() {
                    return Poll::Ready(Some(said.map(|said| match said {
                        Said::Data(bytes) => Frame::data(bytes),
                        Said::Trailers(trailers) => Frame::trailers(trailers),
                    })));
                }
                let act = ready!(script.poll_recv(context));
                waiting.fetch_sub(1, Relaxed);
                match act {
                    Some(Act::Say(said)) => now.extend(said),
                    Some(Act::End) | None => return Poll::Ready(None),
                    Some(Act::Panic) => panic!("asked to panic"),
                }
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Live { .. } => SizeHint::default(),
        }
    }
}

/// A client that sends and sees bytes.
pub(super) enum Client {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Client {
    /// Reads up to the end of these bytes, and not one further.
    pub(super) async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut seen = Vec::new();
        soon("what the server has to say", async {
            while !seen.ends_with(end) {
                seen.push(self.read_u8().await.unwrap());
            }
        })
        .await;
        seen
    }

    /// Leaves as if the process had died over unread bytes.
    pub(super) fn reset(self) {
        let socket = match &self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        };
        let socket = socket2::SockRef::from(socket);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl AsyncRead for Client {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
