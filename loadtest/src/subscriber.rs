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
mod reader;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Empty;
use tokio::sync::oneshot;
use wellspring_event::{Decoder, EventId};

use crate::client::{Head, NotOpened, Opened, Seat, Stream, Taken};
use crate::cut::{Cut, Extent, Schedule};
use crate::meter::Meter;
use crate::sightings::Sightings;
use crate::stamp::{Clock, RunMark};
use crate::target::{Protocol, Target};
pub use journey::{End, Journey, SubscriberReport};
pub(crate) use progress::{Progress, Stage};
pub(crate) use reader::Books;
use reader::Reader;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a subscriber stays away after a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// Until the stream says otherwise with `retry:`. Default: 3 s, as Chromium.
    pub default: Duration,
    /// Always so long, whatever the stream says. Default: none.
    pub forced: Option<Duration>,
    /// A random time up to this one in addition. Default: none, as in browsers.
    pub jitter: Duration,
}

/// What all subscribers of a run have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) identity: Identity,
    pub(crate) clock: Clock,
    pub(crate) reconnect: Reconnect,
    pub(crate) meter: Meter,
}

/// How an event is told from the others.
#[derive(Debug)]
pub(crate) enum Identity {
    /// By the stamp that our publisher wrote into it.
    Stamped(RunMark),
    /// By its id: somebody else publishes.
    Sighted(Sightings),
}

/// A subscriber before and during its run.
pub(crate) struct Subscriber {
    seat: Seat,
    cuts: Schedule,
    /// The cut that has come due, and the bytes that are still taken before it.
    cutting: Option<(Cut, usize)>,
    decoder: Decoder,
    reader: Reader,
    opened: Option<oneshot::Sender<Result<(), End>>>,
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
            jitter: Duration::ZERO,
        }
    }
}

impl Reconnect {
    fn delay(&self, decoder: &Decoder) -> Duration {
        let delay = self.forced.or(decoder.retry()).unwrap_or(self.default);
        delay.saturating_add(self.jitter.mul_f64(rand::random()))
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
            seat,
            cuts,
            cutting: None,
            decoder: Decoder::new(),
            reader: Reader::new(index, shared, events),
            opened: Some(opened),
        }
    }

    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.reader.progress)
    }

    /// Reads until the server ends it for good, or `stop` is sent or dropped.
    pub(crate) async fn run(mut self, stop: oneshot::Receiver<()>) -> Books {
        let end = tokio::select! {
            end = self.follow() => end,
            _ = stop => End::RunOver,
        };
        self.leave(Stage::Ended);
        self.announce(Err(end.clone()));
        self.reader.into_books(end)
    }

    async fn follow(&mut self) -> End {
        loop {
            match self.open().await {
                Ok(stream) => {
                    self.reader.journey.opened += 1;
                    self.reader.shared.meter.opened();
                    self.reader.progress.open(stream.line());
                    self.announce(Ok(()));
                    self.read(stream).await;
                }
                Err(NotOpen::Final(end)) => return end,
                Err(NotOpen::CutAlong) => continue,
                // Nothing has ever worked here: that is a wrong URL, not a break.
                Err(NotOpen::Unanswered(reason)) if self.opened.is_some() => {
                    return End::Unreachable(reason);
                }
                Err(NotOpen::Unanswered(_)) => self.reader.journey.unanswered += 1,
            }
            self.leave(Stage::Away);
            self.decoder.reset();
            tokio::time::sleep(self.reader.shared.reconnect.delay(&self.decoder)).await;
        }
    }

    async fn open(&mut self) -> Result<Stream, NotOpen> {
        let Shared {
            target, headers, ..
        } = &*self.reader.shared;
        let request = subscription(target, headers, self.decoder.last_event_id());
        let shared = Arc::clone(&self.reader.shared);
        let reader = &mut self.reader;
        reader.resuming = request.headers().contains_key(LAST_EVENT_ID);
        reader.journey.resumes_tried += u64::from(reader.resuming);
        let asked = shared.clock.now();
        let Opened {
            head,
            stream,
            answered,
        } = self.seat.open(request).await?;
        check(&head).map_err(NotOpen::Final)?;
        shared.meter.answered(reader.index, answered);
        reader.asked = Some(asked);
        reader.before = None;
        reader.journey.resumes += u64::from(reader.resuming);
        if let Some(position) = head
            .headers
            .get(LAST_EVENT_ID)
            .and_then(|value| value.to_str().ok())
        {
            reader.journey.positions += 1;
            if self.decoder.last_event_id().is_empty()
                && let Ok(position) = EventId::new(position)
            {
                self.decoder.set_last_event_id(position);
            }
        }
        Ok(stream)
    }

    async fn read(&mut self, mut stream: Stream) {
        // A cut may be due on a stream that is and stays quiet.
        let mut cut = self.take(&[]);
        loop {
            if let Some(cut) = cut {
                self.reader.journey.cuts += 1;
                match (self.reader.shared.target.protocol(), cut.extent) {
                    // Dropping the body resets its stream.
                    (Protocol::Http2, Extent::Stream) => {}
                    _ => stream.line().cut(cut.manner),
                }
                return;
            }
            cut = match stream.read(|chunk| self.take(chunk)).await {
                Ok(Taken::All) => None,
                Ok(Taken::Stopped(cut)) => Some(cut),
                Ok(Taken::Ended) => return self.reader.ended(self.decoder.retry().is_some()),
                Err(_) if stream.line().is_cut() => {
                    self.reader.journey.cut_along += 1;
                    return;
                }
                Err(_) => {
                    self.reader.journey.broken += 1;
                    return;
                }
            };
        }
    }

    /// Takes what has arrived, up to the place of the next cut, and returns that cut when it is reached.
    fn take(&mut self, chunk: &[u8]) -> Option<Cut> {
        let arrived = self.reader.shared.clock.now();
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
                Ok(Some(message)) => self.reader.enter(arrived, &message),
                Ok(None) => {}
                Err(_) => self.reader.journey.undecodable += 1,
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
            self.cuts.due(self.reader.account.received())
        }
    }

    fn leave(&self, stage: Stage) {
        if self.reader.progress.stage() == Stage::Open {
            self.reader.shared.meter.left();
        }
        self.reader.progress.leave(stage);
    }

    fn announce(&mut self, outcome: Result<(), End>) {
        if let Some(opened) = self.opened.take() {
            // The run may have given up waiting.
            let _ = opened.send(outcome);
        }
    }
}

impl From<NotOpened> for NotOpen {
    fn from(reason: NotOpened) -> Self {
        match reason {
            NotOpened::Unanswered(reason) => Self::Unanswered(reason),
            NotOpened::CutAlong => Self::CutAlong,
        }
    }
}

/// The request that `EventSource` makes, but for the headers that only a browser has; `last_event_id` may be empty.
pub(crate) fn subscription(
    target: &Target,
    headers: &HeaderMap,
    last_event_id: &str,
) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = target.request_uri();
    *request.headers_mut() = headers.clone();
    let headers = request.headers_mut();
    if target.protocol() == Protocol::Http1 && !headers.contains_key(HOST) {
        headers.insert(
            HOST,
            HeaderValue::try_from(target.authority()).expect("an authority is a header value"),
        );
    }
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // An id with control characters is no header value, and no browser could send it either.
    if let Ok(id) = HeaderValue::try_from(last_event_id)
        && !id.is_empty()
    {
        headers.insert(LAST_EVENT_ID, id);
    }
    request
}

/// WHATWG HTML, section 9.2.3: what makes a response an event stream, and what ends the source for good.
pub(crate) fn check(head: &Head) -> Result<(), End> {
    match head.status {
        StatusCode::OK => {}
        StatusCode::NO_CONTENT => return Err(End::NoContent),
        status => return Err(End::Refused(status)),
    }
    let kind = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("no content type");
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("text/event-stream") {
        Ok(())
    } else {
        Err(End::NotEventStream(kind.to_owned()))
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
