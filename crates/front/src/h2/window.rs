//! How much the peer takes: flow control of the DATA frames that we write ourselves (RFC 9113, sections 5.2 and 6.9).

/// The largest window there is (RFC 9113, section 6.9.1).
pub(super) const LARGEST: u32 = (1 << 31) - 1;

/// What the protocol begins with (RFC 9113, section 6.9.2).
pub(super) const INITIAL: u32 = 65_535;

/// More room, as the peer grants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credit {
    /// For all streams together.
    Connection(u32),
    /// For one stream.
    Stream {
        /// Its identifier.
        id: u32,
        /// How much more.
        bytes: u32,
    },
    /// What each stream has to begin with: those that are open, too.
    Initial(u32),
}

/// The connection's window, and what each stream's begins with.
#[derive(Debug)]
pub(super) struct Windows {
    connection: u32,
    initial: u32,
}

/// A stream's window less what every stream's begins with: so that a new beginning changes all of them at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Balance(i32);

/// The peer has granted more than the protocol can count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overflow;

/// Who has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Stream,
    Connection,
}

impl Windows {
    pub(super) const fn new() -> Self {
        Self {
            connection: INITIAL,
            initial: INITIAL,
        }
    }

    /// How many bytes a stream may send now, at least one.
    pub(super) fn room(&self, balance: Balance) -> Result<usize, Full> {
        // May be below zero when the peer has taken back what was sent already.
        let stream = i64::from(self.initial) + i64::from(balance.0);
        match u32::try_from(stream) {
            Err(_) | Ok(0) => Err(Full::Stream),
            Ok(_) if self.connection == 0 => Err(Full::Connection),
            Ok(stream) => Ok(stream.min(self.connection) as usize),
        }
    }

    /// Whether the connection's window has room.
    pub(super) fn is_open(&self) -> bool {
        self.connection > 0
    }

    /// What each stream's window begins with.
    pub(super) fn initial(&self) -> u32 {
        self.initial
    }

    /// A stream sends so many bytes, which is not more than its [`room`](Self::room).
    pub(super) fn spend(&mut self, balance: &mut Balance, bytes: usize) {
        debug_assert!(self.room(*balance).is_ok_and(|room| bytes <= room));
        self.connection -= bytes as u32;
        balance.0 -= bytes as i32;
    }

    /// The connection has room for more.
    pub(super) fn widen(&mut self, bytes: u32) -> Result<(), Overflow> {
        let wider = self.connection.checked_add(bytes);
        let wider = wider.filter(|wider| *wider <= LARGEST);
        self.connection = wider.ok_or(Overflow)?;
        Ok(())
    }

    /// So many bytes were not sent after all.
    pub(super) fn refund(&mut self, bytes: u32) {
        self.connection = (self.connection + bytes).min(LARGEST);
    }

    /// A stream has room for more.
    pub(super) fn widen_stream(&self, balance: &mut Balance, bytes: u32) -> Result<(), Overflow> {
        let wider = i64::from(balance.0) + i64::from(bytes);
        if wider + i64::from(self.initial) > i64::from(LARGEST) {
            return Err(Overflow);
        }
        // At most the largest window, which is a positive `i32`.
        balance.0 = wider as i32;
        Ok(())
    }

    /// Every stream begins with so much.
    pub(super) fn begin_with(&mut self, initial: u32) {
        self.initial = initial;
    }

    /// Whether a stream's window is one that the protocol can count.
    pub(super) fn holds(&self, balance: Balance) -> bool {
        i64::from(self.initial) + i64::from(balance.0) <= i64::from(LARGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_the_smaller_of_both_windows() {
        let (mut windows, mut one, other) =
            (Windows::new(), Balance::default(), Balance::default());
        assert_eq!(windows.room(one), Ok(65_535));
        windows.spend(&mut one, 65_000);
        assert_eq!(windows.room(one), Ok(535));
        assert_eq!(windows.room(other), Ok(535), "the connection's");
        windows.widen(100_000).unwrap();
        assert_eq!(windows.room(one), Ok(535), "its own");
        assert_eq!(windows.room(other), Ok(65_535));
        windows.widen_stream(&mut one, 65_000).unwrap();
        assert_eq!(windows.room(one), Ok(65_535));
    }

    #[test]
    fn it_says_who_has_no_room() {
        let (mut windows, mut one, mut other) =
            (Windows::new(), Balance::default(), Balance::default());
        windows.spend(&mut one, 65_535);
        assert_eq!(windows.room(one), Err(Full::Stream));
        assert_eq!(windows.room(other), Err(Full::Connection));
        assert!(!windows.is_open());
        windows.widen(1).unwrap();
        windows.widen_stream(&mut other, 1).unwrap();
        assert_eq!(windows.room(other), Ok(1));
    }

    #[test]
    fn a_beginning_that_is_taken_back_leaves_a_window_below_zero() {
        let (mut windows, mut balance) = (Windows::new(), Balance::default());
        windows.spend(&mut balance, 60_000);
        windows.begin_with(16_384);
        assert_eq!(windows.room(balance), Err(Full::Stream));
        windows.widen_stream(&mut balance, 60_000 - 16_384).unwrap();
        assert_eq!(windows.room(balance), Err(Full::Stream), "exactly zero");
        windows.widen_stream(&mut balance, 7).unwrap();
        assert_eq!(windows.room(balance), Ok(7));
        windows.begin_with(65_535);
        assert_eq!(windows.room(balance), Ok(5_535), "the connection's");
    }

    #[test]
    fn windows_beyond_31_bits_are_refused() {
        let (mut windows, mut balance) = (Windows::new(), Balance::default());
        assert_eq!(windows.widen(LARGEST - 65_535), Ok(()));
        assert_eq!(windows.widen(1), Err(Overflow));
        assert_eq!(windows.widen_stream(&mut balance, LARGEST - 65_535), Ok(()));
        assert_eq!(windows.widen_stream(&mut balance, 1), Err(Overflow));
        assert!(windows.holds(balance));
        windows.begin_with(65_536);
        assert!(!windows.holds(balance));
        windows.begin_with(0);
        assert_eq!(windows.room(balance), Ok((LARGEST - 65_535) as usize));
    }
}
