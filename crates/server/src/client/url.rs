//! Addresses of servers, as people give them.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use thiserror::Error;

/// The address of a server, below which its routes are: `http://` or `https://`, a host, perhaps a path under which a
/// proxy keeps it; no query.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ServerUrl(String);

/// The text is no address of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected the address of a server, like https://localhost:8443")]
pub(crate) struct NoServerUrl;

impl ServerUrl {
    /// The address of something below the server: `path` begins with a slash and is encoded already.
    ///
    /// # Panics
    ///
    /// When it is not so.
    pub(crate) fn join(&self, path: &str) -> Uri {
        assert!(path.starts_with('/'), "{path} is not below the server");
        format!("{}{path}", self.0)
            .parse()
            .expect("an address and an encoded path make an address")
    }
}

impl FromStr for ServerUrl {
    type Err = NoServerUrl;

    fn from_str(text: &str) -> Result<Self, NoServerUrl> {
        let text = text.trim_end_matches('/');
        let url: Uri = text.parse().map_err(|_| NoServerUrl)?;
        let is_http = matches!(url.scheme_str(), Some("http" | "https"));
        let has_host = url.host().is_some_and(|host| !host.is_empty());
        if is_http && has_host && !text.contains(['?', '#']) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoServerUrl)
        }
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = NoServerUrl;

    fn try_from(text: String) -> Result<Self, NoServerUrl> {
        text.parse()
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// `text` as one segment of a path: all but the unreserved characters of RFC 3986, section 2.3, percent-encoded.
pub(crate) fn path_segment(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_scheme_and_a_host() {
        for (given, topic) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/topics/t"),
            ("https://localhost:8443/", "https://localhost:8443/topics/t"),
            ("http://[::1]:8080", "http://[::1]:8080/topics/t"),
            (
                "https://example.org/sse/",
                "https://example.org/sse/topics/t",
            ),
        ] {
            let server: ServerUrl = given.parse().unwrap();
            assert_eq!(server.join("/topics/t").to_string(), topic);
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "localhost",
            "localhost:8080",
            "/topics/t",
            "ftp://localhost",
            "http://",
            "http://localhost?topic=t",
            "http://localhost/#t",
            "http://local host",
        ] {
            assert_eq!(text.parse::<ServerUrl>(), Err(NoServerUrl), "{text}");
        }
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(path_segment("plain-Name_1.~"), "plain-Name_1.~");
        assert_eq!(path_segment("a/b?c#d%e f"), "a%2Fb%3Fc%23d%25e%20f");
        assert_eq!(path_segment("grüße"), "gr%C3%BC%C3%9Fe");
    }
}
