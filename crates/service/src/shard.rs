//! A core, as its readers see it: one task that wakes them all, and one wheel that keeps their time.
//!
//! A thread that [enters](enter_shard) as a shard has a task on its runtime, the [`Attendant`]. It
//! answers the core's [`Bell`](crate::wake::Bell), and turns its [`Wheel`] as long as there is
//! something on it: one tokio timer per core, whatever the number of streams.
//!
//! What never entered works without: its readers are woken by whoever publishes, and each of its
//! streams has a timer of its own.

pub(crate) mod wheel;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::sync::Arc;
use crate::wake::Answering;
use wheel::{Turning, Wheel};

/// How many cores there are.
pub(crate) fn cores() -> usize {
    if cfg!(wellspring_loom) {
        return 2;
    }
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Says that this thread is core number `shard`: readers and streams made here are woken together, by
/// one task on this core, and share one timer.
///
/// Call it once, on the thread of a single-threaded tokio runtime and inside of it (in its
/// `block_on`). Elsewhere, and where another thread is that shard already, readers made here keep to
/// themselves, but the publisher wakes them one by one. A runtime that never runs again must be
/// dropped: until then whoever shares its number waits for it.
pub fn enter_shard(shard: usize) {
    let shard = shard % cores();
    let single = |handle: &Handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread;
    match Handle::try_current().ok().filter(single) {
        Some(runtime) => {
            runtime.spawn(attend(shard));
        }
        None => LANE.with(|lane| lane.set(Some(cores() + shard))),
    }
}

/// Makes this thread core number `shard`, of which the returned task is to be run here.
#[cfg_attr(
    not(wellspring_loom),
    expect(unreachable_pub, reason = "loom's tests run it themselves")
)]
pub fn attend(shard: usize) -> Attendant {
    let wheel = Arc::new(Wheel::new());
    let answering = Answering::begin(shard);
    let lane = match answering {
        Some(_) => shard,
        None => cores() + shard,
    };
    LANE.with(|here| here.set(Some(lane)));
    WHEEL.with(|here| here.replace(Some(Arc::clone(&wheel))));
    Attendant {
        answering,
        turning: Turning::of(wheel),
    }
}

/// The lane of readers that are made on this thread: below [`cores`] those of entered shards, whose
/// bell wakes them; from there on those of everybody else.
pub(crate) fn lane() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    LANE.with(|lane| {
        lane.get().unwrap_or_else(|| {
            // The same in each of loom's executions.
            let next = match cfg!(wellspring_loom) {
                true => 0,
                false => NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            };
            let chosen = cores() + next % cores();
            lane.set(Some(chosen));
            chosen
        })
    })
}

/// The wheel of this core, if there is one that turns.
pub(crate) fn wheel() -> Option<Arc<Wheel>> {
    WHEEL.with(|wheel| {
        let mut wheel = wheel.borrow_mut();
        // One that has stopped keeps nothing but its memory.
        let _ = wheel.take_if(|wheel| wheel.has_stopped());
        wheel.clone()
    })
}

crate::sync::per_thread! {
    static LANE: Cell<Option<usize>> = Cell::new(None);
}

crate::sync::per_thread! {
    static WHEEL: RefCell<Option<Arc<Wheel>>> = RefCell::new(None);
}

/// The one task of a core. It never resolves; dropping it (with its runtime) hands its work back.
#[derive(Debug)]
#[cfg_attr(
    not(wellspring_loom),
    expect(unreachable_pub, reason = "loom's tests run it themselves")
)]
pub struct Attendant {
    /// None where another thread answers for this shard.
    answering: Option<Answering>,
    turning: Turning,
}

impl Future for Attendant {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some(answering) = &mut this.answering {
            answering.poll(cx);
        }
        this.turning.poll(cx);
        Poll::Pending
    }
}

#[cfg(test)]
pub(crate) mod tests;
