//! The events that are measured: numbered, and stamped with the moment of their publication.
//!
//! The data of one begins with its number (8 hexadecimal digits) and its time (16 digits: nanoseconds of the
//! monotonic clock, which all processes of a machine share), and is filled up with letters to its size.

use std::fmt::Write;

use rustix::time::{ClockId, clock_gettime};

/// What is measured of one event: which one it is, and since when it is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Counts from 0 within a topic.
    pub number: u32,
    /// [`now`] at publication, in nanoseconds.
    pub time: u64,
}

/// The monotonic clock in nanoseconds.
#[must_use]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

impl Stamp {
    /// Bytes that a stamp takes: no event's data is shorter.
    pub const LENGTH: usize = 24;

    /// The data of an event, `size` bytes long (at least [`Stamp::LENGTH`]), onto the end of `text`.
    pub fn write(self, size: usize, text: &mut String) {
        let end = text.len() + size.max(Self::LENGTH);
        write!(text, "{:08x}{:016x}", self.number, self.time).expect("a String takes all");
        text.extend(('a'..='z').cycle().take(end - text.len()));
    }

    /// The stamp that data begins with.
    #[must_use]
    pub fn read(data: &[u8]) -> Option<Self> {
        let number = hexadecimal(data.get(..8)?)?;
        let time = hexadecimal(data.get(8..Self::LENGTH)?)?;
        Some(Self {
            number: u32::try_from(number).ok()?,
            time,
        })
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        Some(value << 4 | u64::from(char::from(*digit).to_digit(16)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_the_data_has_its_size() {
        let stamp = Stamp {
            number: 77,
            time: now(),
        };
        for size in [24, 100, 4_000] {
            let mut text = String::from("data: ");
            stamp.write(size, &mut text);
            assert_eq!(text.len(), 6 + size);
            assert_eq!(Stamp::read(&text.as_bytes()[6..]), Some(stamp));
        }
        assert_eq!(Stamp::read(b"0000004d"), None);
        assert_eq!(Stamp::read(&[b'x'; 100]), None);
    }
}
