//! What is put under load: a URL, and how to speak with the server behind it.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use rustls::pki_types::ServerName;
use thiserror::Error;

use crate::tls::{self, TlsError};

/// A server's resource, and the protocol to fetch it with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Target {
    scheme: Scheme,
    host: String,
    port: u16,
    path: PathAndQuery,
    protocol: Protocol,
    tls: Option<Tls>,
}

/// The HTTP version, settled beforehand: the load of six connections is not the load of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1: a connection carries one stream.
    #[serde(rename = "HTTP/1.1")]
    Http1,
    /// HTTP/2: agreed by ALPN over TLS, with prior knowledge (RFC 9113, section 3.3) without.
    #[serde(rename = "HTTP/2")]
    Http2,
}

/// Which certificate of the server is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// None: a URL with `https:` is refused. The generator brings no list of public authorities.
    #[default]
    Nobody,
    /// One that an authority in this PEM file has signed.
    Authorities(PathBuf),
    /// Any at all, unverified.
    Anybody,
}

/// Why a URL cannot be a target.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Not a URL.
    #[error(
        "'{url}' is not a URL ({source}); expected something like http://127.0.0.1:8080/topics/t"
    )]
    Malformed {
        /// As given.
        url: String,
        /// What the parser stumbled over.
        source: http::uri::InvalidUri,
    },
    /// Not an absolute `http:` or `https:` URL without user name.
    #[error("'{url}' {reason}; expected something like http://127.0.0.1:8080/topics/t")]
    Unusable {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// `https:` without anybody to trust.
    #[error(
        "'{url}' needs --cacert FILE (the program's own is certs/ca.pem), or --insecure to believe any certificate"
    )]
    Untrusted {
        /// As given.
        url: String,
    },
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How to speak TLS with the target.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) config: Arc<rustls::ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl Target {
    /// Reads an absolute `http:` or `https:` URL. Without a `protocol`, `https:` is HTTP/2 and `http:` is HTTP/1.1, as
    /// in browsers.
    ///
    /// # Errors
    /// [`TargetError`] when the URL is malformed, of another scheme, or asks for TLS that cannot be set up.
    pub fn parse(
        url: &str,
        protocol: Option<Protocol>,
        trust: &Trust,
    ) -> Result<Self, TargetError> {
        let unusable = |reason| TargetError::Unusable {
            url: url.to_owned(),
            reason,
        };
        let uri = Uri::from_str(url).map_err(|source| TargetError::Malformed {
            url: url.to_owned(),
            source,
        })?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(unusable("is not an absolute URL"));
        };
        if authority.as_str().contains('@') {
            return Err(unusable("carries a user name, which is not supported"));
        }
        let secure = match scheme.as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(unusable("is neither http: nor https:")),
        };
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let protocol = protocol.unwrap_or(if secure {
            Protocol::Http2
        } else {
            Protocol::Http1
        });
        let tls = if secure {
            if *trust == Trust::Nobody {
                return Err(TargetError::Untrusted {
                    url: url.to_owned(),
                });
            }
            let name =
                ServerName::try_from(host.clone()).map_err(|_| unusable("names no valid host"))?;
            Some(Tls {
                config: tls::client(protocol, trust)?,
                name,
            })
        } else {
            None
        };
        Ok(Self {
            port: authority
                .port_u16()
                .unwrap_or(if secure { 443 } else { 80 }),
            path: parts
                .path_and_query
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
            scheme,
            host,
            protocol,
            tls,
        })
    }

    /// The protocol that is spoken.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether it is spoken over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// The host's name or address; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own when the URL names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// `host:port`, for `Host` and `:authority`.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// What a request line names: the path on HTTP/1.1 (RFC 9112, section 3.2.1), the whole URI on HTTP/2, whose
    /// pseudo-header fields are made of it.
    pub(crate) fn request_uri(&self) -> Uri {
        match self.protocol {
            Protocol::Http1 => Uri::from(self.path.clone()),
            Protocol::Http2 => Uri::builder()
                .scheme(self.scheme.clone())
                .authority(self.authority())
                .path_and_query(self.path.clone())
                .build()
                .expect("the parts come from a valid URI"),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}://{}{}",
            self.scheme,
            self.authority(),
            self.path
        )
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, TargetError> {
        Target::parse(url, None, &Trust::Anybody)
    }

    #[test]
    fn the_scheme_chooses_port_and_protocol() {
        let plain = parse("http://localhost/topics/t?a=b").unwrap();
        assert_eq!(
            (plain.port(), plain.protocol(), plain.is_secure()),
            (80, Protocol::Http1, false)
        );
        let secure = parse("https://localhost/topics/t").unwrap();
        assert_eq!(
            (secure.port(), secure.protocol(), secure.is_secure()),
            (443, Protocol::Http2, true)
        );
    }

    #[test]
    fn the_protocol_can_be_forced() {
        let target =
            Target::parse("http://localhost", Some(Protocol::Http2), &Trust::Nobody).unwrap();
        assert_eq!(target.protocol(), Protocol::Http2);
        assert_eq!(target.request_uri().to_string(), "http://localhost:80/");
    }

    #[test]
    fn http1_asks_for_the_path_alone() {
        assert_eq!(
            parse("http://localhost:8080/t?x=1")
                .unwrap()
                .request_uri()
                .to_string(),
            "/t?x=1"
        );
    }

    #[test]
    fn an_ipv6_host_keeps_its_brackets_in_the_authority_only() {
        let target = parse("https://[::1]:8443/t").unwrap();
        assert_eq!(
            (target.host(), target.authority().as_str()),
            ("::1", "[::1]:8443")
        );
        assert_eq!(target.to_string(), "https://[::1]:8443/t");
    }

    #[test]
    fn bad_urls_are_refused_in_one_line_that_names_them() {
        for url in [
            "",
            "localhost:8080",
            "/topics/t",
            "ftp://localhost/",
            "http://a b/",
            "http://me:you@localhost/",
        ] {
            let message = parse(url).unwrap_err().to_string();
            assert!(
                message.contains(&format!("'{url}'")) && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn tls_needs_somebody_to_trust() {
        let error = Target::parse("https://localhost/", None, &Trust::Nobody).unwrap_err();
        assert!(error.to_string().contains("--cacert"), "{error}");
    }

    #[test]
    fn a_missing_authorities_file_is_named() {
        let trust = Trust::Authorities("/nowhere/ca.pem".into());
        let error = Target::parse("https://localhost/", None, &trust).unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }
}
