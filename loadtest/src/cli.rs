//! The command line: option names where users of oha and wrk expect them.

pub(crate) mod lab;
pub(crate) mod model;
mod plans;
mod value;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};
use http::{HeaderName, HeaderValue, Method};
use wellspring_load::cut::Cuts;
use wellspring_load::publisher::{EventsPerSecond, Template};
use wellspring_load::report::Expectation;

/// Holds many event streams open and says whether each subscriber got every event, once, in order, and how late.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, disable_help_flag = true)]
pub(crate) struct Arguments {
    /// The stream to subscribe to; events are POSTed to the same URL. Several are measured one after another
    #[arg(value_name = "URL", required_unless_present = "calibrate")]
    urls: Vec<String>,

    /// Connections
    #[arg(short, long, default_value = "50", value_name = "N", value_parser = value::amount, help_heading = "Load")]
    connections: u64,

    /// Streams per connection (HTTP/2)
    #[arg(short, long, default_value = "1", value_name = "N", value_parser = value::amount, help_heading = "Load")]
    streams: u64,

    /// Events to publish; k and m stand for thousand and million [default: 1k, or as many as -z allows]
    #[arg(short = 'n', long, value_name = "N", value_parser = value::amount, help_heading = "Load")]
    events: Option<u64>,

    /// Publish for so long, like 30s or 2m
    #[arg(short = 'z', long, value_name = "TIME", value_parser = value::duration, help_heading = "Load")]
    duration: Option<Duration>,

    /// Events per second, whatever the server does [default: as fast as it takes them]
    #[arg(short = 'q', long, value_name = "RATE", allow_negative_numbers = true, value_parser = value::rate, help_heading = "Load")]
    rate: Option<EventsPerSecond>,

    /// Random times between events instead of even ones, with the rate as their average
    #[arg(long, requires = "rate", help_heading = "Load")]
    poisson: bool,

    /// Bytes of data per event, at least
    #[arg(long, default_value = "100", value_name = "BYTES", value_parser = value::amount, help_heading = "Load")]
    size: u64,

    /// A header field of every request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = value::header, help_heading = "Load")]
    headers: Vec<(HeaderName, HeaderValue)>,

    /// One POST per event instead of one stream of NDJSON
    #[arg(long, conflicts_with_all = ["body", "no_publish"], help_heading = "Publisher")]
    post_each: bool,

    /// Publish to this URL instead of the first
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "no_publish",
        help_heading = "Publisher"
    )]
    publish_to: Option<String>,

    /// One request per event with this body, in which {data} is the event's data
    #[arg(
        long,
        value_name = "TEMPLATE",
        conflicts_with = "no_publish",
        help_heading = "Publisher"
    )]
    body: Option<Template>,

    /// The method of the requests with --body
    #[arg(
        long,
        value_name = "METHOD",
        default_value = "POST",
        requires = "body",
        help_heading = "Publisher"
    )]
    method: Method,

    /// Publish nothing: somebody else does. Events are told apart by their ids
    #[arg(long, help_heading = "Publisher")]
    no_publish: bool,

    /// POST a chat completion per stream, in OpenAI's spelling, and time its tokens; -n counts requests, -q their rate
    #[arg(long, conflicts_with_all = ["no_publish", "publish_to", "body", "post_each", "cuts", "storm", "compare", "expectations", "html", "hgrm"], help_heading = "Tokens")]
    pub(crate) chat: bool,

    /// Ask what stands in this file, a line a request, in turns
    #[arg(long, value_name = "FILE", requires = "chat", help_heading = "Tokens")]
    prompt_file: Option<PathBuf>,

    /// With several URLs: end with status 1 unless the tokens of each are under way at most so many times as long as those
    /// of the first, at the median and at the 99th percentile
    #[arg(long, value_name = "FACTOR", requires = "chat", value_parser = value::factor, help_heading = "Tokens")]
    pub(crate) within: Option<f64>,

    /// The model to ask for
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        requires = "chat",
        help_heading = "Tokens"
    )]
    model: String,

    /// Measure this program itself, against a broadcaster that only writes; with -c, -q, -z and --size
    #[arg(long, conflicts_with_all = ["urls", "chat", "expectations", "html", "hgrm"], help_heading = "Self-check")]
    pub(crate) calibrate: bool,

    /// Cut every subscriber off at random: so many times (5), or after so many of its events (0.5%)
    #[arg(long, value_name = "TIMES|PERCENT%", value_parser = value::cuts, help_heading = "Breaks")]
    cuts: Option<Cuts>,

    /// Cut everybody at once, so long after the first event, and watch them come back
    #[arg(long, value_name = "TIME", value_parser = value::duration, help_heading = "Breaks")]
    storm: Option<Duration>,

    /// Come back after so many milliseconds [default: the stream's own retry, or 3000]
    #[arg(long, value_name = "MS", help_heading = "Breaks")]
    retry: Option<u32>,

    /// ... and up to so many more, at random [default: 0, as browsers]
    #[arg(
        long,
        value_name = "MS",
        default_value = "0",
        hide_default_value = true,
        help_heading = "Breaks"
    )]
    jitter: u32,

    /// Repeat the cuts and the times of an earlier run [default: random]
    #[arg(long, help_heading = "Breaks")]
    seed: Option<u64>,

    /// So many more streams whose readers take few bytes a second
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        hide_default_value = true,
        help_heading = "Hostile clients"
    )]
    slow_readers: usize,

    /// What a slow reader takes, in bytes per second
    #[arg(
        long,
        value_name = "BYTES",
        default_value = "1000",
        help_heading = "Hostile clients"
    )]
    slow_rate: NonZeroU32,

    /// So many more streams that nobody reads
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        hide_default_value = true,
        help_heading = "Hostile clients"
    )]
    never_readers: usize,

    /// So many more streams whose clients stop answering altogether
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        hide_default_value = true,
        help_heading = "Hostile clients"
    )]
    half_open: usize,

    /// HTTP/1.1 (the default for http:)
    #[arg(long = "http1.1", visible_alias = "http1", help_heading = "Protocol")]
    http1: bool,

    /// HTTP/2 (the default for https:); with http: the same as --h2c
    #[arg(long, help_heading = "Protocol")]
    http2: bool,

    /// HTTP/2 without TLS, with prior knowledge
    #[arg(long, help_heading = "Protocol")]
    h2c: bool,

    /// Measure each URL over each protocol that browsers would use for it, and print the runs side by side
    #[arg(long, help_heading = "Protocol")]
    compare: bool,

    /// Believe any certificate
    #[arg(long, conflicts_with = "cacert", help_heading = "Protocol")]
    insecure: bool,

    /// Believe certificates signed by an authority in this PEM file
    #[arg(long, value_name = "FILE", help_heading = "Protocol")]
    cacert: Option<PathBuf>,

    /// Connect from these addresses of this machine, in turns
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        help_heading = "Connections"
    )]
    source_address: Vec<IpAddr>,

    /// Open at most so many connections per second
    #[arg(long, value_name = "RATE", value_parser = value::rate, help_heading = "Connections")]
    connect_rate: Option<EventsPerSecond>,

    /// Let so many connections be in the making at any time
    #[arg(long, value_name = "N", default_value = "512", value_parser = value::amount, help_heading = "Connections")]
    connecting: u64,

    /// How long streams may take to open; later ones are reported as never answered
    #[arg(short, long, value_name = "TIME", default_value = "30s", value_parser = value::duration, help_heading = "Connections")]
    timeout: Duration,

    /// The server's process on this machine: reports its processor time and memory
    #[arg(long, value_name = "PID", help_heading = "Output")]
    pid: Option<u32>,

    /// End with status 1 unless this holds, like 'p99<50ms'; may be given several times
    #[arg(long = "assert", value_name = "EXPECTATION", help_heading = "Output")]
    pub(crate) expectations: Vec<Expectation>,

    /// How to print the report
    #[arg(
        long,
        value_enum,
        default_value = "text",
        value_name = "FORMAT",
        help_heading = "Output"
    )]
    pub(crate) output_format: Format,

    /// Print the report to this file
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Write the report as one HTML page with plots, too
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) html: Option<PathBuf>,

    /// Write the latency's distribution for HdrHistogram's plotters, too
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) hgrm: Option<PathBuf>,

    /// A line each second instead of the live view
    #[arg(long, help_heading = "Output")]
    pub(crate) no_tui: bool,

    /// Print help
    #[arg(long, short, action = ArgAction::Help, help_heading = "Output")]
    help: Option<bool>,
}

/// How the report is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Csv,
}

const EXAMPLES: &str = "\
Examples:
  wellspring-load -c 1000 -z 10s -q 200 http://127.0.0.1:8080/topics/t
  wellspring-load -c 10 -s 100 --cuts 5 --retry 50 --cacert certs/ca.pem https://localhost:8443/topics/t
  wellspring-load --compare --insecure http://localhost:8080/topics/t https://localhost:8443/topics/t
  wellspring-load -c 500 -z 20s -q 10 --storm 5s --jitter 2000 --html storm.html http://localhost:8080/topics/t
  wellspring-load -c 10 -z 30s --no-publish -H 'Authorization: Bearer abc' https://example.org/events --insecure
  wellspring-load -n 1k -q 100 --publish-to http://localhost:9000/pub --body 'topic=t&data={data}' http://localhost:9000/sub
  wellspring-load -c 100 -z 10s -q 50 --assert 'p99<50ms' --output-format json -o load.json http://localhost:8080/topics/t
  wellspring-load --chat -c 20 -n 200 --prompt-file prompts.txt http://localhost:8080/v1/chat/completions
  wellspring-load --chat -c 200 -z 10s --within 2 http://127.0.0.1:9000/v1/chat/completions http://localhost:8080/v1/chat/completions
  wellspring-load --calibrate -c 10k -q 10 -z 10s
  wellspring-load model --help  (a model that does nothing but stream, for --chat to measure what stands before it)
  wellspring-load lab --help    (six connections against one: an experiment of its own)

Exit status:
  0  every subscriber got every event, once and in order, and every expectation held
  1  something was lost, doubled, out of order, announced as a gap, or had no id of its own; a stream was refused or
     never answered; or an expectation did not hold
  2  bad use, or the run could not be made";
