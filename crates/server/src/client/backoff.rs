//! How long to wait before the next attempt.

use std::time::Duration;

use rand::RngExt;

/// Waits that double from `first` to `longest` for as long as attempts fail.
///
/// Each is shortened by a random part of up to a quarter, so that a thousand clients of a server that comes back do
/// not come back at once.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Begins with `first`, ends with `longest`.
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// An attempt failed: how long to wait before the next one.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let doublings = 2u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let wait = self.first.saturating_mul(doublings).min(self.longest);
        wait.mul_f64(rand::rng().random_range(0.75..=1.0))
    }

    /// An attempt succeeded.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
        for full in [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
            let wait = backoff.next_wait().as_millis();
            assert!((full * 3 / 4..=full).contains(&wait), "{wait} of {full} ms");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(500));
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
        let longest = (0..100).map(|_| backoff.next_wait()).max();
        assert!(longest <= Some(Duration::from_secs(10)));
    }
}
