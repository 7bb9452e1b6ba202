//! Server-sent events for hyper: a log of wire bytes, and readers that are only cursors.
//!
//! An event is encoded once, when it is appended to a [`Log`]. Everybody who reads it gets the same
//! bytes; live delivery, catch-up after a reconnect and a late joiner's replay are one code path. A
//! slow reader costs nothing: it falls behind in the log, and when the log has moved past it, it is
//! *told* (`event: gap`).
//!
//! - [`Hub`]: named topics that anyone publishes to and subscribes from. Most servers want this.
//! - [`Log`]: one stream with a beginning and an end, such as an LLM's answer.
//! - [`channel`]: a stream for one client from one producer, with backpressure and no memory.
//! - [`SseService`]: a hub over HTTP; [`EventBody`] and [`subscribe`] are the parts it is made of.
//!
//! ```no_run
//! use hyper::server::conn::http1;
//! use hyper_util::rt::{TokioIo, TokioTimer};
//! use tokio::net::TcpListener;
//! use wellspring::{Hub, SseService, TopicName, event::Event};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let hub = Hub::default();
//!     let service = SseService::new(hub.clone());
//!     tokio::spawn(async move {
//!         let topic = TopicName::new("clock").expect("a fine name");
//!         for tick in 0u64.. {
//!             hub.publish(&topic, &Event::new(format!("tick {tick}"))).await.expect("it is small");
//!             tokio::time::sleep(std::time::Duration::from_secs(1)).await;
//!         }
//!     });
//!     let listener = TcpListener::bind("127.0.0.1:3000").await?; // curl -N http://127.0.0.1:3000/clock
//!     loop {
//!         let (socket, _) = listener.accept().await?;
//!         let connection = http1::Builder::new()
//!             .timer(TokioTimer::new())
//!             .serve_connection(TokioIo::new(socket), service.clone());
//!         tokio::spawn(connection);
//!     }
//! }
//! ```

mod body;
mod channel;
mod gap;
mod heartbeat;
mod hub;
mod log;
mod negotiate;
mod position;
mod reader;
mod service;
mod shard;
mod sync;
mod wake;

/// The format itself: events, encoded and decoded.
pub use wellspring_event as event;

pub use body::{Broken, Delivered, EventBody, Outcome, StreamOptions};
pub use channel::{ReaderGone, Sender, channel};
pub use gap::{Gap, GapReason};
pub use hub::{Hub, HubOptions, InvalidTopic, PublishError, SubscribeError, TopicName};
pub use log::{AppendError, Appended, End, Log, LogOptions, Overflow, Retention};
pub use negotiate::{LAST_EVENT_ID, Refusal, check_host, check_subscribe, last_event_id, query};
pub use position::{Cursor, Epoch, InvalidPosition, Position, PositionId, Start};
pub use reader::{LogReader, Next, Reader, Replay};
pub use service::{SseService, event_stream, subscribe};
pub use shard::enter_shard;
/// For the tests that go through the interleavings, where the core's task runs on loom's threads.
#[cfg(wellspring_loom)]
pub use shard::{Attendant, attend};

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
