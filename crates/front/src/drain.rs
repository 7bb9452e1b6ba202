//! How a front end comes to its end: the phases every connection looks at, and the account of who went how.

/// What a shard is doing; only ever moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// New requests are welcome.
    Serving,
    /// What is under way may end; nothing new begins.
    Draining,
    /// Everything ends now.
    Cut,
}

/// How the connections ended that were still there when the drain began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that ended by themselves within the deadline.
    pub ended: usize,
    /// Connections that were cut, at the deadline or because the drain was cut short.
    pub cut: usize,
}

impl std::ops::AddAssign for Drained {
    fn add_assign(&mut self, other: Self) {
        self.ended += other.ended;
        self.cut += other.cut;
    }
}
