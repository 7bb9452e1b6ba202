//! The options as they are given: the same struct is the command line and the TOML file.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use super::value::{Abandoned, Listen, LogFormat, Named, Overflow, Span, SpanOrZero};
use crate::client::ServerUrl;

/// Everything as it was given.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Options {
    /// Where HTTPS is served (HTTP/2 and HTTP/1.1), or `off` [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDR", env = "WELLSPRING_HTTPS", hide_env = true)]
    pub(crate) https: Option<Listen>,

    /// Where plain HTTP is served, or `off` [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "WELLSPRING_HTTP", hide_env = true)]
    pub(crate) http: Option<Listen>,

    /// Where the self-signed certificates are kept [default: certs]
    #[arg(long, value_name = "DIR", env = "WELLSPRING_CERTS", hide_env = true)]
    pub(crate) certs: Option<PathBuf>,

    /// A further name for the self-signed certificate; may be repeated
    #[arg(
        long = "name",
        value_name = "NAME",
        env = "WELLSPRING_NAME",
        hide_env = true,
        value_delimiter = ','
    )]
    #[serde(default, rename = "name")]
    pub(crate) names: Vec<String>,

    /// A certificate of your own: the chain as PEM, reloaded when it changes
    #[arg(long, value_name = "FILE", env = "WELLSPRING_CERT", hide_env = true)]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of --cert, as PEM
    #[arg(long, value_name = "FILE", env = "WELLSPRING_KEY", hide_env = true)]
    pub(crate) key: Option<PathBuf>,

    /// An API that answers chats, such as `https://api.openai.com/v1` [default: a small built-in demo].
    /// May be repeated as NAME=URL: the first is the default, `X-Upstream: NAME` picks another, and
    /// one that is named like a dialect (`anthropic`) answers that dialect's requests
    #[arg(
        long = "upstream",
        value_name = "[NAME=]URL",
        env = "WELLSPRING_UPSTREAM",
        hide_env = true,
        value_delimiter = ','
    )]
    #[serde(default, rename = "upstream", deserialize_with = "one_or_many")]
    pub(crate) upstreams: Vec<Named<ServerUrl>>,

    /// A file with an upstream's API key: of the one of that name, or else of the first. Without it
    /// the client's own key is passed on
    #[arg(
        long = "upstream-key-file",
        value_name = "[NAME=]FILE",
        env = "WELLSPRING_UPSTREAM_KEY_FILE",
        hide_env = true,
        value_delimiter = ','
    )]
    #[serde(
        default,
        rename = "upstream-key-file",
        deserialize_with = "one_or_many"
    )]
    pub(crate) upstream_key_files: Vec<Named<PathBuf>>,

    /// A certificate authority that the upstream's certificate may come from, as PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "WELLSPRING_UPSTREAM_CACERT",
        hide_env = true
    )]
    pub(crate) upstream_cacert: Option<PathBuf>,

    /// How many bytes of events a topic keeps [default: 1048576]
    #[arg(
        long,
        value_name = "BYTES",
        env = "WELLSPRING_TOPIC_BYTES",
        hide_env = true
    )]
    pub(crate) topic_bytes: Option<NonZeroUsize>,

    /// How many events a topic keeps [default: 65536]
    #[arg(
        long,
        value_name = "N",
        env = "WELLSPRING_TOPIC_EVENTS",
        hide_env = true
    )]
    pub(crate) topic_events: Option<NonZeroUsize>,

    /// How long a topic keeps an event [default: 1h]
    #[arg(
        long,
        value_name = "TIME",
        env = "WELLSPRING_TOPIC_AGE",
        hide_env = true
    )]
    pub(crate) topic_age: Option<Span>,

    /// What happens to a reader that falls behind what its topic keeps [default: disconnect]
    #[arg(
        long,
        value_name = "POLICY",
        env = "WELLSPRING_OVERFLOW",
        hide_env = true
    )]
    pub(crate) overflow: Option<Overflow>,

    /// The longest data of one event [default: 262144]
    #[arg(
        long,
        value_name = "BYTES",
        env = "WELLSPRING_EVENT_BYTES",
        hide_env = true
    )]
    pub(crate) event_bytes: Option<NonZeroUsize>,

    /// How long a run can be read after its end [default: 15m]
    #[arg(long, value_name = "TIME", env = "WELLSPRING_RUN_AGE", hide_env = true)]
    pub(crate) run_age: Option<Span>,

    /// How long a run stays open whose producer says nothing [default: 1h]
    #[arg(
        long,
        value_name = "TIME",
        env = "WELLSPRING_RUN_EXPIRES",
        hide_env = true
    )]
    pub(crate) run_expires: Option<Span>,

    /// What happens to a run whose last reader has left: continue, cancel, or cancel after a time such
    /// as 30s [default: continue]
    #[arg(
        long,
        value_name = "POLICY",
        env = "WELLSPRING_ON_DISCONNECT",
        hide_env = true
    )]
    pub(crate) on_disconnect: Option<Abandoned>,

    /// How long a run's tokens are held back to be joined into fewer events; 0 for not at all. An
    /// upstream's own events are always passed on at once [default: 50ms]
    #[arg(
        long,
        value_name = "TIME",
        env = "WELLSPRING_COALESCE",
        hide_env = true
    )]
    pub(crate) coalesce: Option<SpanOrZero>,

    /// How many bytes of tokens are joined at most [default: 4096]
    #[arg(
        long,
        value_name = "BYTES",
        env = "WELLSPRING_COALESCE_BYTES",
        hide_env = true
    )]
    pub(crate) coalesce_bytes: Option<NonZeroUsize>,

    /// The longest silence on a stream; then a heartbeat is sent [default: 10s]
    #[arg(
        long,
        value_name = "TIME",
        env = "WELLSPRING_HEARTBEAT",
        hide_env = true
    )]
    pub(crate) heartbeat: Option<Span>,

    /// How many streams one HTTP/2 connection may have [default: 256]
    #[arg(long, value_name = "N", env = "WELLSPRING_STREAMS", hide_env = true)]
    pub(crate) streams: Option<u32>,

    /// How many cores serve connections [default: all]
    #[arg(long, value_name = "N", env = "WELLSPRING_CORES", hide_env = true)]
    pub(crate) cores: Option<NonZeroUsize>,

    /// How long clients have to leave after SIGTERM or Ctrl-C [default: 10s]
    #[arg(long, value_name = "TIME", env = "WELLSPRING_DRAIN", hide_env = true)]
    pub(crate) drain: Option<Span>,

    /// Write the addresses in use to this file, as JSON, once connections are accepted
    #[arg(
        long,
        value_name = "FILE",
        env = "WELLSPRING_READY_FILE",
        hide_env = true
    )]
    pub(crate) ready_file: Option<PathBuf>,

    /// What is logged: error, warn, info, debug, or a filter such as wellspring_front=debug
    /// [default: info]
    #[arg(long, value_name = "LEVEL", env = "WELLSPRING_LOG", hide_env = true)]
    pub(crate) log: Option<String>,

    /// How it is logged [default: text]
    #[arg(
        long,
        value_name = "FORMAT",
        env = "WELLSPRING_LOG_FORMAT",
        hide_env = true
    )]
    pub(crate) log_format: Option<LogFormat>,

    /// Whether `wellspring run` may run commands; a flag of its own.
    #[arg(skip)]
    #[serde(default)]
    pub(super) allow_commands: bool,

    /// A TOML file with any of these options, without the dashes in front
    #[arg(long, value_name = "FILE", env = "WELLSPRING_CONFIG", hide_env = true)]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
}

impl Options {
    /// What is not said here is said by `other`.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            https: self.https.or(other.https),
            http: self.http.or(other.http),
            certs: self.certs.or(other.certs),
            names: either(self.names, other.names),
            cert: self.cert.or(other.cert),
            key: self.key.or(other.key),
            upstreams: either(self.upstreams, other.upstreams),
            upstream_key_files: either(self.upstream_key_files, other.upstream_key_files),
            upstream_cacert: self.upstream_cacert.or(other.upstream_cacert),
            topic_bytes: self.topic_bytes.or(other.topic_bytes),
            topic_events: self.topic_events.or(other.topic_events),
            topic_age: self.topic_age.or(other.topic_age),
            overflow: self.overflow.or(other.overflow),
            event_bytes: self.event_bytes.or(other.event_bytes),
            run_age: self.run_age.or(other.run_age),
            run_expires: self.run_expires.or(other.run_expires),
            on_disconnect: self.on_disconnect.or(other.on_disconnect),
            coalesce: self.coalesce.or(other.coalesce),
            coalesce_bytes: self.coalesce_bytes.or(other.coalesce_bytes),
            heartbeat: self.heartbeat.or(other.heartbeat),
            streams: self.streams.or(other.streams),
            cores: self.cores.or(other.cores),
            drain: self.drain.or(other.drain),
            ready_file: self.ready_file.or(other.ready_file),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
            allow_commands: self.allow_commands || other.allow_commands,
            config: self.config,
        }
    }
}

fn either<T>(this: Vec<T>, other: Vec<T>) -> Vec<T> {
    if this.is_empty() { other } else { this }
}

/// In a file, one value may stand for a list of one.
fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany<T> {
        One(T),
        Many(Vec<T>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}
