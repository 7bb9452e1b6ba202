//! How it goes, for people: a line on a terminal that is written anew, and one at the end.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::uplink::lines;

/// Counts lines and tells of them on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    is_terminal: bool,
    is_drawn: bool,
    next: Instant,
    begun: Instant,
    acknowledged: u64,
    repeated: u64,
    sent: u64,
    rate: Rate,
}

/// Lines per second, as of the last full second.
#[derive(Debug)]
struct Rate {
    since: Instant,
    lines: u64,
    per_second: f64,
}

/// The time between two drawings: often enough to look alive.
const INTERVAL: Duration = Duration::from_millis(200);

/// Goes to the beginning of the line and clears it (ECMA-48, 8.3.41).
const ERASE: &str = "\r\x1b[K";

impl Progress {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            is_terminal: stderr().is_terminal(),
            is_drawn: false,
            next: now + INTERVAL,
            begun: now,
            acknowledged: 0,
            repeated: 0,
            sent: 0,
            rate: Rate {
                since: now,
                lines: 0,
                per_second: 0.0,
            },
        }
    }

    /// Lines that the server has.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The server has so many more lines, and had so many of them before.
    pub(super) fn acknowledge(&mut self, lines: usize, repeated: u64) {
        self.acknowledged += lines as u64;
        self.repeated += repeated;
    }

    /// Waits for the next time to draw; for ever where nobody looks.
    pub(super) async fn tick(&self) {
        if self.is_terminal {
            sleep_until(self.next).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// So many lines are on their way. Draws when it is time to.
    pub(super) fn update(&mut self, on_their_way: usize) {
        // A line that is sent again is not one more.
        self.sent = self.sent.max(self.acknowledged + on_their_way as u64);
        let now = Instant::now();
        if !self.is_terminal || now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        self.rate.update(now, self.sent);
        let text = format!(
            "{ERASE}{} sent, {} acknowledged, {:.0} lines/s",
            lines(self.sent),
            self.acknowledged,
            self.rate.per_second
        );
        self.write(&text);
        self.is_drawn = true;
    }

    /// Tells something that stays.
    pub(super) fn say(&mut self, text: &str) {
        self.erase();
        self.write(&format!("wellspring: {text}\n"));
    }

    /// Takes the line that is written anew away.
    pub(super) fn erase(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            self.write(ERASE);
        }
    }

    /// What became of it all, `left` lines of which nobody knows.
    pub(super) fn summarize(&mut self, topic: &str, left: usize) {
        let seconds = self.begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "for people, to one line")]
        let rate = self.acknowledged as f64 / seconds.max(0.001);
        let mut text = format!(
            "published {} to {topic} in {seconds:.1} s, {rate:.0} lines/s",
            lines(self.acknowledged)
        );
        if self.repeated > 0 {
            text += &format!("; {} arrived twice and counted once", self.repeated);
        }
        if left > 0 {
            text += &format!("; {left} not acknowledged");
        }
        self.say(&text);
    }

    /// A standard error that is gone is no reason to stop publishing.
    fn write(&self, text: &str) {
        let _ = stderr().write_all(text.as_bytes());
    }
}

impl Rate {
    fn update(&mut self, now: Instant, lines: u64) {
        let elapsed = now - self.since;
        if elapsed >= Duration::from_secs(1) {
            #[expect(clippy::cast_precision_loss, reason = "for people, to one line")]
            let more = (lines - self.lines) as f64;
            *self = Self {
                since: now,
                lines,
                per_second: more / elapsed.as_secs_f64(),
            };
        }
    }
}
