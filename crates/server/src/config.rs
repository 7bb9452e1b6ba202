//! What the program can be told: by flag, by environment, by file, in this order; and the defaults.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::client::ServerUrl;

/// Everything as it was given. The same struct is the command line and the TOML file.
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

    /// An OpenAI-compatible API that answers chats, such as `https://api.openai.com/v1`
    /// [default: a small built-in demo]
    #[arg(long, value_name = "URL", env = "WELLSPRING_UPSTREAM", hide_env = true)]
    pub(crate) upstream: Option<ServerUrl>,

    /// A file with the upstream's API key. Without it the client's own Authorization is passed on
    #[arg(
        long,
        value_name = "FILE",
        env = "WELLSPRING_UPSTREAM_KEY_FILE",
        hide_env = true
    )]
    pub(crate) upstream_key_file: Option<PathBuf>,

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

    /// A TOML file with any of these options, without the dashes in front
    #[arg(long, value_name = "FILE", env = "WELLSPRING_CONFIG", hide_env = true)]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
}

/// Everything as it counts.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) https: Listen,
    pub(crate) http: Listen,
    pub(crate) certificate: Certificate,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) topic: wellspring::LogOptions,
    pub(crate) event_bytes: usize,
    pub(crate) run_age: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) streams: Option<u32>,
    pub(crate) cores: Option<NonZeroUsize>,
    pub(crate) drain: Duration,
    pub(crate) ready_file: Option<PathBuf>,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
}

/// Where the certificate comes from.
#[derive(Debug, Clone)]
pub(crate) enum Certificate {
    SelfSigned {
        directory: PathBuf,
        names: Vec<String>,
    },
    Files {
        certificate: PathBuf,
        key: PathBuf,
    },
}

/// Who answers chats.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) url: ServerUrl,
    pub(crate) key: Option<Secret>,
    pub(crate) authority: Option<PathBuf>,
}

/// A listener's address, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Listen {
    At(SocketAddr),
    Off,
}

/// A time as people write it: `250ms`, `10s`, `15m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

/// As [`wellspring::Overflow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Overflow {
    Disconnect,
    Latest,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    Json,
    Text,
}

/// What must not reach a log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// Why the configuration cannot be.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {}: {error}", path.display())]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{}:{line}: {message}", path.display())]
    File {
        path: PathBuf,
        line: usize,
        message: String,
    },
    #[error("--cert and --key go together: give both, or none for a self-signed certificate")]
    HalfCertificate,
    #[error("both --http and --https are off: nothing would be served")]
    NothingServed,
    #[error("the upstream's key holds characters that no header can carry")]
    Key,
}

impl Config {
    /// Puts flags (and the environment), the file and the defaults together.
    pub(crate) fn load(flags: Options) -> Result<Self, ConfigError> {
        let file = match &flags.config {
            Some(path) => read(path)?,
            None => Options::default(),
        };
        Self::new(flags.or(file))
    }

    fn new(options: Options) -> Result<Self, ConfigError> {
        let loopback = |port| Listen::At(SocketAddr::from(([127, 0, 0, 1], port)));
        let https = options.https.unwrap_or(loopback(8443));
        let http = options.http.unwrap_or(loopback(8080));
        if (https, http) == (Listen::Off, Listen::Off) {
            return Err(ConfigError::NothingServed);
        }
        let certificate = match (options.cert, options.key) {
            (Some(certificate), Some(key)) => Certificate::Files { certificate, key },
            (None, None) => Certificate::SelfSigned {
                directory: options.certs.unwrap_or_else(|| "certs".into()),
                names: options.names,
            },
            _ => return Err(ConfigError::HalfCertificate),
        };
        let key = match options.upstream_key_file {
            Some(path) => Some(
                std::fs::read_to_string(&path)
                    .map_err(|error| ConfigError::Read { path, error })?,
            ),
            None => std::env::var("WELLSPRING_UPSTREAM_KEY").ok(),
        };
        let key = key.map(|key| Secret::new(&key)).transpose()?;
        let authority = options.upstream_cacert;
        let mut retention = wellspring::Retention::default().with_age(
            options
                .topic_age
                .map_or(Duration::from_secs(60 * 60), |span| span.0),
        );
        if let Some(bytes) = options.topic_bytes {
            retention = retention.with_bytes(bytes.get());
        }
        if let Some(events) = options.topic_events {
            retention = retention.with_events(events.get());
        }
        let overflow = match options.overflow {
            None | Some(Overflow::Disconnect) => wellspring::Overflow::Disconnect,
            Some(Overflow::Latest) => wellspring::Overflow::Latest,
            Some(Overflow::Skip) => wellspring::Overflow::Skip,
        };
        let seconds =
            |span: Option<Span>, default| span.map_or(Duration::from_secs(default), |span| span.0);
        Ok(Self {
            https,
            http,
            certificate,
            upstream: options.upstream.map(|url| Upstream {
                url,
                key,
                authority,
            }),
            topic: wellspring::LogOptions::default()
                .with_retention(retention)
                .with_overflow(overflow),
            event_bytes: options.event_bytes.map_or(256 * 1024, NonZeroUsize::get),
            run_age: seconds(options.run_age, 15 * 60),
            heartbeat: seconds(options.heartbeat, 10),
            streams: options.streams,
            cores: options.cores,
            drain: seconds(options.drain, 10),
            ready_file: options.ready_file,
            log: options.log.unwrap_or_else(|| "info".to_owned()),
            log_format: options.log_format.unwrap_or(LogFormat::Text),
        })
    }
}

impl Options {
    /// What is not said here is said by `other`.
    fn or(self, other: Self) -> Self {
        Self {
            https: self.https.or(other.https),
            http: self.http.or(other.http),
            certs: self.certs.or(other.certs),
            names: if self.names.is_empty() {
                other.names
            } else {
                self.names
            },
            cert: self.cert.or(other.cert),
            key: self.key.or(other.key),
            upstream: self.upstream.or(other.upstream),
            upstream_key_file: self.upstream_key_file.or(other.upstream_key_file),
            upstream_cacert: self.upstream_cacert.or(other.upstream_cacert),
            topic_bytes: self.topic_bytes.or(other.topic_bytes),
            topic_events: self.topic_events.or(other.topic_events),
            topic_age: self.topic_age.or(other.topic_age),
            overflow: self.overflow.or(other.overflow),
            event_bytes: self.event_bytes.or(other.event_bytes),
            run_age: self.run_age.or(other.run_age),
            heartbeat: self.heartbeat.or(other.heartbeat),
            streams: self.streams.or(other.streams),
            cores: self.cores.or(other.cores),
            drain: self.drain.or(other.drain),
            ready_file: self.ready_file.or(other.ready_file),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
            config: self.config,
        }
    }
}

fn read(path: &Path) -> Result<Options, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
        path: path.to_owned(),
        error,
    })?;
    toml::from_str(&text).map_err(|error| ConfigError::File {
        path: path.to_owned(),
        line: error
            .span()
            .map_or(1, |span| 1 + text[..span.start].matches('\n').count()),
        message: error.message().replace('\n', " "),
    })
}

impl Secret {
    fn new(key: &str) -> Result<Self, ConfigError> {
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ConfigError::Key);
        }
        Ok(Self(key.to_owned()))
    }

    /// The secret itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| {
            format!("{text:?} is no address like 127.0.0.1:8443 or [::]:443, and not `off`")
        })
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => 0,
        };
        match number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(milliseconds))
        {
            Some(span) if milliseconds > 0 && span > 0 => Ok(Self(Duration::from_millis(span))),
            _ => Err(format!("{text:?} is no time like 250ms, 10s, 15m or 1h")),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests;
