//! `wellspring tail`: a stream on standard output, as an `EventSource` would get it (WHATWG HTML, section 9.2.3): it
//! comes back after any break, to where it was.

mod address;
mod printer;

use std::io::{self, BufWriter, Write};
use std::num::NonZeroU64;
use std::time::Duration;

use clap::Args;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use thiserror::Error;
use wellspring_event::{Decoder, EventId};

use self::address::{Address, Beginning};
use self::printer::Printer;
use crate::client::{
    Backoff, ClientBody, ClientError, HttpClient, Refusal, Trust, TrustError, empty,
};

/// What `wellspring tail` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TailOptions {
    /// The stream's URL, or a topic of http://127.0.0.1:8080
    #[arg(value_name = "URL|TOPIC")]
    pub stream: Address,

    /// Begin with the earliest event that is kept, or after the event of this id [default: with the next event]
    #[arg(long, value_name = "earliest|ID")]
    pub from: Option<Beginning>,

    /// End after N events
    #[arg(short = 'n', long, value_name = "N")]
    pub count: Option<NonZeroU64>,

    /// Print each event as a line of JSON: {"event": "...", "id": "...", "data": "..."}
    #[arg(long)]
    pub json: bool,

    /// Tell of connections and breaks on standard error, too
    #[arg(short, long)]
    pub verbose: bool,

    /// Wait for a server that is not there yet
    #[arg(long)]
    pub wait: bool,

    #[command(flatten)]
    pub trust: Trust,
}

const EXAMPLES: &str = "\
Examples:
  wellspring tail logs
  wellspring tail --from earliest --json logs | jq .data
  wellspring tail --cacert certs/ca.pem https://localhost:8443/topics/logs

A break is not told of (--verbose does), as nothing is lost by it. Where something is lost, a line on standard error \
says how much. The stream ends when the server says that there is no more (204), or with Ctrl-C.";

/// Why a stream cannot be followed (any longer).
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum TailError {
    /// The file of authorities cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The server was never reached.
    #[error(transparent)]
    Unreachable(ClientError),
    /// The server answers with anything but a stream; by the standard that is final.
    #[error("{url}: {refusal}")]
    Refused { url: String, refusal: Refusal },
    /// The server answers with something else.
    #[error("{url} is not an event stream, but {kind}")]
    NotAStream { url: String, kind: String },
    /// The stream's last id has control characters, which HTTP does not allow in a header.
    #[error("the stream cannot be resumed: its last id does not fit into a header")]
    Id,
    /// Standard output broke.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// The reconnection time until a stream sets another one; browsers take 3 s (Chromium) or 5 s (Firefox).
const RECONNECTION_TIME: Duration = Duration::from_secs(3);

/// While nobody answers, attempts become rarer, as the standard allows.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The largest event that is printed.
const LARGEST_EVENT: usize = 16 << 20;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Prints a stream until it is over, enough of it is printed, or nobody reads what is printed.
///
/// # Errors
///
/// [`TailError`]: one line.
pub(crate) async fn run(options: TailOptions) -> Result<(), TailError> {
    let client = HttpClient::new(&options.trust)?;
    let output = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    let mut tail = Tail::new(client, &options, output);
    match tail.follow().await {
        // `wellspring tail logs | head` has had enough.
        Err(TailError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

struct Tail<W> {
    client: HttpClient,
    url: Uri,
    /// Where to begin while no id is known.
    beginning: Option<Beginning>,
    wait: bool,
    verbose: bool,
    decoder: Decoder,
    printer: Printer<W>,
    /// Events still to be printed; none for ever.
    left: Option<u64>,
    backoff: Backoff,
    /// A stream stood once: from then on it is waited for.
    reached: bool,
}

/// What became of a connection.
enum End {
    /// It is to be made again, for this reason.
    Broken(String),
    /// There is no more to print.
    Finished,
}

impl<W: Write> Tail<W> {
    fn new(client: HttpClient, options: &TailOptions, output: W) -> Self {
        let mut decoder = Decoder::with_limit(LARGEST_EVENT);
        if let Some(Beginning::After(id)) = &options.from
            && let Ok(id) = EventId::new(id.as_str())
        {
            decoder.set_last_event_id(id);
        }
        Self {
            client,
            url: options.stream.url().clone(),
            beginning: options.from.clone(),
            wait: options.wait,
            verbose: options.verbose,
            decoder,
            printer: Printer::new(output, options.json),
            left: options.count.map(NonZeroU64::get),
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            reached: false,
        }
    }

    async fn follow(&mut self) -> Result<(), TailError> {
        loop {
            let (reason, at_least) = match self.client.send(self.request()?).await {
                Ok(response) => match self.read(response).await? {
                    End::Finished => return Ok(()),
                    End::Broken(reason) => (reason, Duration::ZERO),
                },
                Err(error) if self.is_hopeless(&error) => {
                    return Err(TailError::Unreachable(error));
                }
                Err(error) => (error.to_string(), self.backoff.next_wait()),
            };
            let wait = self
                .decoder
                .retry()
                .unwrap_or(RECONNECTION_TIME)
                .max(at_least);
            self.tell(&format!(
                "{reason}; again in {:.1} s, {}",
                wait.as_secs_f64(),
                self.place()
            ));
            tokio::time::sleep(wait).await;
        }
    }

    fn request(&self) -> Result<Request<ClientBody>, TailError> {
        let mut request = Request::new(empty());
        let id = self.decoder.last_event_id();
        *request.uri_mut() = match &self.beginning {
            Some(Beginning::Earliest) if id.is_empty() => address::from_earliest(&self.url),
            _ => self.url.clone(),
        };
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if !id.is_empty() {
            let id = HeaderValue::from_bytes(id.as_bytes()).map_err(|_| TailError::Id)?;
            headers.insert(LAST_EVENT_ID, id);
        }
        Ok(request)
    }

    fn is_hopeless(&self, error: &ClientError) -> bool {
        match error {
            ClientError::Connect { .. } => !self.reached && !self.wait,
            ClientError::Certificate { .. } | ClientError::Protocol { .. } => !self.reached,
            ClientError::Broken { .. } => false,
        }
    }

    /// Prints what a connection brings.
    async fn read(&mut self, response: http::Response<Incoming>) -> Result<End, TailError> {
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT => {
                self.tell("the stream is over");
                return Ok(End::Finished);
            }
            _ => {
                return Err(TailError::Refused {
                    url: self.url.to_string(),
                    refusal: Refusal::read(response).await,
                });
            }
        }
        if !is_event_stream(response.headers()) {
            return Err(TailError::NotAStream {
                url: self.url.to_string(),
                kind: kind(response.headers()),
            });
        }
        self.reached = true;
        self.backoff.reset();
        self.decoder.reset();
        self.take_place(response.headers());
        self.tell(&format!(
            "connected over {:?}, {}",
            response.version(),
            self.place()
        ));
        let mut body = response.into_body();
        loop {
            let frame = match body.frame().await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    let broken = ClientError::in_body(&self.url, &error);
                    return Ok(End::Broken(broken.to_string()));
                }
                None => return Ok(End::Broken("the stream ended".to_owned())),
            };
            if let Ok(chunk) = frame.into_data() {
                let is_enough = self.print(&chunk);
                // Once for all that came together, and before anything is waited for.
                self.printer.flush().map_err(TailError::Output)?;
                if is_enough.map_err(TailError::Output)? {
                    return Ok(End::Finished);
                }
            }
        }
    }

    /// Prints the events that a chunk completes; whether enough are printed.
    fn print(&mut self, mut chunk: &[u8]) -> io::Result<bool> {
        loop {
            match self.decoder.decode(&mut chunk) {
                Ok(Some(message)) => {
                    let is_gap = self.printer.print(&message)?;
                    if let Some(left) = &mut self.left
                        && !is_gap
                    {
                        *left -= 1;
                        if *left == 0 {
                            return Ok(true);
                        }
                    }
                }
                Ok(None) => return Ok(false),
                Err(error) => self.printer.say(&format!("an event is lost: {error}"))?,
            }
        }
    }

    /// A server that says where a stream begins is asked to go on from there if it breaks before its first event.
    fn take_place(&mut self, headers: &HeaderMap) {
        let id = headers
            .get(LAST_EVENT_ID)
            .and_then(|id| std::str::from_utf8(id.as_bytes()).ok());
        if self.decoder.last_event_id().is_empty()
            && let Some(id) = id
            && let Ok(id) = EventId::new(id)
        {
            self.decoder.set_last_event_id(id);
        }
    }

    /// From where the stream goes on, for people.
    fn place(&self) -> String {
        match (self.decoder.last_event_id(), &self.beginning) {
            ("", Some(Beginning::Earliest)) => "from the earliest event".to_owned(),
            ("", _) => "from the next event".to_owned(),
            (id, _) => format!("after {id}"),
        }
    }

    fn tell(&mut self, text: &str) {
        if self.verbose {
            // Nothing waits to be printed here, so that nothing can fail but standard error, which is no reason to end.
            let _ = self.printer.say(text);
        }
    }
}

/// Whether the type's essence is that of an event stream, whatever its parameters (WHATWG HTML, section 9.2.3).
fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = kind(headers);
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("text/event-stream")
}

fn kind(headers: &HeaderMap) -> String {
    headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .map_or_else(|| "something without a type".to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests;
