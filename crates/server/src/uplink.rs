//! Lines on their way to a server, each kept until the server has it.
//!
//! They travel on one long request, each as soon as it is there. The server says at the end of a request what it
//! took, so a request is ended from time to time; when the connection breaks, what was not acknowledged is sent again.
//! That a line which is sent twice counts once is up to the lines: each has a key, or else a number.

mod unacknowledged;
mod upload;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

use self::unacknowledged::Unacknowledged;
use self::upload::{Exchange, Receipt, Upload, UploadError};
use crate::client::{Backoff, ClientError, HttpClient, Refusal};

/// Lines on their way to one address.
pub(crate) struct Uplink {
    client: HttpClient,
    url: Uri,
    options: UplinkOptions,
    unacknowledged: Unacknowledged,
    /// The number of the line that is added next.
    next: u64,
    /// Whether no more lines will be added.
    closing: bool,
    phase: Phase,
    backoff: Backoff,
    /// A server was there once: from then on it is waited for.
    reached: bool,
}

/// How an uplink behaves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UplinkOptions {
    /// Wait for a server that was never there.
    pub(crate) wait: bool,
    /// The epoch of a producer whose lines are the parts of a run, numbered from 0. A request is then always open, so
    /// that the end of the run is heard of.
    pub(crate) epoch: Option<u64>,
}

/// What has happened.
#[derive(Debug)]
pub(crate) enum News {
    /// More lines are on their way.
    Sent,
    /// The server has so many more, `repeated` of which it had before.
    Acknowledged { lines: usize, repeated: u64 },
    /// It did not work, and will be tried again: one line that says so.
    Delayed(String),
}

/// Why trying again will not help.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum UplinkError {
    /// The server was never reached.
    #[error(transparent)]
    Unreachable(ClientError),
    /// The server does not take what is sent there, and never will.
    #[error("{url}: {refusal}")]
    Refused { url: String, refusal: Refusal },
    /// The server does not take this line. It has the `before` lines that were not acknowledged before it.
    #[error("line {line}: {refusal}")]
    RefusedLine {
        line: u64,
        before: usize,
        refusal: Refusal,
    },
    /// Something answers there, but nothing of Wellspring's that takes lines.
    #[error("{0} takes no lines: is it a Wellspring server's?")]
    NoReceipt(String),
}

/// A request is ended, and so acknowledged, after this time...
const REQUEST: Duration = Duration::from_secs(5);
/// ...and then the server has this long to say what it took.
const PATIENCE: Duration = Duration::from_secs(30);

/// The waits between attempts to connect.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A server's wish for a longer one is heard up to here.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

const PRODUCER_EPOCH: HeaderName = HeaderName::from_static("producer-epoch");
const PRODUCER_SEQ: HeaderName = HeaderName::from_static("producer-seq");

/// What goes on between us and the server.
enum Phase {
    /// No request is open.
    Idle,
    /// The last attempt failed; the next one is due then.
    BackingOff(Instant),
    Uploading(Upload),
}

/// What can happen next.
enum Happening {
    Exchange(Exchange),
    /// The phase has taken its time.
    Due,
}

impl Uplink {
    /// Opens a request at once, so that a wrong address is told before the first line.
    pub(crate) fn begin(client: HttpClient, url: Uri, options: UplinkOptions) -> Self {
        let mut uplink = Self {
            client,
            url,
            options,
            unacknowledged: Unacknowledged::default(),
            next: if options.epoch.is_some() { 0 } else { 1 },
            closing: false,
            phase: Phase::Idle,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            reached: false,
        };
        uplink.open();
        uplink
    }

    /// Adds a line of JSON, which ends with LF. Numbers only grow; those of a run's parts leave none out.
    pub(crate) fn push(&mut self, number: u64, line: Bytes) {
        self.unacknowledged.push(number, line);
        self.next = number + 1;
    }

    /// The number of the next line of a run.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }

    /// No more lines will be added: the request is ended as soon as all are sent.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    /// Whether no more lines should be added before some are acknowledged.
    pub(crate) fn is_full(&self) -> bool {
        self.unacknowledged.is_full()
    }

    /// How many lines are not acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.unacknowledged.len()
    }

    /// How many of them are sent.
    pub(crate) fn sent(&self) -> usize {
        self.unacknowledged.sent()
    }

    /// Whether every line is acknowledged, and no request is open.
    pub(crate) fn is_quiet(&self) -> bool {
        self.unacknowledged.is_empty() && !matches!(self.phase, Phase::Uploading(_))
    }

    /// Sends and waits until there is something to tell: for ever, if there is nothing to send.
    ///
    /// # Errors
    ///
    /// [`UplinkError`]; then the uplink is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn news(&mut self) -> Result<News, UplinkError> {
        loop {
            self.advance();
            match self.happening().await {
                Happening::Exchange(Exchange::Sent(lines)) => {
                    self.unacknowledged.mark_sent(lines);
                    return Ok(News::Sent);
                }
                Happening::Exchange(Exchange::Answer(Ok(receipt))) => {
                    return Ok(self.acknowledge(&receipt));
                }
                Happening::Exchange(Exchange::Answer(Err(error))) => return self.fail(error),
                Happening::Due => match &mut self.phase {
                    Phase::Idle | Phase::BackingOff(_) => self.open(),
                    Phase::Uploading(upload) if upload.is_open() => upload.end(PATIENCE),
                    Phase::Uploading(_) => return self.fail(UploadError::Silent),
                },
            }
        }
    }

    /// Opens or ends a request where there is reason to.
    fn advance(&mut self) {
        match &mut self.phase {
            Phase::Uploading(upload) => {
                let has_reason = self.closing || self.unacknowledged.is_full();
                if upload.is_open() && has_reason && self.unacknowledged.is_all_sent() {
                    upload.end(PATIENCE);
                }
            }
            Phase::Idle => {
                let listens = self.options.epoch.is_some() && !self.closing;
                if listens || !self.unacknowledged.is_empty() {
                    self.open();
                }
            }
            Phase::BackingOff(_) => {}
        }
    }

    /// Waits for the first thing that happens. Nothing is lost of what happens at the same time.
    async fn happening(&mut self) -> Happening {
        match &mut self.phase {
            Phase::Idle => std::future::pending().await,
            Phase::BackingOff(until) => {
                sleep_until(*until).await;
                Happening::Due
            }
            Phase::Uploading(upload) => {
                let chunk = if upload.is_open() {
                    self.unacknowledged.next_chunk()
                } else {
                    None
                };
                let due = upload.due();
                tokio::select! {
                    biased;
                    exchange = upload.exchange(chunk) => Happening::Exchange(exchange),
                    () = sleep_until(due) => Happening::Due,
                }
            }
        }
    }

    /// Opens a request, in which every line that is not acknowledged is sent, those first that were sent before.
    fn open(&mut self) {
        self.unacknowledged.rewind();
        let mut headers = HeaderMap::new();
        if let Some(epoch) = self.options.epoch {
            let first = self.unacknowledged.number(0).unwrap_or(self.next);
            headers.insert(PRODUCER_EPOCH, HeaderValue::from(epoch));
            headers.insert(PRODUCER_SEQ, HeaderValue::from(first));
        }
        let upload = Upload::begin(&self.client, self.url.clone(), headers, REQUEST);
        self.phase = Phase::Uploading(upload);
    }

    /// The server has taken lines. They may be fewer than were sent, when it ended the request by itself.
    fn acknowledge(&mut self, receipt: &Receipt) -> News {
        let sent = self.unacknowledged.sent();
        let lines = usize::try_from(receipt.new.saturating_add(receipt.repeated))
            .map_or(sent, |lines| lines.min(sent));
        self.unacknowledged.acknowledge(lines);
        self.reached = true;
        if lines == 0 && sent > 0 {
            return self.back_off("the server took none of the lines", None);
        }
        self.backoff.reset();
        self.phase = Phase::Idle;
        News::Acknowledged {
            lines,
            repeated: receipt.repeated,
        }
    }

    /// The request failed: try again where that may help.
    fn fail(&mut self, error: UploadError) -> Result<News, UplinkError> {
        match error {
            UploadError::Refused(refusal) if refusal.is_transient() => {
                self.reached = true;
                let what = format!("the server answered {refusal}");
                Ok(self.back_off(&what, refusal.retry_after))
            }
            UploadError::Refused(refusal) => Err(self.refused(refusal)),
            UploadError::NoReceipt => Err(UplinkError::NoReceipt(self.url.to_string())),
            UploadError::Silent => {
                let seconds = PATIENCE.as_secs();
                let what = format!("no acknowledgement from the server within {seconds} s");
                Ok(self.back_off(&what, None))
            }
            UploadError::Client(error) => {
                let is_hopeless = match &error {
                    ClientError::Connect { .. } => !self.reached && !self.options.wait,
                    ClientError::Certificate { .. } | ClientError::Protocol { .. } => !self.reached,
                    ClientError::Broken { .. } => {
                        self.reached = true;
                        false
                    }
                };
                if is_hopeless {
                    return Err(UplinkError::Unreachable(error));
                }
                Ok(self.back_off(&error.to_string(), None))
            }
        }
    }

    /// Why the server will never take this; what came before its line it has taken.
    fn refused(&mut self, refusal: Refusal) -> UplinkError {
        let before = refusal
            .line
            .and_then(|line| usize::try_from(line.checked_sub(1)?).ok());
        let line = before.and_then(|before| self.unacknowledged.number(before));
        match (line, before) {
            (Some(line), Some(before)) => {
                self.unacknowledged.acknowledge(before);
                UplinkError::RefusedLine {
                    line,
                    before,
                    refusal,
                }
            }
            _ => UplinkError::Refused {
                url: self.url.to_string(),
                refusal,
            },
        }
    }

    fn back_off(&mut self, what: &str, at_least: Option<Duration>) -> News {
        let wait = self.backoff.next_wait();
        let wait = wait.max(at_least.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        self.unacknowledged.rewind();
        self.phase = Phase::BackingOff(Instant::now() + wait);
        News::Delayed(format!(
            "{what}; again in {:.1} s, {} to send",
            wait.as_secs_f64(),
            lines(self.unacknowledged.len() as u64)
        ))
    }
}

/// `1 line`, `2 lines`.
pub(crate) fn lines(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} line{plural}")
}
