//! Who of a connection has something to do: its streams, itself, its timer.
//!
//! Waking puts whom it wakes on the list, and wakes the connection's task if that sleeps: once for however many are
//! woken, and not at all while the connection's turn runs, which looks at the list before it ends. None is lost:
//! putting on the list and the turn's last look are done under one lock, so a wake-up comes either before the look,
//! which then finds it, or after it, when the task sleeps and is woken. A thousand idle streams are not on the list.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

/// A connection's list of who was woken.
pub(super) struct Ready(Mutex<List>);

/// Whom a turn finds woken, besides streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Woken {
    /// The protocol's engine: bytes came, or something is queued to be sent.
    pub(super) engine: bool,
    /// The timer of the pings.
    pub(super) timer: bool,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing is left to do.
    Idle,
    /// The socket takes no more: streams may wait in the list, and need not wake the task.
    Blocked,
}

struct List {
    woken: Woken,
    streams: Vec<u32>,
    /// By a stream's key: whether it is in `streams`.
    listed: Vec<bool>,
    sleep: Sleep,
    task: Waker,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sleep {
    /// The turn runs, or is about to.
    Awake,
    /// Any wake-up wakes the task.
    Light,
    /// Streams do not wake the task.
    Deep,
}

impl List {
    fn is_quiet(&self, rest: Rest) -> bool {
        self.woken == Woken::default() && (rest == Rest::Blocked || self.streams.is_empty())
    }
}

impl Ready {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(List {
            woken: Woken {
                engine: true,
                timer: true,
            },
            streams: Vec::new(),
            listed: Vec::new(),
            sleep: Sleep::Awake,
            task: Waker::noop().clone(),
        })))
    }

    /// The waker of the engine.
    pub(super) fn engine(self: &Arc<Self>) -> Waker {
        self.waker(Who::Engine)
    }

    /// The waker of the timer.
    pub(super) fn timer(self: &Arc<Self>) -> Waker {
        self.waker(Who::Timer)
    }

    /// The waker of a new stream, which is woken at once. A key may be used again when its stream is gone; who still
    /// holds the old waker then wakes the new stream for nothing.
    pub(super) fn stream(self: &Arc<Self>, key: u32) -> Waker {
        let index = key as usize;
        let mut list = self.list();
        if list.listed.len() <= index {
            list.listed.resize(index + 1, false);
            // Room for all of them: waking never allocates.
            let room = list.listed.len() - list.streams.len();
            list.streams.reserve(room);
        }
        drop(list);
        let waker = self.waker(Who::Stream(key));
        waker.wake_by_ref();
        waker
    }

    /// A turn begins in this task.
    pub(super) fn begin(&self, task: &Waker) {
        let mut list = self.list();
        list.sleep = Sleep::Awake;
        list.task.clone_from(task);
    }

    /// Takes who was woken since the last time. The streams line up when the line is empty: so none is in it twice.
    pub(super) fn take(&self, line: &mut VecDeque<u32>) -> Woken {
        let list = &mut *self.list();
        if line.is_empty() {
            for key in list.streams.drain(..) {
                list.listed[key as usize] = false;
                line.push_back(key);
            }
        }
        mem::take(&mut list.woken)
    }

    /// Whether nobody is woken whom a turn would still serve.
    pub(super) fn is_quiet(&self, rest: Rest) -> bool {
        self.list().is_quiet(rest)
    }

    /// The turn ends, unless somebody was woken meanwhile who is worth another round: then it is false.
    pub(super) fn end(&self, rest: Rest) -> bool {
        let mut list = self.list();
        let ends = list.is_quiet(rest);
        if ends {
            list.sleep = match rest {
                Rest::Idle => Sleep::Light,
                Rest::Blocked => Sleep::Deep,
            };
        }
        ends
    }

    fn waker(self: &Arc<Self>, who: Who) -> Waker {
        Waker::from(Arc::new(Sleeper {
            who,
            ready: Arc::clone(self),
        }))
    }

    fn wake(&self, who: Who) {
        let mut list = self.list();
        let wakes = match who {
            Who::Stream(key) => {
                if mem::replace(&mut list.listed[key as usize], true) {
                    return;
                }
                list.streams.push(key);
                list.sleep == Sleep::Light
            }
            Who::Engine => {
                list.woken.engine = true;
                list.sleep != Sleep::Awake
            }
            Who::Timer => {
                list.woken.timer = true;
                list.sleep != Sleep::Awake
            }
        };
        if wakes {
            list.sleep = Sleep::Awake;
            let task = list.task.clone();
            drop(list);
            task.wake();
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        // Nothing in here panics half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy)]
enum Who {
    Engine,
    Timer,
    Stream(u32),
}

/// What a waker of the connection holds.
struct Sleeper {
    who: Who,
    ready: Arc<Ready>,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.ready.wake(self.who);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ready.wake(self.who);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn turn(ready: &Ready, task: &Arc<Task>) -> (VecDeque<u32>, Woken) {
        let mut line = VecDeque::new();
        ready.begin(&Waker::from(Arc::clone(task)));
        let woken = ready.take(&mut line);
        (line, woken)
    }

    #[test]
    fn a_hundred_wake_ups_wake_the_task_once() {
        let (ready, task) = (Ready::new(), Arc::new(Task::default()));
        let streams: Vec<_> = (0..100).map(|key| ready.stream(key)).collect();
        let (line, _) = turn(&ready, &task);
        assert_eq!(line.len(), 100, "a new stream is woken at once");
        assert!(ready.end(Rest::Idle));
        for stream in &streams {
            stream.wake_by_ref();
            stream.wake_by_ref();
        }
        assert_eq!(task.0.load(Relaxed), 1);
        let (line, woken) = turn(&ready, &task);
        assert!(line.into_iter().eq(0..100), "in order, each once");
        assert_eq!(woken, Woken::default());
    }

    #[test]
    fn who_is_woken_during_a_turn_is_seen_before_it_ends() {
        let (ready, task) = (Ready::new(), Arc::new(Task::default()));
        let stream = ready.stream(0);
        turn(&ready, &task);
        stream.wake_by_ref();
        ready.engine().wake();
        assert!(!ready.end(Rest::Idle));
        let mut line = VecDeque::new();
        let woken = ready.take(&mut line);
        assert_eq!(line, [0]);
        assert!(woken.engine && !woken.timer);
        assert!(ready.end(Rest::Idle));
        assert_eq!(task.0.load(Relaxed), 0, "nobody slept");
    }

    #[test]
    fn behind_a_blocked_socket_streams_wait_and_the_engine_is_heard() {
        let (ready, task) = (Ready::new(), Arc::new(Task::default()));
        let stream = ready.stream(0);
        turn(&ready, &task);
        assert!(ready.end(Rest::Blocked));
        stream.wake_by_ref();
        assert_eq!(task.0.load(Relaxed), 0);
        ready.engine().wake();
        assert_eq!(task.0.load(Relaxed), 1);
        assert_eq!(turn(&ready, &task).0, [0]);
    }

    #[test]
    fn a_line_that_is_not_through_is_not_added_to() {
        let (ready, task) = (Ready::new(), Arc::new(Task::default()));
        let stream = ready.stream(0);
        ready.stream(1);
        let (mut line, _) = turn(&ready, &task);
        stream.wake();
        ready.take(&mut line);
        assert_eq!(line, [0, 1], "0 would be there twice");
        assert!(!ready.end(Rest::Idle));
    }
}
