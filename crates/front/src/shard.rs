//! A shard: one core's runtime, and the connections that live on it.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, Waker},
    thread,
};

use slab::Slab;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, sleep_until},
};

use crate::{
    application::Application,
    connection::{self, EndReason},
    drain::{Drained, Phase},
    limits::Limits,
    listener::Accepted,
};

/// What a shard can be told.
pub(crate) enum Command {
    /// Serve this connection.
    Serve(Accepted),
    /// Drain, and cut what is left at this time.
    Drain(Instant),
    /// End everything now.
    Cut,
}

/// A shard as the other threads see it. When the last one is gone, the shard cuts its connections and ends.
#[derive(Clone)]
pub(crate) struct ShardHandle {
    commands: mpsc::UnboundedSender<Command>,
    load: Arc<AtomicUsize>,
}

impl ShardHandle {
    /// Connections it serves, or is about to.
    pub(crate) fn load(&self) -> usize {
        self.load.load(Relaxed)
    }

    /// A share in its load, for a connection that is about to be handed over.
    pub(crate) fn reserve(&self) -> Load {
        self.load.fetch_add(1, Relaxed);
        Load(Arc::clone(&self.load))
    }

    pub(crate) fn command(&self, command: Command) {
        // A shard that has ended has nothing left to be told.
        let _ = self.commands.send(command);
    }
}

/// One connection's share in a shard's load, for as long as it is held.
pub(crate) struct Load(Arc<AtomicUsize>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Starts a shard in a thread of its own; `ended` is told the account of its drain.
pub(crate) fn start<A: Application>(
    index: usize,
    application: Arc<A>,
    limits: Limits,
    on_start: Arc<dyn Fn(usize) + Send + Sync>,
    ended: oneshot::Sender<Drained>,
) -> io::Result<ShardHandle> {
    let (commands, inbox) = mpsc::unbounded_channel();
    let (ready, started) = std::sync::mpsc::channel();
    let load = Arc::new(AtomicUsize::new(0));
    thread::Builder::new()
        .name(format!("shard-{index}"))
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default());
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let _ = ready.send(Ok(()));
            drop(ready);
            let drained = runtime.block_on(async {
                on_start(index);
                Rc::new(Shard::new(index, application, limits))
                    .run(inbox)
                    .await
            });
            let _ = ended.send(drained);
        })?;
    started
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("the shard's thread ended at once")))?;
    Ok(ShardHandle { commands, load })
}

/// What the connections of one core share.
pub(crate) struct Shard<A: Application> {
    index: usize,
    application: Arc<A>,
    limits: Limits,
    phase: Cell<Phase>,
    /// One waker per connection, to tell them of a change of phase. None of them polls anything shared for it.
    seats: RefCell<Slab<Option<Waker>>>,
    vacated: Notify,
    drained: Cell<Drained>,
}

impl<A: Application> Shard<A> {
    pub(crate) fn new(index: usize, application: Arc<A>, limits: Limits) -> Self {
        Self {
            index,
            application,
            limits,
            phase: Cell::new(Phase::Serving),
            seats: RefCell::new(Slab::new()),
            vacated: Notify::new(),
            drained: Cell::new(Drained::default()),
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn application(&self) -> &A {
        &self.application
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Resolves when the shard no longer just serves: for a connection with nothing to finish.
    pub(crate) async fn leaving(&self) -> EndReason {
        poll_fn(|_| match self.phase() {
            Phase::Serving => Poll::Pending,
            Phase::Draining => Poll::Ready(EndReason::Drained),
            Phase::Cut => Poll::Ready(EndReason::Cut),
        })
        .await
    }

    /// Serves what it is handed until a drain or cut is through.
    async fn run(self: Rc<Self>, mut inbox: mpsc::UnboundedReceiver<Command>) -> Drained {
        let mut open = true;
        let mut cut_at = None;
        while self.phase() == Phase::Serving || !self.seats.borrow().is_empty() {
            let deadline = cut_at.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                command = inbox.recv(), if open => match command {
                    Some(Command::Serve(accepted)) => self.admit(accepted),
                    Some(Command::Drain(at)) => {
                        cut_at = Some(cut_at.map_or(at, |earlier: Instant| earlier.min(at)));
                        self.enter(Phase::Draining);
                    }
                    Some(Command::Cut) => self.enter(Phase::Cut),
                    None => {
                        open = false;
                        self.enter(Phase::Cut);
                    }
                },
                () = self.vacated.notified() => {}
                () = sleep_until(deadline), if cut_at.is_some() && self.phase() < Phase::Cut => {
                    self.enter(Phase::Cut);
                }
            }
        }
        self.drained.get()
    }

    fn admit(self: &Rc<Self>, mut accepted: Accepted) {
        let seat = Seat {
            key: self.seats.borrow_mut().insert(None),
            _load: accepted.load.take(),
            shard: Rc::clone(self),
        };
        tokio::task::spawn_local(connection::live(seat, accepted));
    }

    fn enter(&self, phase: Phase) {
        if phase <= self.phase() {
            return;
        }
        self.phase.set(phase);
        for (_, waker) in self.seats.borrow().iter() {
            if let Some(waker) = waker {
                waker.wake_by_ref();
            }
        }
    }
}

/// A connection's place on its shard, from hand-over to the end of its task, however that comes.
pub(crate) struct Seat<A: Application> {
    shard: Rc<Shard<A>>,
    key: usize,
    _load: Option<Load>,
}

impl<A: Application> Seat<A> {
    pub(crate) fn shard(&self) -> &Rc<Shard<A>> {
        &self.shard
    }

    /// Has the current task woken at each change of phase. A task's waker stays the same for life: once is enough.
    pub(crate) async fn watch(&self) {
        poll_fn(|context| {
            self.shard.seats.borrow_mut()[self.key] = Some(context.waker().clone());
            Poll::Ready(())
        })
        .await;
    }

    /// Enters the connection's end into the account of the drain, if there is one.
    pub(crate) fn account(&self, reason: &EndReason) {
        if self.shard.phase() == Phase::Serving {
            return;
        }
        let mut drained = self.shard.drained.get();
        match reason {
            EndReason::Cut => drained.cut += 1,
            _ => drained.ended += 1,
        }
        self.shard.drained.set(drained);
    }
}

impl<A: Application> Drop for Seat<A> {
    fn drop(&mut self) {
        let mut seats = self.shard.seats.borrow_mut();
        seats.remove(self.key);
        if seats.is_empty() {
            self.shard.vacated.notify_one();
        }
    }
}
