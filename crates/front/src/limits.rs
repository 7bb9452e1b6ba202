//! How long a peer may take, and how much of one connection it may use.

use std::time::Duration;

/// What a peer may take its time for, and how many streams it may open.
///
/// Start from [`Limits::default`] and change what you must:
///
/// ```
/// let mut limits = wellspring_front::Limits::default();
/// limits.max_concurrent_streams = 10_000;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// From accept to the end of the TLS handshake. Default: 10 s.
    pub tls_handshake: Duration,

    /// From accept (on TLS: from the handshake) to the end of the first request's head, finding out the protocol
    /// included; on HTTP/1.1 also from one response to the end of the next request's head, which makes it the longest
    /// idle time of a kept-alive connection. On HTTP/2 it bounds the connection preface. Default: 10 s.
    pub request_head: Duration,

    /// Largest request head: on HTTP/1.1 in bytes as sent (past it: 431), on HTTP/2 as
    /// `SETTINGS_MAX_HEADER_LIST_SIZE` (RFC 9113, section 6.5.2). On HTTP/1.1 it also bounds what a peer may send ahead while a
    /// long-lived response is under way (past it: the connection is cut). Default: 16 KiB, at least 8 KiB.
    pub max_head_bytes: u32,

    /// How often an HTTP/2 connection is pinged, busy or idle (RFC 9113, section 6.7): the only way to learn that the
    /// peer of an idle connection has vanished. Default: 20 s.
    pub ping_interval: Duration,

    /// How long the answer to a ping may take before the connection is given up. Default: 10 s.
    pub ping_timeout: Duration,

    /// How many requests one HTTP/2 connection may have under way at once: `SETTINGS_MAX_CONCURRENT_STREAMS`
    /// (RFC 9113, section 6.5.2). An event stream counts for as long as it lives. Default: 256.
    pub max_concurrent_streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tls_handshake: Duration::from_secs(10),
            request_head: Duration::from_secs(10),
            max_head_bytes: 16 * 1024,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
            max_concurrent_streams: 256,
        }
    }
}
