//! Why and after how long a connection ended.

use std::{error::Error, fmt, io, time::Duration};

use super::Connection;
use crate::drain::Phase;

/// The end of a connection, as a log line tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// What ended it.
    pub reason: EndReason,
    /// Time since it was accepted.
    pub lasted: Duration,
}

/// What ended a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The last response said that it is the last (`Connection: close`, HTTP/1.0), and was sent.
    Finished,
    /// The peer closed it.
    PeerClosed,
    /// The peer reset it, or vanished so that the kernel gave up.
    PeerReset,
    /// It ended in good order while the front end drained.
    Drained,
    /// The front end cut it: at the deadline of a drain, or at once.
    Cut,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// The TLS handshake failed; in words.
    HandshakeFailed(String),
    /// The first request's head, or HTTP/2's preface, took too long.
    HeadTimeout,
    /// A kept-alive HTTP/1.1 connection had no further request for too long, or only a part of one.
    IdleTimeout,
    /// An HTTP/2 peer did not answer a ping in time.
    PingTimeout,
    /// The application panicked; with the panic's message.
    Panicked(String),
    /// The protocol was broken, or the socket failed; in words.
    Error(String),
}

impl EndReason {
    /// Tells what it means that hyper ended an HTTP/1.1 connection like this.
    pub(crate) fn of(
        result: Result<(), hyper::Error>,
        connection: &Connection,
        phase: Phase,
    ) -> Self {
        match result {
            Err(error) if error.is_timeout() => match connection.requests() {
                0 => Self::HeadTimeout,
                _ => Self::IdleTimeout,
            },
            Err(error) => Self::of_error(&error, connection, phase),
            Ok(()) if phase >= Phase::Draining => Self::Drained,
            Ok(()) => Self::of_departure(connection).unwrap_or(Self::Finished),
        }
    }

    /// Tells what it means that an HTTP/2 connection ended like this.
    pub(crate) fn of_http2(
        result: Result<(), h2::Error>,
        connection: &Connection,
        phase: Phase,
    ) -> Self {
        match result {
            Err(error) => Self::of_error(&error, connection, phase),
            Ok(()) if phase >= Phase::Draining => Self::Drained,
            // Such a connection only ever ends because one side says so (GOAWAY), and we did not.
            Ok(()) => Self::of_departure(connection).unwrap_or(Self::PeerClosed),
        }
    }

    fn of_error(error: &(dyn Error + 'static), connection: &Connection, phase: Phase) -> Self {
        match Self::of_departure(connection) {
            // Told to go, the peer went: it may be the first to close.
            Some(_) if phase >= Phase::Draining && connection.in_flight() == 0 => Self::Drained,
            Some(departure) => departure,
            None => Self::Error(in_words(error)),
        }
    }

    /// How the peer left, if it did.
    fn of_departure(connection: &Connection) -> Option<Self> {
        if connection.was_reset_by_peer() {
            Some(Self::PeerReset)
        } else if connection.was_closed_by_peer() {
            Some(Self::PeerClosed)
        } else {
            None
        }
    }

    pub(crate) fn of_handshake(error: &io::Error, connection: &Connection) -> Self {
        Self::of_departure(connection).unwrap_or_else(|| Self::HandshakeFailed(in_words(error)))
    }

    pub(crate) fn of_socket(error: &io::Error, connection: &Connection) -> Self {
        Self::of_departure(connection).unwrap_or_else(|| Self::Error(in_words(error)))
    }

    /// In hyper's words, so that a log reads the same whoever wrote the stream.
    pub(crate) fn of_body(error: &(dyn Error + 'static)) -> Self {
        Self::Error(format!(
            "error from user's Body stream: {}",
            in_words(error)
        ))
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => formatter.write_str("finished"),
            Self::PeerClosed => formatter.write_str("peer closed"),
            Self::PeerReset => formatter.write_str("peer reset"),
            Self::Drained => formatter.write_str("drained"),
            Self::Cut => formatter.write_str("cut"),
            Self::HandshakeTimeout => formatter.write_str("TLS handshake timed out"),
            Self::HandshakeFailed(why) => write!(formatter, "TLS handshake failed: {why}"),
            Self::HeadTimeout => formatter.write_str("request head timed out"),
            Self::IdleTimeout => formatter.write_str("idle for too long"),
            Self::PingTimeout => formatter.write_str("ping timed out"),
            Self::Panicked(message) => write!(formatter, "panicked: {message}"),
            Self::Error(why) => formatter.write_str(why),
        }
    }
}

/// An error with its causes: `connection error: broken pipe`.
fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Many errors repeat their cause in their own text.
        if !words.contains(&next) {
            words.push_str(": ");
            words.push_str(&next);
        }
        cause = error.source();
    }
    words
}
