//! The front end of a streaming server: listeners, TLS and ALPN, one runtime per core, for any hyper service.
//!
//! It serves HTTP/1.1 and HTTP/2, in plain text and over TLS, and knows nothing of what it serves beyond this: some
//! responses do not end soon ([`LongLived`]). What one writes is an [`Application`], which makes a service for each
//! connection; what one gets back is a [`Running`] front end that can be drained.
//!
//! ```no_run
//! use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use hyper::service::Service;
//! use wellspring_front::{Application, Connection, Front, RequestBody, Tls};
//!
//! struct Greeter;
//! struct Greeting(u64);
//!
//! impl Application for Greeter {
//!     type Body = Full<Bytes>;
//!     type Service = Greeting;
//!
//!     fn connect(&self, connection: &Arc<Connection>) -> Greeting {
//!         Greeting(connection.id)
//!     }
//! }
//!
//! impl Service<Request<RequestBody>> for Greeting {
//!     type Response = Response<Full<Bytes>>;
//!     type Error = Infallible;
//!     type Future = std::future::Ready<Result<Self::Response, Infallible>>;
//!
//!     fn call(&self, _request: Request<RequestBody>) -> Self::Future {
//!         std::future::ready(Ok(Response::new(Full::from(format!("hello, connection {}\n", self.0)))))
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let tls = Tls::self_signed("certs", &[])?;
//! let bound = Front::builder()
//!     .plain(SocketAddr::from(([127, 0, 0, 1], 8080)))
//!     .tls(SocketAddr::from(([127, 0, 0, 1], 8443)), tls)
//!     .bind()?;
//! let running = bound.serve(Arc::new(Greeter))?;
//! running.drain(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
//!
//! How a connection travels: `listener` accepts it, hands it to a `shard` (one core's runtime, for life), `connection`
//! finds out its protocol, `h1` or `h2` speaks it, through the IO types of `socket`; `drain` sends it home.

mod application;
mod connection;
mod date;
mod drain;
mod front;
mod h1;
mod h2;
mod limits;
mod listener;
mod shard;
mod socket;
mod tls;

pub use application::{Application, LongLived, RequestBody, RequestBodyError};
pub use connection::{Connection, EndReason, Ended, Protocol, Scheme};
pub use drain::Drained;
pub use front::{Bound, Builder, Front, Running};
pub use limits::Limits;
pub use listener::BindError;
pub use tls::{CertificateFiles, Tls, TlsError, trust_instructions};
