//! What the program can be told: by flag, by environment, by file, in this order; and the defaults.

mod options;
mod value;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

pub(crate) use self::options::Options;
pub(crate) use self::value::{Listen, LogFormat, Secret};
use self::value::{Named, Overflow, Span};
use crate::client::ServerUrl;
use crate::run::{Coalescing, OnDisconnect, RunOptions};

/// Everything as it counts.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) https: Listen,
    pub(crate) http: Listen,
    pub(crate) certificate: Certificate,
    pub(crate) upstreams: Upstreams,
    pub(crate) topic: wellspring::LogOptions,
    pub(crate) event_bytes: usize,
    pub(crate) run_age: Duration,
    pub(crate) run: RunOptions,
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
pub(crate) struct Upstreams {
    /// The default one first.
    pub(crate) all: Vec<Upstream>,
    /// A certificate authority that theirs may come from.
    pub(crate) authority: Option<PathBuf>,
}

/// One of those who answer chats.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) name: Option<String>,
    pub(crate) url: ServerUrl,
    pub(crate) key: Option<Secret>,
}

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
    #[error("there is a key for an upstream {name}, but no --upstream {name}=URL")]
    KeyOfNobody { name: String },
    #[error("--upstream names {name} twice")]
    Twice { name: String },
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
        let upstreams = Upstreams::new(
            options.upstreams,
            options.upstream_key_files,
            options.upstream_cacert,
        )?;
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
        let standard = Coalescing::default();
        let seconds =
            |span: Option<Span>, default| span.map_or(Duration::from_secs(default), |span| span.0);
        Ok(Self {
            https,
            http,
            certificate,
            upstreams,
            topic: wellspring::LogOptions::default()
                .with_retention(retention)
                .with_overflow(overflow),
            event_bytes: options.event_bytes.map_or(256 * 1024, NonZeroUsize::get),
            run_age: seconds(options.run_age, 15 * 60),
            run: RunOptions {
                coalescing: Coalescing {
                    time: options.coalesce.map_or(standard.time, |time| time.0),
                    bytes: options
                        .coalesce_bytes
                        .map_or(standard.bytes, NonZeroUsize::get),
                },
                on_disconnect: options
                    .on_disconnect
                    .map_or(OnDisconnect::Continue, |policy| policy.0),
                expires: Some(seconds(options.run_expires, 60 * 60)),
            },
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

impl Upstreams {
    fn new(
        addresses: Vec<Named<ServerUrl>>,
        key_files: Vec<Named<PathBuf>>,
        authority: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let mut all: Vec<Upstream> = Vec::with_capacity(addresses.len());
        for Named { name, value: url } in addresses {
            if name.is_some() && all.iter().any(|known| known.name == name) {
                let name = name.unwrap_or_default();
                return Err(ConfigError::Twice { name });
            }
            all.push(Upstream {
                name,
                url,
                key: None,
            });
        }
        for Named { name, value: path } in key_files {
            let key = std::fs::read_to_string(&path)
                .map_err(|error| ConfigError::Read { path, error })?;
            let key = Secret::new(&key)?;
            let of = match &name {
                Some(_) => all.iter_mut().find(|known| known.name == name),
                None => all.first_mut(),
            };
            match (of, name) {
                (Some(upstream), _) => upstream.key = Some(key),
                (None, Some(name)) => return Err(ConfigError::KeyOfNobody { name }),
                // A key that is kept for the day on which there is an upstream.
                (None, None) => {}
            }
        }
        if let Some(first) = all.first_mut().filter(|first| first.key.is_none()) {
            first.key = std::env::var("WELLSPRING_UPSTREAM_KEY")
                .ok()
                .map(|key| Secret::new(&key))
                .transpose()?;
        }
        Ok(Self { all, authority })
    }
}

/// Whether this file allows commands to be run (`wellspring run`). Nothing else of it counts there.
pub(crate) fn allows_commands(file: &Path) -> Result<bool, ConfigError> {
    Ok(read(file)?.allow_commands)
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

#[cfg(test)]
mod tests;
