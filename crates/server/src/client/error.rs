//! Why a request got no answer, in one line that names the peer and what to do.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy;
use rustls::{AlertDescription, CertificateError};

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ClientError {
    /// The connection could not be made.
    #[error("cannot connect to {peer}: {reason}")]
    Connect {
        /// Host and port.
        peer: String,
        /// What the system, the resolver or the handshake said.
        reason: String,
    },
    /// Somebody answers there, but with a certificate from nobody that is believed. Trying again will not help.
    #[error("certificate of {peer} is not trusted: {reason}")]
    Certificate {
        /// Host and port.
        peer: String,
        /// What is wrong with it, and what to do where something can be done.
        reason: String,
    },
    /// Somebody answers there, but speaks something else. Trying again will not help.
    #[error("{peer} does not speak {expected}")]
    Protocol {
        /// Host and port.
        peer: String,
        /// What it should speak, and what to check.
        expected: &'static str,
    },
    /// The connection stood and broke before the response was complete.
    #[error("the connection to {peer} broke: {reason}")]
    Broken {
        /// Host and port.
        peer: String,
        /// What broke it.
        reason: String,
    },
}

impl ClientError {
    pub(super) fn new(url: &Uri, error: &legacy::Error) -> Self {
        let peer = peer(url);
        let cause = cause(error);
        if let Some(rustls::Error::InvalidCertificate(fault)) =
            cause.downcast_ref::<rustls::Error>()
        {
            return Self::Certificate {
                peer,
                reason: certificate_fault(fault),
            };
        }
        if let Some(expected) = missed_protocol(cause) {
            return Self::Protocol { peer, expected };
        }
        let reason = reason(cause);
        if error.is_connect() {
            Self::Connect { peer, reason }
        } else {
            Self::Broken { peer, reason }
        }
    }

    /// The connection broke in the middle of a response's body.
    pub(crate) fn in_body(url: &Uri, error: &(dyn Error + 'static)) -> Self {
        Self::Broken {
            peer: peer(url),
            reason: reason(cause(error)),
        }
    }

    pub(super) fn timed_out(url: &Uri, after: Duration) -> Self {
        Self::Connect {
            peer: peer(url),
            reason: format!("no answer within {} s", after.as_secs()),
        }
    }
}

/// Host and port, the port also where the URL leaves it to the scheme.
fn peer(url: &Uri) -> String {
    let host = url.host().unwrap_or_default();
    let default = if url.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    format!("{host}:{}", url.port_u16().unwrap_or(default))
}

/// The innermost error: the ones around it say through which layers it came.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    let mut error = error;
    loop {
        // An io::Error that wraps another error skips it in `source`.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn Error + 'static));
        match wrapped.or_else(|| error.source()) {
            Some(inner) => error = inner,
            None => return error,
        }
    }
}

fn reason(cause: &(dyn Error + 'static)) -> String {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                "connection refused (is the server running?)".to_owned()
            }
            _ => without_code(&error.to_string()),
        };
    }
    match cause.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_incomplete_message() => {
            "the server closed it in the middle of an answer".to_owned()
        }
        _ => cause.to_string(),
    }
}

/// What the peer should speak, when it is that which went wrong.
fn missed_protocol(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    match cause.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::InvalidMessage(_)) => Some("TLS (is it an http:// address?)"),
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            Some("HTTP/2 or HTTP/1.1")
        }
        _ => cause
            .downcast_ref::<hyper::Error>()
            .filter(|error| error.is_parse())
            .map(|_| "HTTP (is it an https:// address?)"),
    }
}

/// The system's text for an error, without the number that Rust puts after it.
fn without_code(text: &str) -> String {
    let text = text
        .rfind(" (os error ")
        .map_or(text, |at| text.split_at(at).0);
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}

fn certificate_fault(fault: &CertificateError) -> String {
    match fault {
        CertificateError::UnknownIssuer => {
            "its authority is unknown; give its CA with --cacert FILE (for an upstream: --upstream-cacert FILE)".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet (is the clock right?)".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host name".to_owned()
        }
        _ => fault.to_string(),
    }
}
