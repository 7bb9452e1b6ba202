//! Which stream, and from where.

use std::str::FromStr;

use http::{HeaderValue, Uri};
use thiserror::Error;
use wellspring_event::EventId;

use crate::client::path_segment;

/// Where a stream is: its URL as given, or that of a topic of the server on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(Uri);

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// With the earliest event that is kept.
    Earliest,
    /// After the event of this id.
    After(String),
}

/// The text names no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum AddressError {
    #[error("expected an http:// or https:// URL, or the name of a topic")]
    NoUrl,
    #[error("is it a URL? then put http:// or https:// in front")]
    NoScheme,
}

/// The text is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected `earliest` or the id of an event")]
pub(crate) struct NoBeginning;

/// The server that a bare topic is one of: where `wellspring serve` is by default.
const SERVER: &str = "http://127.0.0.1:8080";

impl Address {
    pub(crate) fn url(&self) -> &Uri {
        &self.0
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if !text.contains("://") {
            if text.is_empty() {
                return Err(AddressError::NoUrl);
            }
            if has_port_and_path(text) {
                return Err(AddressError::NoScheme);
            }
            let url = format!("{SERVER}/topics/{}", path_segment(text));
            return Ok(Self(url.parse().expect("an encoded segment is a path")));
        }
        // What comes after # is for the reader, not the server.
        let text = text.split('#').next().unwrap_or_default();
        let url: Uri = text.parse().map_err(|_| AddressError::NoUrl)?;
        let is_http = matches!(url.scheme_str(), Some("http" | "https"));
        if is_http && url.host().is_some_and(|host| !host.is_empty()) {
            Ok(Self(url))
        } else {
            Err(AddressError::NoUrl)
        }
    }
}

impl FromStr for Beginning {
    type Err = NoBeginning;

    fn from_str(text: &str) -> Result<Self, NoBeginning> {
        if text == "earliest" {
            return Ok(Self::Earliest);
        }
        let is_id = !text.is_empty()
            && EventId::new(text).is_ok()
            && HeaderValue::from_bytes(text.as_bytes()).is_ok();
        if is_id {
            Ok(Self::After(text.to_owned()))
        } else {
            Err(NoBeginning)
        }
    }
}

/// The same stream from its earliest event: a query parameter of the server's, as no header says so.
///
/// A URL of nearly 64 KiB, which has no room for it, stays as it is.
pub(super) fn from_earliest(url: &Uri) -> Uri {
    let text = url.to_string();
    let separator = if text.contains('?') { '&' } else { '?' };
    format!("{text}{separator}last_event_id=earliest")
        .parse()
        .unwrap_or_else(|_| url.clone())
}

/// Whether it looks like `host:port/path`.
fn has_port_and_path(text: &str) -> bool {
    text.split_once('/')
        .and_then(|(authority, _)| authority.rsplit_once(':'))
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<String, AddressError> {
        text.parse::<Address>()
            .map(|address| address.url().to_string())
    }

    #[test]
    fn a_word_is_a_topic_of_this_machine() {
        assert_eq!(url("logs").unwrap(), "http://127.0.0.1:8080/topics/logs");
        assert_eq!(
            url("team/user:42?").unwrap(),
            "http://127.0.0.1:8080/topics/team%2Fuser%3A42%3F"
        );
    }

    #[test]
    fn a_url_is_taken_as_it_is() {
        for text in [
            "https://localhost:8443/topics/t",
            "http://[::1]:8080/topics?topic=a&topic=b",
        ] {
            assert_eq!(url(text).unwrap(), text);
        }
        assert_eq!(url("http://h/t#top").unwrap(), "http://h/t");
    }

    #[test]
    fn what_is_neither_is_named() {
        for text in ["", "ftp://localhost/t", "http://", "http://a b/"] {
            assert_eq!(url(text), Err(AddressError::NoUrl), "{text}");
        }
        assert_eq!(url("localhost:8080/topics/t"), Err(AddressError::NoScheme));
    }

    #[test]
    fn earliest_is_one_more_parameter() {
        for (url, earliest) in [
            ("http://h/t", "http://h/t?last_event_id=earliest"),
            (
                "http://h/?topic=a",
                "http://h/?topic=a&last_event_id=earliest",
            ),
        ] {
            let url: Uri = url.parse().unwrap();
            assert_eq!(from_earliest(&url).to_string(), earliest);
        }
    }

    #[test]
    fn a_beginning_is_earliest_or_an_id() {
        assert_eq!("earliest".parse(), Ok(Beginning::Earliest));
        assert_eq!("a-1".parse(), Ok(Beginning::After("a-1".to_owned())));
        for text in ["", "a\nb", "a\0b", "\x07"] {
            assert_eq!(text.parse::<Beginning>(), Err(NoBeginning), "{text:?}");
        }
    }
}
