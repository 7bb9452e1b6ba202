//! An application whose responses a test spells out, and clients for it.

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
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::service::Service;
use wellspring_front::{Application, Connection, Front, Limits, LongLived, RequestBody, Running};

use crate::{browser::connect, soon};

/// A running front end whose every response a test has scripted by its path.
pub(crate) struct Playground {
    pub(crate) running: Running,
    pub(crate) stage: Arc<Stage>,
}

/// What the responses of a path are.
#[derive(Clone)]
pub(crate) enum Play {
    /// These frames, one at a time.
    Frames(Response<()>, Vec<Act>),
    /// A body that its [`Channel`] feeds.
    Live,
    /// Feeds every live body, from within the shard: all of them have something to say in the same turn.
    Cue(Bytes),
    /// How many bytes the request's body promises, and has.
    Measure,
    /// Panics.
    Panic,
}

#[derive(Clone)]
pub(crate) enum Act {
    Data(Bytes),
    Trailers(HeaderMap),
    Fail,
}

type Channels = Arc<Mutex<Vec<Arc<Channel>>>>;

pub(crate) struct Stage {
    plays: Vec<(&'static str, Play)>,
    live: Channels,
    connections: Mutex<Vec<Arc<Connection>>>,
}

/// A live body's other end.
#[derive(Default)]
pub(crate) struct Channel {
    pub(crate) polls: AtomicUsize,
    state: Mutex<ChannelState>,
}

#[derive(Default)]
struct ChannelState {
    pieces: VecDeque<Bytes>,
    over: bool,
    waker: Option<Waker>,
}

impl Channel {
    pub(crate) fn send(&self, bytes: &Bytes) {
        let mut state = self.state.lock().unwrap();
        state.pieces.push_back(bytes.clone());
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn end(&self) {
        let mut state = self.state.lock().unwrap();
        state.over = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl Stage {
    /// The live bodies, in the order in which they were asked for.
    pub(crate) fn live(&self) -> Vec<Arc<Channel>> {
        self.live.lock().unwrap().clone()
    }

    /// Live bodies that were not dropped.
    pub(crate) fn open(&self) -> usize {
        let live = self.live.lock().unwrap();
        let open = live.iter().filter(|live| Arc::strong_count(live) > 1);
        open.count()
    }

    /// The connection that was made last.
    pub(crate) fn connection(&self) -> Arc<Connection> {
        Arc::clone(self.connections.lock().unwrap().last().unwrap())
    }
}

impl Playground {
    pub(crate) fn start(plays: Vec<(&'static str, Play)>) -> Self {
        Self::with(plays, |_| {})
    }

    pub(crate) fn with(plays: Vec<(&'static str, Play)>, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let stage = Arc::new(Stage {
            plays,
            live: Arc::default(),
            connections: Mutex::default(),
        });
        let running = Front::builder()
            .plain(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .shards(NonZeroUsize::MIN)
            .limits(limits)
            .bind()
            .unwrap()
            .serve(Arc::clone(&stage))
            .unwrap();
        Self { running, stage }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.addresses()[0].1
    }

    /// `h2`'s client, with the protocol's default windows of 64 KiB.
    pub(crate) async fn client(&self) -> SendRequest<Bytes> {
        self.client_with(&h2::client::Builder::new()).await
    }

    pub(crate) async fn client_with(&self, builder: &h2::client::Builder) -> SendRequest<Bytes> {
        let stream = connect(self.address()).await;
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(connection);
        requests
    }
}

/// Sends a request without a body.
pub(crate) async fn get(
    requests: &mut SendRequest<Bytes>,
    path: &str,
) -> Result<Response<h2::RecvStream>, h2::Error> {
    let request = Request::get(format!("http://localhost{path}"));
    send(requests, request.body(()).unwrap()).await
}

pub(crate) async fn send(
    requests: &mut SendRequest<Bytes>,
    request: Request<()>,
) -> Result<Response<h2::RecvStream>, h2::Error> {
    soon(
        "a free stream",
        std::future::poll_fn(|context| requests.poll_ready(context)),
    )
    .await?;
    let (response, _) = requests.send_request(request, true)?;
    soon("a response", response).await
}

/// The next piece of a body, with its window given back.
pub(crate) async fn piece(body: &mut h2::RecvStream) -> Option<Result<Bytes, h2::Error>> {
    let data = soon("a piece", body.data()).await?;
    Some(data.inspect(|data| {
        body.flow_control().release_capacity(data.len()).unwrap();
    }))
}

/// All of a body that comes, and how it ends.
pub(crate) async fn all(body: &mut h2::RecvStream) -> (Vec<u8>, Result<(), h2::Error>) {
    let mut bytes = Vec::new();
    while let Some(data) = piece(body).await {
        match data {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(error) => return (bytes, Err(error)),
        }
    }
    (bytes, Ok(()))
}

impl Application for Stage {
    type Body = Playing;
    type Service = Player;

    fn connect(&self, connection: &Arc<Connection>) -> Player {
        let mut connections = self.connections.lock().unwrap();
        connections.push(Arc::clone(connection));
        Player {
            plays: self.plays.clone(),
            live: Arc::clone(&self.live),
        }
    }
}

pub(crate) struct Player {
    plays: Vec<(&'static str, Play)>,
    live: Channels,
}

impl Service<Request<RequestBody>> for Player {
    type Response = Response<Playing>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Playing>, Infallible>> + Send>>;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        let path = request.uri().path();
        let play = self.plays.iter().find(|(known, _)| *known == path);
        let play = play.expect("a path of the test").1.clone();
        let live = Arc::clone(&self.live);
        Box::pin(async move {
            let mut response = match play {
                Play::Frames(response, acts) => {
                    response.map(|()| Playing::Frames(VecDeque::from(acts)))
                }
                Play::Live => {
                    let channel = Arc::new(Channel::default());
                    live.lock().unwrap().push(Arc::clone(&channel));
                    let mut response = Response::new(Playing::Live(channel));
                    response.extensions_mut().insert(LongLived);
                    response
                }
                Play::Cue(bytes) => {
                    for channel in &*live.lock().unwrap() {
                        channel.send(&bytes);
                    }
                    Response::new(Playing::text("sent"))
                }
                Play::Measure => {
                    let hint = request.body().size_hint().exact();
                    let body = request.into_body().collect().await;
                    let length = body.map(|body| body.to_bytes().len()).ok();
                    Response::new(Playing::text(&format!("{hint:?} {length:?}")))
                }
                Play::Panic => panic!("asked to panic"),
            };
            response
                .headers_mut()
                .insert("server", "playground".parse().unwrap());
            Ok(response)
        })
    }
}

pub(crate) enum Playing {
    Frames(VecDeque<Act>),
    Live(Arc<Channel>),
}

impl Playing {
    fn text(text: &str) -> Self {
        Self::Frames([Act::Data(Bytes::copy_from_slice(text.as_bytes()))].into())
    }
}

impl Body for Playing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Frames(acts) => Poll::Ready(acts.pop_front().map(|act| match act {
                Act::Data(data) => Ok(Frame::data(data)),
                Act::Trailers(trailers) => Ok(Frame::trailers(trailers)),
                Act::Fail => Err(io::Error::other("asked to fail")),
            })),
            Self::Live(channel) => {
                channel.polls.fetch_add(1, Relaxed);
                let mut state = channel.state.lock().unwrap();
                if let Some(bytes) = state.pieces.pop_front() {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                if state.over {
                    return Poll::Ready(None);
                }
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Frames(acts) if acts.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Frames(acts) if acts.iter().all(|act| matches!(act, Act::Data(_))) => {
                let lengths = acts.iter().map(|act| match act {
                    Act::Data(data) => data.len() as u64,
                    _ => 0,
                });
                SizeHint::with_exact(lengths.sum())
            }
            _ => SizeHint::default(),
        }
    }
}
