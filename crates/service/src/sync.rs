//! The locks and atomics of this crate: std's in earnest, loom's when every interleaving is explored.

use std::sync::PoisonError;
use std::task::Waker;

#[cfg(wellspring_loom)]
use loom::sync as imp;
#[cfg(not(wellspring_loom))]
use std::sync as imp;

pub(crate) use imp::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

pub(crate) type MutexGuard<'a, T> = imp::MutexGuard<'a, T>;

/// A mutex that outlives a panic of its holder.
///
/// One connection's bug must not silence every other reader of a log, so poison is ignored: each
/// critical section here leaves its state whole before it calls anything that may panic.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which waker it was, for who left a clone of it elsewhere: as long as that clone lives, no other
/// waker has this identity. A second clone to compare with would cost two atomic operations per park.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    data: usize,
    vtable: usize,
}

impl Identity {
    pub(crate) fn of(waker: &Waker) -> Self {
        Self {
            data: waker.data().addr(),
            vtable: std::ptr::from_ref(waker.vtable()).addr(),
        }
    }

    /// As [`Waker::will_wake`].
    pub(crate) fn is(self, waker: &Waker) -> bool {
        self == Self::of(waker)
    }
}

/// A static that is made when it is first used.
macro_rules! lazy_static {
    (static $name:ident: $type:ty = $value:expr;) => {
        #[cfg(wellspring_loom)]
        loom::lazy_static! {
            static ref $name: $type = $value;
        }
        #[cfg(not(wellspring_loom))]
        static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $value);
    };
}

/// A static of each thread.
macro_rules! per_thread {
    (static $name:ident: $type:ty = $value:expr;) => {
        #[cfg(wellspring_loom)]
        loom::thread_local! {
            static $name: $type = $value;
        }
        #[cfg(not(wellspring_loom))]
        std::thread_local! {
            static $name: $type = const { $value };
        }
    };
}

pub(crate) use {lazy_static, per_thread};
