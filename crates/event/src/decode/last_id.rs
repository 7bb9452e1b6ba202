//! The last event id: the standard's buffer and string of that name.

use memchr::memchr;

use super::push_repaired;

/// The id to resume from, and the one that the current block will make it.
#[derive(Debug, Clone)]
pub(super) struct LastId {
    /// The id as of the last complete block.
    committed: String,
    /// The id of the current block, when `has_pending`.
    pending: String,
    has_pending: bool,
    /// The parts so far of a value that a chunk border cuts.
    partial: Vec<u8>,
    /// That value is too long, and none of it is kept.
    too_long: bool,
}

impl LastId {
    pub(super) const fn new() -> Self {
        Self {
            committed: String::new(),
            pending: String::new(),
            has_pending: false,
            partial: Vec::new(),
            too_long: false,
        }
    }

    #[inline]
    pub(super) fn as_str(&self) -> &str {
        &self.committed
    }

    pub(super) fn set(&mut self, id: &str) {
        self.committed.clear();
        self.committed.push_str(id);
    }

    /// Reads an `id` value of at most `limit` bytes, or a part of one; a longer one, or one with
    /// a NUL, is ignored as if its line were not there.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8], starts: bool, ends: bool, limit: usize) {
        if starts && ends {
            if bytes.len() <= limit {
                self.take(bytes);
            }
        } else {
            self.read_part(bytes, starts, ends, limit);
        }
    }

    /// The block is complete: its id, if it had one, is the last one now.
    #[inline]
    pub(super) fn commit(&mut self) {
        if self.has_pending {
            std::mem::swap(&mut self.committed, &mut self.pending);
            self.has_pending = false;
        }
    }

    /// The block will never be complete.
    pub(super) const fn discard_uncommitted(&mut self) {
        self.has_pending = false;
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn retained_bytes(&self) -> usize {
        self.committed.capacity() + self.pending.capacity() + self.partial.capacity()
    }

    fn read_part(&mut self, bytes: &[u8], starts: bool, ends: bool, limit: usize) {
        if starts {
            self.partial.clear();
            self.too_long = false;
        }
        self.too_long |= bytes.len() > limit - self.partial.len();
        if self.too_long {
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(bytes);
        }
        if ends && !self.too_long {
            let value = std::mem::take(&mut self.partial);
            self.take(&value);
            self.partial = value;
        }
    }

    #[inline]
    fn take(&mut self, value: &[u8]) {
        if memchr(0, value).is_some() {
            return;
        }
        self.pending.clear();
        match str::from_utf8(value) {
            Ok(id) => self.pending.push_str(id),
            Err(_) => push_repaired(&mut self.pending, value),
        }
        self.has_pending = true;
    }
}
