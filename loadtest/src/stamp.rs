//! What the publisher writes into an event's data, and the subscribers read back: which run, which event, due when.
//!
//! One line of text, `<run> <sequence> <due>` and padding: text goes unchanged through servers that re-serialize JSON,
//! and reading it back allocates nothing.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// Separates the events of one run from whatever else is on the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId(u64);

impl RunId {
    /// A run id that no other run has, as far as 64 random bits go.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// What the stamps of one run are recognized by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMark {
    run: RunId,
    text: String,
}

impl From<RunId> for RunMark {
    fn from(run: RunId) -> Self {
        Self {
            run,
            text: run.to_string(),
        }
    }
}

/// The clock of a run. Publisher and subscribers live in one process, so one monotonic clock serves both.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    zero: Instant,
}

impl Clock {
    /// Starts at zero now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            zero: Instant::now(),
        }
    }

    /// The time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    /// The instant at which the clock shows `time`.
    #[must_use]
    pub fn instant(&self, time: Duration) -> Instant {
        self.zero + time
    }

    /// What the system's monotonic clock showed when this one showed zero.
    #[must_use]
    pub fn zero_of_system(&self) -> Duration {
        system_time().saturating_sub(self.now())
    }
}

/// What the system's monotonic clock shows: one clock for all processes of a machine.
#[must_use]
pub fn system_time() -> Duration {
    // It counts from the start of the system, and never fails.
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

/// The mark of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The run that it belongs to.
    pub run: RunId,
    /// Its number within the run, from 0.
    pub sequence: u64,
    /// When it *should* have been sent, on the run's [`Clock`], to the nanosecond. Latency counts from here: a
    /// publisher that is held up by a stalled server must not make the stall invisible.
    pub due: Duration,
}

impl Stamp {
    /// The size of the shortest stamp, in bytes: 16 digits of run, a sequence number, a time, three spaces.
    pub const LEAST: NonZeroUsize = NonZeroUsize::new(21).unwrap();

    /// Reads a stamp from an event's data; `None` when it is not one.
    #[must_use]
    pub fn parse(data: &str) -> Option<Self> {
        Self::of_words(&mut data.splitn(4, ' '))
    }

    /// The stamps at the front of text in which one follows the other: tokens that were put together on their way.
    pub fn all(text: &str) -> impl Iterator<Item = Self> + '_ {
        let mut words = text.split_ascii_whitespace();
        std::iter::from_fn(move || Self::of_words(&mut words))
    }

    fn of_words<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        let run = words.next().filter(|word| word.len() == 16)?;
        Some(Self {
            run: RunId(u64::from_str_radix(run, 16).ok()?),
            sequence: words.next()?.parse().ok()?,
            due: Duration::from_nanos(words.next()?.parse().ok()?),
        })
    }

    /// Finds the stamp of `run` in data that has something else around it, such as a server's own JSON.
    #[must_use]
    pub fn find(data: &str, run: &RunMark) -> Option<Self> {
        let stamp = |text| Self::parse(text).filter(|stamp| stamp.run == run.run);
        stamp(data).or_else(|| stamp(&data[data.find(&run.text)?..]))
    }

    /// Appends the stamp as text of at least `size` bytes: ASCII without quotes, backslashes or line breaks, so that it
    /// is the inside of a JSON string as it stands.
    pub fn write(&self, size: usize, out: &mut Vec<u8>) {
        use std::io::Write as _;
        let start = out.len();
        write!(
            out,
            "{} {} {} ",
            self.run,
            self.sequence,
            self.due.as_nanos()
        )
        .expect("a Vec takes every write");
        let written = out.len() - start;
        out.resize(start + size.max(written), b'.');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(stamp: Stamp, size: usize) -> String {
        let mut out = Vec::new();
        stamp.write(size, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_at_any_size() {
        let stamp = Stamp {
            run: RunId(7),
            sequence: 42,
            due: Duration::from_nanos(1_234_567_890),
        };
        assert!(text(stamp, 0).len() >= Stamp::LEAST.get());
        for size in [0, 10, 31, 32, 100, 5_000] {
            let text = text(stamp, size);
            assert_eq!(Stamp::parse(&text), Some(stamp), "size {size}");
            assert!(text.len() >= size);
        }
        assert_eq!(text(stamp, 100).len(), 100);
    }

    #[test]
    fn a_stamp_is_found_within_other_text() {
        let stamp = Stamp {
            run: RunId(7),
            sequence: 42,
            due: Duration::from_nanos(5),
        };
        let wrapped = format!("{{\"user\":\"ä\",\"text\":\"{}\"}}", text(stamp, 60));
        assert_eq!(Stamp::find(&wrapped, &RunId(7).into()), Some(stamp));
        assert_eq!(Stamp::find(&wrapped, &RunId(8).into()), None);
    }

    #[test]
    fn stamps_that_were_put_together_are_told_apart() {
        let stamp = |sequence| Stamp {
            run: RunId(7),
            sequence,
            due: Duration::from_nanos(5),
        };
        let joined: String = (0..3).map(|sequence| text(stamp(sequence), 0)).collect();
        let found: Vec<_> = Stamp::all(&joined).collect();
        assert_eq!(found, [0, 1, 2].map(stamp));
        assert_eq!(Stamp::all("It is a spring.").count(), 0);
    }

    #[test]
    fn other_peoples_data_is_no_stamp() {
        for data in [
            "",
            "hello",
            "{\"a\": 1}",
            "0000000000000007 x 5",
            "0000000000000007 5",
            "7 1 2",
            "00000000000000zz 1 2 ",
        ] {
            assert_eq!(Stamp::parse(data), None, "{data:?}");
        }
    }
}
