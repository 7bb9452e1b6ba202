//! A model of what a browser does with its network: pools of connections, one for each origin, and queues before them.
//!
//! Over HTTP/1.1 all tabs of an origin share six sockets. An event stream keeps its socket for as long as it lives; a
//! fetch gives it back for the next. Over HTTP/2 there is one connection to an origin, however many tabs, with as many
//! streams as the server's `SETTINGS_MAX_CONCURRENT_STREAMS` (RFC 9113, section 6.5.2) and the browser itself allow. In
//! both cases whatever finds no room waits in order of arrival, without a limit of time and without an error: an
//! `EventSource` in the queue is CONNECTING, like one that is about to open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use serde::Serialize;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::LabError;
use super::queue::{Place, Queue, Ticket};
use crate::client::{Connection, Connector, Dialling};
use crate::cut::Manner;
use crate::target::{Protocol, Target};

/// How a browser uses its network. Measured in Chromium 156 and Firefox ESR 153.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Profile {
    /// Which browser this is.
    pub name: &'static str,
    /// HTTP/1.1 sockets to one origin, for all its tabs together.
    pub sockets: usize,
    /// HTTP/2 streams of a connection whose server does not say how many it takes.
    pub unannounced_streams: usize,
    /// HTTP/2 streams of a connection, however many its server takes; none is no limit.
    pub most_streams: Option<usize>,
}

/// One user's browser.
#[derive(Debug)]
pub(crate) struct Browser {
    profile: Profile,
    pools: Mutex<HashMap<String, Arc<Pool>>>,
}

/// The connections to one origin.
#[derive(Debug)]
struct Pool {
    target: Target,
    most_streams: usize,
    queue: Queue,
    connector: OnceCell<Connector>,
    /// HTTP/1.1: those that nobody uses; HTTP/2: the one that all use.
    connections: Mutex<Vec<Connection<Empty<Bytes>>>>,
    /// HTTP/2: whoever is first opens the connection, and the others wait for it.
    opening: tokio::sync::Mutex<()>,
    opened: AtomicUsize,
}

/// A request on its way: it has its turn in the queue already.
#[derive(Debug)]
pub(crate) struct Asked {
    pool: Arc<Pool>,
    ticket: Ticket,
    target: Target,
}

/// A response, and the place that it takes.
#[derive(Debug)]
pub(crate) struct Answered {
    // In this order: a body that goes first resets its stream before the next one begins.
    pub(crate) response: Response<Incoming>,
    lease: Lease,
}

/// A connection for the time of one request.
#[derive(Debug)]
struct Lease {
    connection: Option<Connection<Empty<Bytes>>>,
    pool: Arc<Pool>,
    _place: Place,
}

impl Profile {
    /// Chromium: 6 sockets, 100 streams, never more than 256.
    pub const CHROMIUM: Self = Self {
        name: "Chromium",
        sockets: 6,
        unannounced_streams: 100,
        most_streams: Some(256),
    };

    /// Firefox: 6 sockets, 100 streams, as many as the server says.
    pub const FIREFOX: Self = Self {
        name: "Firefox",
        most_streams: None,
        ..Self::CHROMIUM
    };
}

impl Browser {
    pub(crate) fn new(profile: Profile) -> Self {
        Self {
            profile,
            pools: Mutex::default(),
        }
    }

    /// Asks for a resource: from here on the request has its turn. Nothing is sent before [`Asked::answer`].
    pub(crate) fn ask(&self, target: &Target) -> Asked {
        let mut pools = self.pools.lock().expect("nothing panics in a look-up");
        let pool = pools
            .entry(target.authority())
            .or_insert_with(|| Arc::new(Pool::new(target, &self.profile)));
        Asked {
            pool: Arc::clone(pool),
            ticket: pool.queue.join(),
            target: target.clone(),
        }
    }

    /// An ordinary fetch, to the last byte of its answer. Returns how long it took, waiting included.
    pub(crate) async fn fetch(&self, target: &Target) -> Result<Duration, LabError> {
        let asked_at = Instant::now();
        let mut answered = self.ask(target).answer(|| {}).await?;
        while let Some(frame) = answered.response.body_mut().frame().await {
            frame.map_err(|error| LabError::broken(target, &error))?;
        }
        answered.lease.give_back();
        Ok(asked_at.elapsed())
    }

    /// How many sockets were opened.
    pub(crate) fn sockets(&self) -> usize {
        let pools = self.pools.lock().expect("nothing panics in a look-up");
        pools.values().map(|pool| pool.opened.load(Relaxed)).sum()
    }
}

impl Asked {
    /// Whether it has a place, and need not wait for another request to give one back.
    pub(crate) fn has_place(&self) -> bool {
        self.ticket.is_served()
    }

    /// Waits for a place, then for the head of the response. Calls `admitted` between the two.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the queue, or cancels the request.
    pub(crate) async fn answer(self, admitted: impl FnOnce()) -> Result<Answered, LabError> {
        let place = self.ticket.place().await;
        admitted();
        let mut lease = Pool::lease(self.pool, place).await?;
        let connection = lease
            .connection
            .as_mut()
            .expect("it is there until given back");
        let response = connection
            .send(request(&self.target))
            .await
            .map_err(|error| LabError::broken(&self.target, &error))?;
        // The server's settings come before its first response: now they are known.
        if let Some(allowed) = connection.most_streams() {
            lease
                .pool
                .queue
                .resize(allowed.min(lease.pool.most_streams));
        }
        Ok(Answered { response, lease })
    }
}

impl Pool {
    fn new(target: &Target, profile: &Profile) -> Self {
        let most_streams = profile.most_streams.unwrap_or(usize::MAX);
        let places = match target.protocol() {
            Protocol::Http1 => profile.sockets,
            Protocol::Http2 => profile.unannounced_streams.min(most_streams),
        };
        Self {
            target: target.clone(),
            most_streams,
            queue: Queue::new(places),
            connector: OnceCell::new(),
            connections: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            opened: AtomicUsize::new(0),
        }
    }

    async fn lease(pool: Arc<Self>, place: Place) -> Result<Lease, LabError> {
        let connection = match pool.target.protocol() {
            Protocol::Http1 => match pool.idle() {
                Some(idle) => idle,
                None => pool.connect().await?,
            },
            Protocol::Http2 => pool.shared().await?,
        };
        Ok(Lease {
            connection: Some(connection),
            pool,
            _place: place,
        })
    }

    fn idle(&self) -> Option<Connection<Empty<Bytes>>> {
        let mut idle = self.connections.lock().expect("nothing panics in a pool");
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    async fn shared(&self) -> Result<Connection<Empty<Bytes>>, LabError> {
        let _opening = self.opening.lock().await;
        if let Some(open) = self.idle()
            && let Some(shared) = open.share()
        {
            self.keep(open);
            return Ok(shared);
        }
        let fresh = self.connect().await?;
        if let Some(shared) = fresh.share() {
            self.keep(shared);
        }
        Ok(fresh)
    }

    async fn connect(&self) -> Result<Connection<Empty<Bytes>>, LabError> {
        let resolve = || Connector::resolve(self.target.clone(), Dialling::default());
        let connector = self.connector.get_or_try_init(resolve).await?;
        let connection = connector.connect().await?;
        self.opened.fetch_add(1, Relaxed);
        Ok(connection)
    }

    fn keep(&self, connection: Connection<Empty<Bytes>>) {
        let mut kept = self.connections.lock().expect("nothing panics in a pool");
        kept.push(connection);
    }
}

impl Lease {
    /// The response was read to its end: HTTP/1.1 can use the connection again (RFC 9112, section 9.3).
    fn give_back(mut self) {
        if self.pool.target.protocol() == Protocol::Http1
            && let Some(connection) = self.connection.take()
        {
            self.pool.keep(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A response that is left in the middle takes its HTTP/1.1 socket with it, at once.
        if let Some(connection) = self.connection.take()
            && self.pool.target.protocol() == Protocol::Http1
        {
            connection.line().cut(Manner::Close);
        }
    }
}

fn request(target: &Target) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = target.request_uri();
    let headers = request.headers_mut();
    if target.protocol() == Protocol::Http1 {
        let host = HeaderValue::try_from(target.authority());
        headers.insert(HOST, host.expect("an authority is a header value"));
    }
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, */*"));
    request
}
