//! The reconnection time.

use std::time::Duration;

use bytes::{BufMut, Bytes};

/// The line `retry: N`, alone: how long a browser waits before it connects again.
///
/// Only for the stream that says "come back later" and ends: browsers obey the line without a
/// blank line or data, but several SDKs take a block without data for an event and fail on it.
/// Beside an event use [`Event::with_retry`](crate::Event::with_retry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Retry {
    milliseconds: u64,
}

impl Retry {
    /// To come back after `delay`, in whole milliseconds, a started one counted in full: no delay
    /// but zero becomes zero, which would ask for a reconnection at once.
    ///
    /// Longer than `u64::MAX` milliseconds becomes that.
    #[must_use]
    pub fn new(delay: Duration) -> Self {
        let milliseconds = delay.as_nanos().div_ceil(1_000_000);
        Self {
            milliseconds: u64::try_from(milliseconds).unwrap_or(u64::MAX),
        }
    }

    /// The delay as it crosses the wire, in whole milliseconds.
    #[must_use]
    pub const fn delay(self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }

    /// How many bytes [`encode`](Self::encode) writes.
    #[must_use]
    pub fn encoded_len(self) -> usize {
        let digits = self.milliseconds.checked_ilog10().unwrap_or(0) as usize + 1;
        b"retry: ".len() + digits + b"\n".len()
    }

    /// Writes the line, with its LF.
    ///
    /// # Panics
    ///
    /// When `out` cannot grow and has less room than [`encoded_len`](Self::encoded_len).
    pub fn encode(self, out: &mut impl BufMut) {
        out.put_slice(b"retry: ");
        out.put_slice(itoa::Buffer::new().format(self.milliseconds).as_bytes());
        out.put_slice(b"\n");
    }

    /// The line in a buffer of its own.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.encode(&mut out);
        Bytes::from(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(delay: Duration) -> String {
        let mut out = Vec::new();
        Retry::new(delay).encode(&mut out);
        assert_eq!(out.len(), Retry::new(delay).encoded_len());
        assert_eq!(Retry::new(delay).to_bytes(), out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn is_one_line_of_whole_milliseconds() {
        assert_eq!(line(Duration::from_secs(3)), "retry: 3000\n");
        assert_eq!(line(Duration::from_millis(9)), "retry: 9\n");
        assert_eq!(line(Duration::from_millis(10)), "retry: 10\n");
        assert_eq!(line(Duration::ZERO), "retry: 0\n");
    }

    #[test]
    fn a_started_millisecond_counts_in_full() {
        assert_eq!(line(Duration::from_nanos(1)), "retry: 1\n");
        assert_eq!(line(Duration::from_nanos(2_000_001)), "retry: 3\n");
    }

    #[test]
    fn a_delay_beyond_64_bits_of_milliseconds_becomes_the_longest() {
        assert_eq!(line(Duration::MAX), format!("retry: {}\n", u64::MAX));
    }
}
