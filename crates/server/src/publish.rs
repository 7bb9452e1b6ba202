//! `wellspring publish`: lines of standard input become events of a topic.
//!
//! Lines travel on one long request, each as soon as it is read. The server says at the end of a request what it
//! took, so a request is ended from time to time; until then its lines are kept, and when the connection breaks they
//! are sent again. Each carries a key, by which the topic counts it once.

mod line;
mod progress;
mod source;
mod unacknowledged;
mod upload;

use std::io;
use std::time::Duration;

use clap::Args;
use http::Uri;
use thiserror::Error;
use tokio::io::{AsyncRead, Stdin};
use tokio::time::{Instant, sleep_until};

use self::line::{Format, LineError, LineWriter};
use self::progress::{Progress, lines};
use self::source::Source;
use self::unacknowledged::Unacknowledged;
use self::upload::{Exchange, Receipt, Upload, UploadError};
use crate::client::{
    Backoff, ClientError, HttpClient, Refusal, ServerUrl, Trust, TrustError, path_segment,
};
use crate::interrupt::Interrupts;

/// What `wellspring publish` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PublishOptions {
    /// The topic to publish to
    pub topic: String,

    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: ServerUrl,

    /// Each line is an event as JSON: {"data": "...", "event": "type", "key": "..."}; all but data may be left out
    #[arg(long)]
    pub ndjson: bool,

    /// Wait for a server that is not there yet
    #[arg(long)]
    pub wait: bool,

    #[command(flatten)]
    pub trust: Trust,
}

const EXAMPLES: &str = "\
Examples:
  tail -f access.log | wellspring publish logs
  echo '{\"event\": \"note\", \"data\": \"hello\"}' | wellspring publish --ndjson chat
  wellspring publish --url https://localhost:8443 --cacert certs/ca.pem logs < notes.txt

Every line is published once, in order, also when the connection breaks in between. Ctrl-C stops reading and waits \
until the server has what was read; a second one does not.";

/// Why not everything that was read could be published.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum PublishError {
    /// The file of authorities cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The server was never reached.
    #[error(transparent)]
    Unreachable(ClientError),
    /// The server does not take what is sent there, and never will.
    #[error("{url}: {refusal}")]
    Refused { url: String, refusal: Refusal },
    /// The server does not take this line. Those before it are published.
    #[error("line {line}: {refusal}")]
    RefusedLine { line: u64, refusal: Refusal },
    /// A line that cannot be an event. Those before it are published.
    #[error(transparent)]
    Line(#[from] LineError),
    /// Something answers there, but not a topic of Wellspring's.
    #[error("{0} is not a topic of a Wellspring server")]
    NoReceipt(String),
    /// The system does not tell of Ctrl-C.
    #[error("cannot listen for Ctrl-C: {0}")]
    Signals(io::Error),
    /// Standard input broke. What was read is published.
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    /// A second Ctrl-C.
    #[error("interrupted; lines of which nobody knows whether they are published: {0}")]
    Interrupted(usize),
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

/// Publishes standard input until it ends, or Ctrl-C. Tells on standard error how it goes.
///
/// # Errors
///
/// [`PublishError`]: one line. What was read before is acknowledged then, unless it is the server that fails.
pub(crate) async fn run(options: PublishOptions) -> Result<(), PublishError> {
    let client = HttpClient::new(&options.trust)?;
    let path = format!("/topics/{}", path_segment(&options.topic));
    let format = if options.ndjson {
        Format::Json
    } else {
        Format::Text
    };
    let interrupts = Interrupts::new().map_err(PublishError::Signals)?;
    let mut publisher = Publisher {
        client,
        url: options.url.join(&path),
        wait: options.wait,
        source: Source::new(tokio::io::stdin()),
        writer: LineWriter::new(format),
        outcome: None,
        unacknowledged: Unacknowledged::default(),
        phase: Phase::Idle,
        backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
        reached: false,
        progress: Progress::new(),
    };
    let result = publisher.publish(interrupts).await;
    if result.is_ok() || publisher.progress.acknowledged() > 0 {
        let left = publisher.unacknowledged.len();
        publisher.progress.summarize(&options.topic, left);
    } else {
        publisher.progress.erase();
    }
    result
}

struct Publisher<I = Stdin> {
    client: HttpClient,
    url: Uri,
    wait: bool,
    source: Source<I>,
    writer: LineWriter,
    /// How it will end once all is acknowledged; nothing more is read from when that is known.
    outcome: Option<Result<(), PublishError>>,
    unacknowledged: Unacknowledged,
    phase: Phase,
    backoff: Backoff,
    /// A server was there once: from then on it is waited for.
    reached: bool,
    progress: Progress,
}

/// What goes on between us and the server.
enum Phase {
    /// Everything that was read is acknowledged, and no request is open.
    Idle,
    /// The last attempt failed; the next one is due then.
    BackingOff(Instant),
    Uploading(Upload),
}

/// What can happen next.
enum Happening {
    Interrupt,
    Exchange(Exchange),
    Read(io::Result<usize>),
    /// The phase has taken its time.
    Due,
    Tick,
}

impl<I: AsyncRead + Unpin> Publisher<I> {
    async fn publish(&mut self, mut interrupts: Interrupts) -> Result<(), PublishError> {
        // At once, so that a wrong address or topic is told before the first line.
        self.begin();
        let mut interrupted = false;
        loop {
            let all_taken = self.take_lines();
            let is_quiet = self.advance();
            if all_taken
                && is_quiet
                && let Some(outcome) = self.outcome.take()
            {
                return outcome;
            }
            match self.happening(&mut interrupts).await {
                Happening::Interrupt if interrupted => {
                    return match self.unacknowledged.len() {
                        0 => Ok(()),
                        lines => Err(PublishError::Interrupted(lines)),
                    };
                }
                Happening::Interrupt => {
                    interrupted = true;
                    self.stop_reading().await;
                }
                Happening::Exchange(Exchange::Sent(lines)) => self.unacknowledged.mark_sent(lines),
                Happening::Exchange(Exchange::Answer(Ok(receipt))) => self.acknowledge(&receipt),
                Happening::Exchange(Exchange::Answer(Err(error))) => self.fail(error)?,
                Happening::Read(Ok(0)) => self.outcome = Some(Ok(())),
                Happening::Read(Ok(_)) => {}
                Happening::Read(Err(error)) => {
                    self.outcome = Some(Err(PublishError::Input(error)));
                }
                Happening::Due => self.due()?,
                Happening::Tick => {}
            }
            self.progress.update(self.unacknowledged.sent());
        }
    }

    /// Waits for the first thing that happens. Nothing is lost of what happens at the same time.
    async fn happening(&mut self, interrupts: &mut Interrupts) -> Happening {
        let reading = self.outcome.is_none() && !self.unacknowledged.is_full();
        let chunk = match &self.phase {
            Phase::Uploading(upload) if upload.is_open() => self.unacknowledged.next_chunk(),
            _ => None,
        };
        let (mut upload, due) = match &mut self.phase {
            Phase::Idle => (None, None),
            Phase::BackingOff(until) => (None, Some(*until)),
            Phase::Uploading(upload) => {
                let due = upload.due();
                (Some(upload), Some(due))
            }
        };
        let exchange = async {
            match &mut upload {
                Some(upload) => upload.exchange(chunk).await,
                None => std::future::pending().await,
            }
        };
        let due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = interrupts.next() => Happening::Interrupt,
            exchange = exchange => Happening::Exchange(exchange),
            () = due => Happening::Due,
            read = self.source.fill(), if reading => Happening::Read(read),
            () = self.progress.tick() => Happening::Tick,
        }
    }

    /// Takes lines that are there over to be sent, as far as there is room; whether none is left.
    fn take_lines(&mut self) -> bool {
        while !self.unacknowledged.is_full() {
            let line = match self.source.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => return true,
                Err(error) => return self.stop_with(error),
            };
            match self.writer.write(line.number, line.bytes) {
                Ok(Some(event)) => self.unacknowledged.push(line.number, event),
                Ok(None) => {}
                Err(error) => return self.stop_with(error),
            }
        }
        false
    }

    /// Nothing more becomes a line: none is left, which is what it returns.
    fn stop_with(&mut self, error: LineError) -> bool {
        self.source.clear();
        self.outcome = Some(Err(error.into()));
        true
    }

    /// Reads no more, but takes what the system has read for us by now.
    async fn stop_reading(&mut self) {
        if self.outcome.is_none() {
            if !self.unacknowledged.is_full() {
                // Polls once. An error would be that of an input that we are done with.
                let _ = tokio::time::timeout(Duration::ZERO, self.source.fill()).await;
            }
            self.outcome = Some(Ok(()));
        }
        let left = self.unacknowledged.len();
        if left > 0 {
            self.progress.say(&format!(
                "waiting until the server has {} (Ctrl-C again: give up)",
                lines(left as u64)
            ));
        }
    }

    /// Opens or ends a request where there is reason to; whether everything is acknowledged and nothing is open.
    fn advance(&mut self) -> bool {
        match &mut self.phase {
            Phase::Uploading(upload) => {
                let has_reason = self.outcome.is_some() || self.unacknowledged.is_full();
                if upload.is_open() && has_reason && self.unacknowledged.is_all_sent() {
                    upload.end(PATIENCE);
                }
                false
            }
            Phase::Idle if !self.unacknowledged.is_empty() => {
                self.begin();
                false
            }
            Phase::Idle | Phase::BackingOff(_) => self.unacknowledged.is_empty(),
        }
    }

    /// Opens a request, in which every line that is not acknowledged is sent, those first that were sent before.
    fn begin(&mut self) {
        self.unacknowledged.rewind();
        self.phase = Phase::Uploading(Upload::begin(&self.client, self.url.clone(), REQUEST));
    }

    /// The phase has taken its time.
    fn due(&mut self) -> Result<(), PublishError> {
        match &mut self.phase {
            Phase::Idle | Phase::BackingOff(_) => self.begin(),
            Phase::Uploading(upload) if upload.is_open() => upload.end(PATIENCE),
            Phase::Uploading(_) => self.fail(UploadError::Silent)?,
        }
        Ok(())
    }

    /// The server has taken lines. They may be fewer than were sent, when it ended the request by itself.
    fn acknowledge(&mut self, receipt: &Receipt) {
        let taken = usize::try_from(receipt.published.saturating_add(receipt.repeated))
            .map_or(self.unacknowledged.sent(), |taken| {
                taken.min(self.unacknowledged.sent())
            });
        let sent = self.unacknowledged.sent();
        self.unacknowledged.acknowledge(taken);
        self.progress.acknowledge(taken, receipt.repeated);
        self.reached = true;
        if taken == 0 && sent > 0 {
            self.back_off("the server took none of the lines", None);
        } else {
            self.backoff.reset();
            self.phase = Phase::Idle;
        }
    }

    /// The request failed: try again where that may help.
    fn fail(&mut self, error: UploadError) -> Result<(), PublishError> {
        match error {
            UploadError::Refused(refusal) if refusal.is_transient() => {
                self.reached = true;
                let what = format!("the server answered {refusal}");
                self.back_off(&what, refusal.retry_after);
                Ok(())
            }
            UploadError::Refused(refusal) => Err(self.refused(refusal)),
            UploadError::NoReceipt => Err(PublishError::NoReceipt(self.url.to_string())),
            UploadError::Silent => {
                let seconds = PATIENCE.as_secs();
                let what = format!("no acknowledgement from the server within {seconds} s");
                self.back_off(&what, None);
                Ok(())
            }
            UploadError::Client(error) => {
                let is_hopeless = match &error {
                    ClientError::Connect { .. } => !self.reached && !self.wait,
                    ClientError::Certificate { .. } | ClientError::Protocol { .. } => !self.reached,
                    ClientError::Broken { .. } => {
                        self.reached = true;
                        false
                    }
                };
                if is_hopeless {
                    return Err(PublishError::Unreachable(error));
                }
                self.back_off(&error.to_string(), None);
                Ok(())
            }
        }
    }

    /// Why the server will never take this; what came before its line it has taken.
    fn refused(&mut self, refusal: Refusal) -> PublishError {
        let before = refusal
            .line
            .and_then(|line| usize::try_from(line.checked_sub(1)?).ok());
        let line = before.and_then(|before| self.unacknowledged.number(before));
        match (line, before) {
            (Some(line), Some(before)) => {
                self.unacknowledged.acknowledge(before);
                self.progress.acknowledge(before, 0);
                PublishError::RefusedLine { line, refusal }
            }
            _ => PublishError::Refused {
                url: self.url.to_string(),
                refusal,
            },
        }
    }

    fn back_off(&mut self, what: &str, at_least: Option<Duration>) {
        let wait = self.backoff.next_wait();
        let wait = wait.max(at_least.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        self.unacknowledged.rewind();
        self.phase = Phase::BackingOff(Instant::now() + wait);
        self.progress.say(&format!(
            "{what}; again in {:.1} s, {} to send",
            wait.as_secs_f64(),
            lines(self.unacknowledged.len() as u64)
        ));
    }
}
