//! Where the server is, and over what it is reached.

use std::fmt;

use serde::Serialize;

use super::LabError;
use crate::process::{Process, Usage};
use crate::target::{Protocol, Target, Trust};

/// A running server, as browsers find it.
#[derive(Clone, Debug)]
pub struct Site {
    /// `http://HOST:PORT` of its plain port.
    pub plain: Option<String>,
    /// `https://HOST:PORT` of its TLS port.
    pub secure: Option<String>,
    /// Which certificate is believed there.
    pub trust: Trust,
    /// Its process, if it is on this machine and may be watched.
    pub process: Option<u32>,
    /// Whether its certificate has the names of the shards: `a.HOST`, `b.HOST`, and so on.
    pub is_named: bool,
}

/// A protocol, with TLS or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Transport {
    /// HTTP/1.1, plain.
    #[serde(rename = "h1")]
    Http1,
    /// HTTP/1.1 over TLS.
    #[serde(rename = "h1+tls")]
    Http1Tls,
    /// HTTP/2 over TLS: the only one that browsers speak.
    #[serde(rename = "h2+tls")]
    Http2Tls,
    /// HTTP/2, plain, with prior knowledge: no browser speaks it, but it shows what is TLS and what is HTTP/2.
    #[serde(rename = "h2c")]
    Http2,
}

impl Site {
    /// A path of the server. `shard` is the first label of a host name under the server's own, whose addresses it has.
    pub(crate) fn target(
        &self,
        transport: Transport,
        shard: Option<usize>,
        path: &str,
    ) -> Result<Target, LabError> {
        let (base, missing) = if transport.is_secure() {
            (&self.secure, "the experiment needs an https: URL too")
        } else {
            (&self.plain, "the experiment needs an http: URL too")
        };
        let base = base.as_deref().ok_or(LabError::Plan(missing))?;
        let (scheme, authority) = base
            .trim_end_matches('/')
            .split_once("://")
            .ok_or(LabError::Plan("the URLs are like http://localhost:8080"))?;
        let url = match shard {
            None => format!("{scheme}://{authority}{path}"),
            Some(shard) => format!("{scheme}://{}.{authority}{path}", Self::shard(shard)),
        };
        Ok(Target::parse(
            &url,
            Some(transport.protocol()),
            &self.trust,
        )?)
    }

    /// The label of a shard: a, b, c, …
    pub(crate) fn shard(index: usize) -> char {
        char::from(b'a' + u8::try_from(index % 26).unwrap_or(0))
    }

    /// What the server's process uses, if it may be watched.
    pub(crate) fn usage(&self) -> Result<Option<Usage>, LabError> {
        let read = |process| {
            let usage = Process::of(process).usage();
            usage.map_err(|source| LabError::Process { process, source })
        };
        self.process.map(read).transpose()
    }

    /// Whether names under its own lead to it: under `localhost` they do (RFC 6761, section 6.3). The certificate of a
    /// server that was not started here does not have them.
    pub(crate) fn has_shards(&self, transport: Transport) -> bool {
        let base = if transport.is_secure() {
            &self.secure
        } else {
            &self.plain
        };
        let is_local = base
            .as_deref()
            .is_some_and(|base| base.contains("//localhost"));
        is_local && (!transport.is_secure() || self.is_named)
    }

    /// Whether the server is reached this way.
    pub(crate) fn serves(&self, transport: Transport) -> bool {
        if transport.is_secure() {
            self.secure.is_some()
        } else {
            self.plain.is_some()
        }
    }
}

impl Transport {
    /// All of them, the six connections first.
    pub const ALL: [Self; 4] = [Self::Http1, Self::Http1Tls, Self::Http2Tls, Self::Http2];

    /// The protocol on top.
    #[must_use]
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Http1 | Self::Http1Tls => Protocol::Http1,
            Self::Http2 | Self::Http2Tls => Protocol::Http2,
        }
    }

    /// Whether over TLS.
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Http1Tls | Self::Http2Tls)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http1Tls => "HTTP/1.1+TLS",
            Self::Http2Tls => "HTTP/2+TLS",
            Self::Http2 => "h2c",
        })
    }
}
