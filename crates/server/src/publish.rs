//! `wellspring publish`: lines of standard input become events of a topic.
//!
//! Each carries a key, by which the topic counts it once, however often a broken connection makes us send it.

mod line;
mod progress;
mod source;

use std::io;
use std::time::Duration;

use clap::Args;
use thiserror::Error;
use tokio::io::{AsyncRead, Stdin};

use self::line::{Format, LineError, LineWriter};
use self::progress::Progress;
use self::source::Source;
use crate::client::{HttpClient, ServerUrl, Trust, TrustError, path_segment};
use crate::interrupt::Interrupts;
use crate::uplink::{News, Uplink, UplinkError, UplinkOptions, lines};

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
    /// The server does not take it, or was never reached.
    #[error(transparent)]
    Uplink(#[from] UplinkError),
    /// A line that cannot be an event. Those before it are published.
    #[error(transparent)]
    Line(#[from] LineError),
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
    let uplink = UplinkOptions {
        wait: options.wait,
        ..UplinkOptions::default()
    };
    let mut publisher = Publisher {
        source: Source::new(tokio::io::stdin()),
        writer: LineWriter::new(format),
        outcome: None,
        uplink: Uplink::begin(client, options.url.join(&path), uplink),
        progress: Progress::new(),
    };
    let result = publisher.publish(interrupts).await;
    if result.is_ok() || publisher.progress.acknowledged() > 0 {
        let left = publisher.uplink.len();
        publisher.progress.summarize(&options.topic, left);
    } else {
        publisher.progress.erase();
    }
    result
}

struct Publisher<I = Stdin> {
    source: Source<I>,
    writer: LineWriter,
    /// How it will end once all is acknowledged; nothing more is read from when that is known.
    outcome: Option<Result<(), PublishError>>,
    uplink: Uplink,
    progress: Progress,
}

/// What can happen next.
enum Happening {
    Interrupt,
    News(Result<News, UplinkError>),
    Read(io::Result<usize>),
    Tick,
}

impl<I: AsyncRead + Unpin> Publisher<I> {
    async fn publish(&mut self, mut interrupts: Interrupts) -> Result<(), PublishError> {
        let mut interrupted = false;
        loop {
            let all_taken = self.take_lines();
            if self.outcome.is_some() {
                self.uplink.close();
            }
            if all_taken
                && self.uplink.is_quiet()
                && let Some(outcome) = self.outcome.take()
            {
                return outcome;
            }
            match self.happening(&mut interrupts).await {
                Happening::Interrupt if interrupted => {
                    return match self.uplink.len() {
                        0 => Ok(()),
                        lines => Err(PublishError::Interrupted(lines)),
                    };
                }
                Happening::Interrupt => {
                    interrupted = true;
                    self.stop_reading().await;
                }
                Happening::News(news) => self.tell(news)?,
                Happening::Read(Ok(0)) => self.outcome = Some(Ok(())),
                Happening::Read(Ok(_)) => {}
                Happening::Read(Err(error)) => {
                    self.outcome = Some(Err(PublishError::Input(error)));
                }
                Happening::Tick => {}
            }
            self.progress.update(self.uplink.sent());
        }
    }

    /// Waits for the first thing that happens. Nothing is lost of what happens at the same time.
    async fn happening(&mut self, interrupts: &mut Interrupts) -> Happening {
        let reading = self.outcome.is_none() && !self.uplink.is_full();
        tokio::select! {
            biased;
            () = interrupts.next() => Happening::Interrupt,
            news = self.uplink.news() => Happening::News(news),
            read = self.source.fill(), if reading => Happening::Read(read),
            () = self.progress.tick() => Happening::Tick,
        }
    }

    fn tell(&mut self, news: Result<News, UplinkError>) -> Result<(), UplinkError> {
        match &news {
            Ok(News::Sent) => {}
            Ok(News::Acknowledged { lines, repeated }) => {
                self.progress.acknowledge(*lines, *repeated);
            }
            Ok(News::Delayed(what)) => self.progress.say(what),
            Err(UplinkError::RefusedLine { before, .. }) => self.progress.acknowledge(*before, 0),
            Err(_) => {}
        }
        news.map(|_| ())
    }

    /// Takes lines that are there over to be sent, as far as there is room; whether none is left.
    fn take_lines(&mut self) -> bool {
        while !self.uplink.is_full() {
            let line = match self.source.next_line() {
                Ok(Some(line)) => line,
                Ok(None) => return true,
                Err(error) => return self.stop_with(error),
            };
            match self.writer.write(line.number, line.bytes) {
                Ok(Some(event)) => self.uplink.push(line.number, event),
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
            if !self.uplink.is_full() {
                // Polls once. An error would be that of an input that we are done with.
                let _ = tokio::time::timeout(Duration::ZERO, self.source.fill()).await;
            }
            self.outcome = Some(Ok(()));
        }
        let left = self.uplink.len();
        if left > 0 {
            self.progress.say(&format!(
                "waiting until the server has {} (Ctrl-C again: give up)",
                lines(left as u64)
            ));
        }
    }
}
