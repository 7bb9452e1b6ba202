//! An OpenAI-compatible server whose every answer the test writes itself.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::program::soon;

/// A server on a free port of loopback. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    questions: mpsc::UnboundedReceiver<Question>,
    server: JoinHandle<()>,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
    answer: oneshot::Sender<Response<Script>>,
}

/// The body of an answer, as the test writes it.
#[derive(Debug)]
pub(crate) struct Script(mpsc::UnboundedReceiver<Result<Bytes, Break>>);

/// Writes a [`Script`]. Dropping it ends the body in good order.
#[derive(Debug)]
pub(crate) struct Pen(mpsc::UnboundedSender<Result<Bytes, Break>>);

/// The body breaks: hyper closes the connection without the last chunk.
#[derive(Debug, thiserror::Error)]
#[error("broken on purpose")]
pub(crate) struct Break;

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, questions) = mpsc::unbounded_channel();
        let server = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                // Pieces leave when they are written, and not when the one before is acknowledged.
                socket.set_nodelay(true).unwrap();
                let asked = asked.clone();
                let service = service_fn(move |request| Question::ask(asked.clone(), request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Self {
            address,
            questions,
            server,
        }
    }

    /// What `--upstream` is told.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The next request.
    pub(crate) async fn question(&mut self) -> Question {
        soon("a request to the upstream", self.questions.recv())
            .await
            .unwrap()
    }

    /// Whether there is no further request.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.questions.try_recv().is_err()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Question {
    async fn ask(
        asked: mpsc::UnboundedSender<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Script>, Break> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Break)?.to_bytes();
        let (answer, answered) = oneshot::channel();
        asked.send(Self { head, body, answer }).map_err(|_| Break)?;
        answered.await.map_err(|_| Break)
    }

    /// Answers with a stream that the test writes.
    pub(crate) fn stream(self) -> Pen {
        let (pen, body) = Pen::new();
        let response = Response::builder()
            .header("content-type", "text/event-stream; charset=utf-8")
            .body(body)
            .unwrap();
        self.answer.send(response).unwrap();
        pen
    }

    /// Answers with a status, headers and a body in one piece.
    pub(crate) fn refuse(self, status: StatusCode, headers: &[(&str, &str)], text: &'static str) {
        let (pen, body) = Pen::new();
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        pen.write(text);
        self.answer.send(response.body(body).unwrap()).unwrap();
    }
}

impl Pen {
    fn new() -> (Self, Script) {
        let (pen, script) = mpsc::unbounded_channel();
        (Self(pen), Script(script))
    }

    pub(crate) fn write(&self, text: impl AsRef<str>) {
        let text = Bytes::copy_from_slice(text.as_ref().as_bytes());
        self.0.send(Ok(text)).unwrap();
    }

    /// Waits until nobody reads any more: the connection was closed.
    pub(crate) async fn left(&self) {
        soon("the reader's leave", self.0.closed()).await;
    }

    pub(crate) fn break_off(self) {
        self.0.send(Err(Break)).unwrap();
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Break;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Break>>> {
        let next = ready!(self.0.poll_recv(context));
        Poll::Ready(next.map(|data| data.map(Frame::data)))
    }
}
