//! The reconnection time: `retry` values, read digit by digit.

use std::time::Duration;

/// The time as last set, and the value that is being read.
#[derive(Debug, Clone)]
pub(super) struct Reconnection {
    time: Option<Duration>,
    /// The integer so far; none before the first digit, and none after anything but a digit.
    milliseconds: Option<u64>,
    /// Something other than an ASCII digit was read.
    malformed: bool,
}

impl Reconnection {
    pub(super) const fn new() -> Self {
        Self {
            time: None,
            milliseconds: None,
            malformed: false,
        }
    }

    pub(super) const fn time(&self) -> Option<Duration> {
        self.time
    }

    /// Reads a `retry` value or a part of one; the last part of a good one sets the time.
    pub(super) fn read(&mut self, bytes: &[u8], starts: bool, ends: bool) {
        if starts {
            self.milliseconds = None;
            self.malformed = false;
        }
        for &byte in bytes {
            if !byte.is_ascii_digit() {
                self.malformed = true;
                break;
            }
            let so_far = self.milliseconds.unwrap_or(0).saturating_mul(10);
            self.milliseconds = Some(so_far.saturating_add(u64::from(byte - b'0')));
        }
        if ends
            && !self.malformed
            && let Some(milliseconds) = self.milliseconds
        {
            self.time = Some(Duration::from_millis(milliseconds));
        }
    }
}
