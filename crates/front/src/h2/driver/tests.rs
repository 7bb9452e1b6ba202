//! What a turn costs, counted: system calls, allocations, questions to bodies, wake-ups, bytes per stream.

use std::{
    convert::Infallible,
    future::{Future, Ready, poll_fn, ready},
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Instant,
};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::service::Service;

use super::Driver;
use crate::{
    Application, Connection, Limits, RequestBody,
    connection::{CountedBody, Opened, Protocol, Session},
    h2::{self, Engine, engine, gather::Gather, stream::Stream},
    listener::Accepted,
    shard::Shard,
    socket::{self, Socket},
};

const STREAMS: usize = 100;

static SONG: [u8; 600] = [b'x'; 600];

/// A connection with streams that all wait, and a peer that reads everything.
struct Scene {
    driver: Box<Driver<Choir>>,
    choir: Arc<Choir>,
    connection: Arc<Connection>,
    task: Arc<Task>,
}

/// A connection as it was accepted, and its peer, which asks for so many streams.
fn accept(choir: &Arc<Choir>, streams: usize) -> (Session<Choir>, socket::Stream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let peer = TcpStream::connect(address).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    thread::spawn(move || sing_along(peer, streams));

    let accepted = Accepted {
        stream: accepted,
        peer: address,
        tls: None,
        at: Instant::now(),
        load: None,
    };
    let connection = Arc::new(Connection::new(0, &accepted, address));
    let tcp = tokio::net::TcpStream::from_std(accepted.stream).unwrap();
    let socket = Socket::new(tcp, Arc::clone(&connection));
    let session = Session::new(connection, Voice(Arc::clone(choir)));
    (session, socket::Stream::plain(socket))
}

impl Scene {
    async fn open(streams: usize) -> Self {
        let choir = Arc::new(Choir::default());
        let (session, stream) = accept(&choir, streams);
        let connection = Arc::clone(session.connection());
        let io = Gather::new(stream);
        let limits = Limits {
            max_concurrent_streams: streams as u32,
            ..Limits::default()
        };
        let mut handshake = engine(&limits).handshake(io.clone());
        let engine = poll_fn(|context| {
            let poll = Pin::new(&mut handshake).poll(context);
            let _ = io.drain(context);
            poll
        })
        .await
        .unwrap();
        let mut driver = Driver::new(Box::new(engine), io, &Rc::new(session), &limits);
        poll_fn(|context| {
            assert!(driver.poll(context).is_pending());
            if choir.waiting() == streams {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        Self {
            driver,
            choir,
            connection,
            task: Arc::default(),
        }
    }

    fn turn(&mut self) {
        let waker = Waker::from(Arc::clone(&self.task));
        let poll = self.driver.poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
    }
}

/// The peer: opens all of its streams with one write, with the largest windows, and reads for ever.
fn sing_along(mut peer: TcpStream, streams: usize) {
    let mut room = vec![0; 1 << 20];
    let mut words = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    words.extend_from_slice(b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff");
    words.extend_from_slice(b"\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0");
    words.extend_from_slice(b"\0\0\0\x04\x01\0\0\0\0");
    for stream in 0..streams as u32 {
        words.extend_from_slice(b"\0\0\x06\x01\x05");
        words.extend_from_slice(&(2 * stream + 1).to_be_bytes());
        words.extend_from_slice(b"\x82\x86\x84\x41\x01a");
    }
    peer.write_all(&words).unwrap();
    while peer.read(&mut room).is_ok_and(|read| read > 0) {}
}

#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// An application whose bodies all sing the same.
#[derive(Default)]
struct Choir {
    song: Mutex<(usize, Bytes)>,
    waiting: Mutex<Vec<Waker>>,
    asked: AtomicUsize,
}

impl Choir {
    fn waiting(&self) -> usize {
        self.waiting.lock().unwrap().len()
    }

    fn sing(&self, song: Bytes) {
        let mut current = self.song.lock().unwrap();
        *current = (current.0 + 1, song);
        drop(current);
        let mut waiting = self.waiting.lock().unwrap();
        waiting.drain(..).for_each(Waker::wake);
    }
}

impl Application for Choir {
    type Body = Singer;
    type Service = Voice;

    fn connect(&self, _connection: &Arc<Connection>) -> Voice {
        unreachable!("the scene makes its session itself")
    }
}

struct Voice(Arc<Choir>);

impl Service<Request<RequestBody>> for Voice {
    type Response = Response<Singer>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Singer>, Infallible>>;

    fn call(&self, _request: Request<RequestBody>) -> Self::Future {
        ready(Ok(Response::new(Singer {
            choir: Arc::clone(&self.0),
            sung: 0,
        })))
    }
}

struct Singer {
    choir: Arc<Choir>,
    sung: usize,
}

impl Body for Singer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.choir.asked.fetch_add(1, Relaxed);
        let (number, song) = self.choir.song.lock().unwrap().clone();
        if self.sung == number {
            let mut waiting = self.choir.waiting.lock().unwrap();
            waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        self.sung = number;
        Poll::Ready(Some(Ok(Frame::data(song))))
    }
}

#[tokio::test]
async fn a_turn_is_one_wake_up_one_write_and_no_allocation() {
    let mut scene = Scene::open(STREAMS).await;
    // Whatever grows has grown after a few turns.
    for _ in 0..3 {
        scene.choir.sing(Bytes::from_static(&SONG));
        scene.turn();
    }
    for length in [100, 300, 600] {
        let song = Bytes::from_static(&SONG[..length]);
        let writes = scene.connection.writes();
        let asked = scene.choir.asked.load(Relaxed);
        let woken = scene.task.0.load(Relaxed);
        let cost = measure(|| {
            scene.choir.sing(song.clone());
            scene.turn();
        });
        assert_eq!(scene.connection.writes() - writes, 1, "{length} bytes");
        assert_eq!(scene.task.0.load(Relaxed) - woken, 1, "{length} bytes");
        // With what it has, and with nothing.
        let asked = scene.choir.asked.load(Relaxed) - asked;
        assert_eq!(asked, 2 * STREAMS, "{length} bytes");
        assert_eq!(cost.count_total, 0, "{length} bytes: allocations");
        assert_eq!(scene.choir.waiting(), STREAMS);
    }
}

#[test]
fn a_further_stream_takes_less_than_a_kibibyte() {
    let held = |streams| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut scene = None;
        let held = measure(|| {
            let opened = scene.insert(runtime.block_on(Scene::open(streams)));
            let _in_runtime = runtime.enter();
            for _ in 0..3 {
                opened.choir.sing(Bytes::from_static(&SONG));
                opened.turn();
            }
        });
        held.bytes_current
    };
    // What doubles has doubled once between them.
    let each = (held(1_000) - held(500)) / 500;
    // 745; 265 more when all requests are read before the first is handed out.
    assert!(each <= 800, "{each} bytes per stream");
}

#[test]
fn an_open_connection_holds_little_beside_its_engine() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    let choir = Arc::new(Choir::default());
    let shard = Rc::new(Shard::new(0, Arc::clone(&choir), Limits::default()));
    let mut task = None;
    let held = measure(|| {
        runtime.block_on(async {
            let (session, stream) = accept(&choir, 1);
            let opened = Opened {
                protocol: Protocol::Http2,
                stream,
                head_deadline: Box::pin(tokio::time::sleep(shard.limits().request_head)),
            };
            let (shard, session) = (Rc::clone(&shard), Rc::new(session));
            let serving = async move { h2::serve(&shard, &session, opened).await };
            task = Some(tokio::task::spawn_local(serving));
            while choir.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        });
    });
    // 28 KiB are the engine's buffers. 39,100 with the box that it was opened in.
    assert!(held.bytes_current <= 38_400, "{}", held.bytes_current);
}

#[test]
fn connections_and_streams_are_small() {
    // Its waker, its handle in the engine, and its body.
    let stream =
        size_of::<Stream<Choir>>() - size_of::<CountedBody<<Choir as Application>::Body>>();
    assert!(stream <= 64, "{stream}");
    // Three quarters of it are the engine.
    assert!(size_of::<Engine>() <= 1_344, "{}", size_of::<Engine>());
    let driver = size_of::<Driver<Choir>>();
    assert!(driver <= size_of::<Engine>() + 400, "{driver}");
}
