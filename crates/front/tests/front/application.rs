//! An application with every kind of answer, that remembers who left and why.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::service::Service;
use tempfile::TempDir;
use tokio::sync::mpsc;
use wellspring_front::{
    Application, Connection, EndReason, Ended, Front, Limits, LongLived, RequestBody, Running,
    Scheme, Tls,
};

/// A running front end with its application.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) application: Arc<Sample>,
    pub(crate) directory: TempDir,
    pub(crate) tls: Tls,
    ended: tokio::sync::Mutex<mpsc::UnboundedReceiver<(u64, EndReason)>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(1, |_| {})
    }

    pub(crate) fn with(shards: usize, change: impl FnOnce(&mut Limits)) -> Self {
        let directory = TempDir::new().unwrap();
        let tls = Tls::self_signed(directory.path(), &[]).unwrap();
        Self::with_tls(directory, tls, shards, change)
    }

    pub(crate) fn with_tls(
        directory: TempDir,
        tls: Tls,
        shards: usize,
        change: impl FnOnce(&mut Limits),
    ) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        let (departures, ended) = mpsc::unbounded_channel();
        let application = Arc::new(Sample {
            streams: Arc::default(),
            connections: Mutex::default(),
            departures,
        });
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = Front::builder()
            .plain(any)
            .tls(any, tls.clone())
            .shards(NonZeroUsize::new(shards).unwrap())
            .limits(limits)
            .bind()
            .unwrap()
            .serve(Arc::clone(&application))
            .unwrap();
        Self {
            running,
            application,
            directory,
            tls,
            ended: tokio::sync::Mutex::new(ended),
        }
    }

    pub(crate) fn address(&self, scheme: Scheme) -> SocketAddr {
        let addresses = self.running.addresses();
        addresses
            .iter()
            .find(|(listening, _)| *listening == scheme)
            .unwrap()
            .1
    }

    /// The next connection that left, and why.
    pub(crate) async fn departure(&self) -> EndReason {
        let mut ended = self.ended.lock().await;
        let (_, reason) = crate::soon("a connection to end", ended.recv())
            .await
            .unwrap();
        reason
    }

    /// Connections that left and were not asked for yet.
    pub(crate) async fn further_departures(&self) -> usize {
        self.ended.lock().await.len()
    }
}

type Streams = Arc<Mutex<Vec<mpsc::UnboundedSender<Bytes>>>>;

pub(crate) struct Sample {
    streams: Streams,
    pub(crate) connections: Mutex<Vec<Arc<Connection>>>,
    departures: mpsc::UnboundedSender<(u64, EndReason)>,
}

impl Sample {
    pub(crate) fn publish(&self, bytes: &'static [u8]) {
        publish(&self.streams, bytes);
    }

    /// Ends every stream in good order.
    pub(crate) fn end_streams(&self) {
        self.streams.lock().unwrap().clear();
    }

    pub(crate) fn open_streams(&self) -> usize {
        let mut streams = self.streams.lock().unwrap();
        streams.retain(|stream| !stream.is_closed());
        streams.len()
    }
}

fn publish(streams: &Streams, bytes: &'static [u8]) {
    let mut streams = streams.lock().unwrap();
    streams.retain(|stream| stream.send(Bytes::from_static(bytes)).is_ok());
}

impl Application for Sample {
    type Body = Answer;
    type Service = SampleService;

    fn connect(&self, connection: &Arc<Connection>) -> SampleService {
        self.connections
            .lock()
            .unwrap()
            .push(Arc::clone(connection));
        SampleService(Arc::clone(&self.streams))
    }

    fn disconnect(&self, connection: &Connection, _service: &SampleService, end: &Ended) {
        let _ = self.departures.send((connection.id, end.reason.clone()));
    }
}

pub(crate) struct SampleService(Streams);

impl Service<Request<RequestBody>> for SampleService {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        let streams = Arc::clone(&self.0);
        Box::pin(async move {
            let connection = request.extensions().get::<Arc<Connection>>().unwrap();
            let connection = Arc::clone(connection);
            let answer = match request.uri().path() {
                "/hello" => Answer::of(format!("hello over {:?}", connection.protocol().unwrap())),
                "/echo" => Answer::of(request.into_body().collect().await.unwrap().to_bytes()),
                "/stream" => {
                    let (sender, receiver) = mpsc::unbounded_channel();
                    streams.lock().unwrap().push(sender);
                    let mut response = Response::new(Answer::Stream(receiver));
                    response.extensions_mut().insert(LongLived);
                    return Ok(response);
                }
                // From within the shard, so that all of its streams have something to say in the same turn.
                "/publish-300" => {
                    publish(&streams, &[b'x'; 300]);
                    Answer::of("published")
                }
                "/panic" => panic!("asked to panic"),
                "/panic-in-body" => Answer::Panic,
                _ => {
                    let mut response = Response::new(Answer::of("not found"));
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    return Ok(response);
                }
            };
            Ok(Response::new(answer))
        })
    }
}

pub(crate) enum Answer {
    Whole(Option<Bytes>),
    Stream(mpsc::UnboundedReceiver<Bytes>),
    Panic,
}

impl Answer {
    fn of(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(receiver) => receiver
                .poll_recv(context)
                .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes)))),
            Self::Panic => panic!("asked to panic in the body"),
        }
    }
}
