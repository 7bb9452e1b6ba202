//! A reconnect storm: everybody is cut at once, as by a server that restarts, and comes back by the standard's rules.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::crowd::{Crowd, GLANCE};
use crate::cut::Manner;
use crate::stamp::Clock;

/// When everybody is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storm {
    /// So long after the first event.
    pub after: Duration,
    /// It is watched for so long at most, while events are published.
    pub watched: Duration,
}

/// How the crowd came back. Times count from the cut, and include the time that the rules tell everybody to stay away.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Recovery {
    /// When it was, in seconds of the run.
    pub at: f64,
    /// Streams that were cut.
    pub cut: usize,
    /// Streams that were open again in the end.
    pub back: usize,
    /// Seconds until half of them were open again; none if that did not happen.
    pub back_50: Option<f64>,
    /// ... until 90 % were.
    pub back_90: Option<f64>,
    /// ... until 99 % were.
    pub back_99: Option<f64>,
    /// ... until all were.
    pub back_100: Option<f64>,
    /// The most streams that opened within any 100 ms, per second.
    pub peak_per_second: f64,
}

impl Storm {
    /// Cuts everybody, and watches them come back.
    pub(super) async fn break_over(&self, crowd: &Crowd, clock: Clock) -> Recovery {
        /// Ten glances.
        const WINDOW: usize = 10;
        tokio::time::sleep(self.after).await;
        let open = crowd.open();
        let (at, cut) = (clock.now(), Instant::now());
        for line in crowd.lines() {
            line.cut(Manner::Reset);
        }
        let mut recovery = Recovery {
            at: at.as_secs_f64(),
            cut: open,
            ..Recovery::default()
        };
        let mut counts = std::collections::VecDeque::new();
        // They notice one after another: the tide must go out before it comes in.
        let (mut lowest, mut ebbing) = (open, true);
        while cut.elapsed() < self.watched {
            tokio::time::sleep(GLANCE).await;
            let count = crowd.open();
            lowest = lowest.min(count);
            ebbing &= lowest > 0 && cut.elapsed() < GLANCE * 10;
            if ebbing {
                continue;
            }
            counts.push_back(count);
            if counts.len() > WINDOW {
                let before = counts.pop_front().unwrap_or(count);
                let per_second =
                    count.saturating_sub(before) as f64 / (GLANCE.as_secs_f64() * WINDOW as f64);
                recovery.peak_per_second = recovery.peak_per_second.max(per_second);
            }
            recovery.enter(count, cut.elapsed());
            if count >= open {
                break;
            }
        }
        recovery
    }
}

impl Recovery {
    fn enter(&mut self, count: usize, after: Duration) {
        self.back = count;
        for (share, back) in [
            (0.5, &mut self.back_50),
            (0.9, &mut self.back_90),
            (0.99, &mut self.back_99),
            (1.0, &mut self.back_100),
        ] {
            if count as f64 >= share * self.cut as f64 {
                back.get_or_insert(after.as_secs_f64());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_reached_one_after_another() {
        let mut recovery = Recovery {
            cut: 200,
            ..Recovery::default()
        };
        for (count, seconds) in [(0, 1), (100, 2), (150, 3), (199, 4)] {
            recovery.enter(count, Duration::from_secs(seconds));
        }
        assert_eq!((recovery.back_50, recovery.back_90), (Some(2.0), Some(4.0)));
        assert_eq!(
            (recovery.back_99, recovery.back_100, recovery.back),
            (Some(4.0), None, 199)
        );
    }
}
