//! One reader of one stream, as `EventSource` would be it: opens, decodes, keeps the books, comes back after every break
//! with the id it has reached, and now and then breaks the stream itself.
//!
//! It follows the standard's rules for coming back (WHATWG HTML, section 9.2.3): after the stream's own `retry`, or 3 s
//! as Chromium waits, without jitter and for ever; 204 and every status but 200 are the end.
//!
//! In one thing it does better than a browser can: it reads the position from which a stream starts out of the
//! response's `Last-Event-ID`, where the server sends one. So it can be cut before its first event and still miss none.

mod journey;
mod progress;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use wellspring_event::{Decoder, EventId, Message};

use crate::account::Account;
use crate::client::{ConnectError, Connection, Line, Seat};
use crate::cut::{Cut, Extent, Schedule};
use crate::latency::Shards;
use crate::stamp::{Clock, RunId, Stamp};
use crate::target::{Protocol, Target};
pub use journey::{End, Journey, SubscriberReport};
pub(crate) use progress::{Progress, Stage};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a subscriber stays away after a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// Until the stream says otherwise with `retry:`. Default: 3 s, as Chromium.
    pub default: Duration,
    /// Always so long, whatever the stream says. Default: none.
    pub forced: Option<Duration>,
}

/// What all subscribers of a run have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) target: Target,
    pub(crate) run: RunId,
    pub(crate) clock: Clock,
    pub(crate) reconnect: Reconnect,
    pub(crate) latency: Shards,
}

/// A subscriber before and during its run.
pub(crate) struct Subscriber {
    index: usize,
    shared: Arc<Shared>,
    seat: Seat,
    cuts: Schedule,
    /// The cut that has come due, and the bytes that are still taken before it.
    cutting: Option<(Cut, usize)>,
    decoder: Decoder,
    account: Account,
    journey: Journey,
    progress: Arc<Progress>,
    opened: Option<oneshot::Sender<Result<(), End>>>,
}

/// An open stream.
struct Stream {
    body: Incoming,
    line: Arc<Line>,
    /// HTTP/1.1: the connection lives as long as this; HTTP/2: as long as any stream's.
    _connection: Connection<Empty<Bytes>>,
}

/// Why there is no open stream.
enum NotOpen {
    /// The network failed: try again.
    Unanswered(String),
    /// A neighbour cut the connection just then: no failure of the server, and nobody to wait for.
    CutAlong,
    /// The server's answer is final.
    Final(End),
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            default: Duration::from_secs(3),
            forced: None,
        }
    }
}

impl Reconnect {
    fn delay(&self, decoder: &Decoder) -> Duration {
        self.forced.or(decoder.retry()).unwrap_or(self.default)
    }
}

impl Subscriber {
    /// A subscriber that is owed `events` events. `opened` hears how its first stream went.
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        seat: Seat,
        events: u64,
        cuts: Schedule,
        opened: oneshot::Sender<Result<(), End>>,
    ) -> Self {
        Self {
            index,
            shared,
            seat,
            cuts,
            cutting: None,
            decoder: Decoder::new(),
            account: Account::new(events),
            journey: Journey::default(),
            progress: Arc::default(),
            opened: Some(opened),
        }
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Reads until the server ends it for good, or `stop` is sent or dropped.
    pub(crate) async fn run(mut self, stop: oneshot::Receiver<()>) -> SubscriberReport {
        let end = tokio::select! {
            end = self.follow() => end,
            _ = stop => End::RunOver,
        };
        self.progress.enter(Stage::Ended);
        self.announce(Err(end.clone()));
        SubscriberReport {
            index: self.index,
            tally: self.account.tally(),
            journey: self.journey,
            end,
        }
    }

    async fn follow(&mut self) -> End {
        loop {
            match self.open().await {
                Ok(stream) => {
                    self.progress.enter(Stage::Open);
                    self.announce(Ok(()));
                    self.read(stream).await;
                }
                Err(NotOpen::Final(end)) => return end,
                Err(NotOpen::CutAlong) => continue,
                // Nothing has ever worked here: that is a wrong URL, not a break.
                Err(NotOpen::Unanswered(reason)) if self.opened.is_some() => {
                    return End::Unreachable(reason);
                }
                Err(NotOpen::Unanswered(_)) => self.journey.unanswered += 1,
            }
            self.progress.enter(Stage::Away);
            self.decoder.reset();
            tokio::time::sleep(self.shared.reconnect.delay(&self.decoder)).await;
        }
    }

    async fn open(&mut self) -> Result<Stream, NotOpen> {
        let mut connection = self.seat.connection().await?;
        let request = self.request();
        let resuming = request.headers().contains_key(LAST_EVENT_ID);
        let response = match connection.send(request).await {
            Ok(response) => response,
            Err(_) if connection.line().is_cut() => return Err(NotOpen::CutAlong),
            Err(error) => return Err(NotOpen::Unanswered(chain(&error))),
        };
        check(&response)?;
        self.journey.resumes += u64::from(resuming);
        if let Some(position) = response
            .headers()
            .get(LAST_EVENT_ID)
            .and_then(|value| value.to_str().ok())
        {
            self.journey.positions += 1;
            if self.decoder.last_event_id().is_empty()
                && let Ok(position) = EventId::new(position)
            {
                self.decoder.set_last_event_id(position);
            }
        }
        let line = Arc::clone(connection.line());
        Ok(Stream {
            body: response.into_body(),
            line,
            _connection: connection,
        })
    }

    /// The request that `EventSource` makes, but for the headers that only a browser has.
    fn request(&self) -> Request<Empty<Bytes>> {
        let target = &self.shared.target;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = target.request_uri();
        let headers = request.headers_mut();
        if target.protocol() == Protocol::Http1 {
            headers.insert(
                HOST,
                HeaderValue::try_from(target.authority()).expect("an authority is a header value"),
            );
        }
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let id = self.decoder.last_event_id();
        // An id with control characters is no header value, and no browser could send it either.
        if let Ok(id) = HeaderValue::try_from(id)
            && !id.is_empty()
        {
            headers.insert(LAST_EVENT_ID, id);
        }
        request
    }

    async fn read(&mut self, mut stream: Stream) {
        let mut chunk = Bytes::new();
        loop {
            if let Some(cut) = self.take(&chunk) {
                self.journey.cuts += 1;
                match (self.shared.target.protocol(), cut.extent) {
                    // Dropping the body resets its stream.
                    (Protocol::Http2, Extent::Stream) => {}
                    _ => stream.line.cut(cut.manner),
                }
                return;
            }
            chunk = match stream.body.frame().await {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(_)) if stream.line.is_cut() => {
                    self.journey.cut_along += 1;
                    return;
                }
                Some(Err(_)) => {
                    self.journey.broken += 1;
                    return;
                }
                None => {
                    self.journey.ended += 1;
                    return;
                }
            };
        }
    }

    /// Takes what has arrived, up to the place of the next cut, and returns that cut when it is reached.
    fn take(&mut self, chunk: &[u8]) -> Option<Cut> {
        let arrived = self.shared.clock.now();
        let mut rest = chunk;
        loop {
            if self.cutting.is_none() {
                self.cutting = self.next_cut().map(|cut| (cut, cut.within.unwrap_or(0)));
            }
            let reach = match self.cutting {
                Some((cut, 0)) => {
                    self.cutting = None;
                    return Some(cut);
                }
                Some((_, left)) => left.min(rest.len()),
                None => rest.len(),
            };
            if rest.is_empty() {
                return None;
            }
            let mut near = &rest[..reach];
            match self.decoder.decode(&mut near) {
                Ok(Some(message)) => {
                    enter(
                        &mut self.account,
                        &self.shared,
                        self.index,
                        arrived,
                        &message,
                    );
                    self.progress.arrived(self.account.received());
                }
                Ok(None) => {}
                Err(_) => self.journey.undecodable += 1,
            }
            let taken = reach - near.len();
            rest = &rest[taken..];
            if let Some((_, left)) = &mut self.cutting {
                *left -= taken;
            }
        }
    }

    /// The cut that is due now. Without an id there is no coming back without a loss, so nobody is cut before the
    /// server has given one.
    fn next_cut(&mut self) -> Option<Cut> {
        if self.decoder.last_event_id().is_empty() {
            None
        } else {
            self.cuts.due(self.account.received())
        }
    }

    fn announce(&mut self, outcome: Result<(), End>) {
        if let Some(opened) = self.opened.take() {
            // The run may have given up waiting.
            let _ = opened.send(outcome);
        }
    }
}

impl From<ConnectError> for NotOpen {
    fn from(error: ConnectError) -> Self {
        Self::Unanswered(chain(&error))
    }
}

/// Enters one decoded event in the books.
fn enter(
    account: &mut Account,
    shared: &Shared,
    index: usize,
    arrived: Duration,
    message: &Message<'_>,
) {
    if message.event_type() == "gap" {
        account.gap();
        return;
    }
    match Stamp::parse(message.data()).filter(|stamp| stamp.run == shared.run) {
        Some(stamp) => {
            if account.arrival(stamp.sequence, message.last_event_id()) {
                let late = arrived.saturating_sub(stamp.due);
                shared
                    .latency
                    .of(index)
                    .lock()
                    .expect("recording does not panic")
                    .record(late);
            }
        }
        None => account.foreign(),
    }
}

/// WHATWG HTML, section 9.2.3: what makes a response an event stream, and what ends the source for good.
fn check(response: &Response<Incoming>) -> Result<(), NotOpen> {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NO_CONTENT => return Err(NotOpen::Final(End::NoContent)),
        status => return Err(NotOpen::Final(End::Refused(status))),
    }
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("no content type");
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("text/event-stream") {
        Ok(())
    } else {
        Err(NotOpen::Final(End::NotEventStream(kind.to_owned())))
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
