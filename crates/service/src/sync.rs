//! The locks and atomics of this crate: std's in earnest, loom's when every interleaving is explored.

#[cfg(wellspring_loom)]
pub(crate) use loom::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};
#[cfg(not(wellspring_loom))]
pub(crate) use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

#[cfg(wellspring_loom)]
use loom::sync as imp;
#[cfg(not(wellspring_loom))]
use std::sync as imp;

use std::sync::PoisonError;

pub(crate) type MutexGuard<'a, T> = imp::MutexGuard<'a, T>;

/// A mutex that outlives a panic of its holder.
///
/// One connection's bug must not silence every other reader of a log, so poison is ignored: each
/// critical section here leaves its state whole before it calls anything that may panic.
#[derive(Debug)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
