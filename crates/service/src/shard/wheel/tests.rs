use std::task::Wake;

use super::*;

/// The times at which timers fire, over tens of rounds: never early, a tick late at most.
#[tokio::test(start_paused = true)]
async fn each_timer_fires_within_a_tick_of_its_deadline() {
    let wheel = turning();
    let mut fired = Vec::new();
    for deadline in [1, 63, 64, 65, 1_000, 9_999, 16_000, 16_320, 250, 0] {
        let begun = wheel.now();
        let late = wait(&wheel, begun + deadline).await - (begun + deadline);
        // One more: the runtime's own timer is a millisecond coarse.
        assert!(late <= Wheel::TICK + 1, "{deadline} came {late} ms late");
        fired.push(late);
    }
    assert_eq!(fired.len(), 10);
}

/// Many at a time, half of them cancelled: exactly the others fire, in order of their deadlines.
#[tokio::test(start_paused = true)]
async fn a_cancelled_timer_is_out_and_its_neighbours_are_not() {
    let wheel = turning();
    let tasks: Vec<_> = (0..1_000).map(|_| Arc::new(Task::default())).collect();
    let set = |task: &Arc<Task>, deadline| {
        let waker = Waker::from(Arc::clone(task));
        wheel.set(deadline, &waker, None).expect("it turns")
    };
    let timers: Vec<_> = (0..)
        .zip(&tasks)
        .map(|(it, task)| set(task, 1_000 + it % 7 * 64))
        .collect();
    for timer in timers.iter().step_by(2) {
        wheel.cancel(*timer);
    }
    for (index, task) in tasks.iter().enumerate() {
        let held = Arc::strong_count(task) - 1;
        assert_eq!(
            held,
            index % 2,
            "the waker of one that is out keeps nothing"
        );
    }
    tokio::time::sleep(Duration::from_millis(990)).await;
    assert_eq!(woken(&tasks), 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (index, task) in tasks.iter().enumerate() {
        assert_eq!(task.woken(), index % 2);
    }
    // What has fired is out: to cancel it now takes out nobody else.
    let other = Arc::new(Task::default());
    let timer = set(&other, wheel.now() + 100);
    timers.iter().for_each(|timer| wheel.cancel(*timer));
    assert!(wheel.holds(timer));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(other.woken(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_far_off_wakes_early_and_is_set_again() {
    let wheel = turning();
    let hour = 60 * 60 * 1_000;
    let early = wait(&wheel, hour).await;
    let round = Wheel::TICK * u64::from(Wheel::SLOTS);
    assert!(
        (round - 2 * Wheel::TICK..=round).contains(&early),
        "{early}"
    );
    let mut now = early;
    while now < hour {
        now = wait(&wheel, hour).await;
    }
    assert!(now <= hour + Wheel::TICK + 1);
}

#[tokio::test(start_paused = true)]
async fn a_wheel_without_timers_stands_still() {
    let wheel = turning();
    wait(&wheel, 100).await;
    let turned = wheel.turned();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(wheel.turned(), turned);
    let begun = wheel.now();
    let fired = wait(&wheel, begun + 100).await;
    assert!((100..=100 + Wheel::TICK + 1).contains(&(fired - begun)));
}

#[tokio::test]
async fn a_wheel_that_stops_wakes_all_and_takes_no_more() {
    let wheel = Arc::new(Wheel::new());
    let turning = Turning::of(Arc::clone(&wheel));
    let task = Arc::new(Task::default());
    let waker = Waker::from(Arc::clone(&task));
    let timer = wheel.set(10_000, &waker, None).unwrap();
    drop(turning);
    assert_eq!(task.woken(), 1);
    assert!(!wheel.holds(timer) && wheel.has_stopped());
    assert!(wheel.set(10_000, &waker, Some(timer)).is_none());
    wheel.cancel(timer);
    drop(waker);
    assert_eq!(Arc::strong_count(&task), 1);
}

/// A wheel that this runtime turns.
fn turning() -> Arc<Wheel> {
    let wheel = Arc::new(Wheel::new());
    let mut turning = Turning::of(Arc::clone(&wheel));
    tokio::spawn(std::future::poll_fn(move |cx| {
        turning.poll(cx);
        std::task::Poll::<()>::Pending
    }));
    wheel
}

/// Waits for the timer to fire; says when it did.
async fn wait(wheel: &Wheel, deadline: u64) -> u64 {
    let mut timer = None;
    std::future::poll_fn(|cx| match timer {
        Some(timer) if !wheel.holds(timer) => std::task::Poll::Ready(()),
        Some(_) => std::task::Poll::Pending,
        None => {
            timer = wheel.set(deadline, cx.waker(), None);
            std::task::Poll::Pending
        }
    })
    .await;
    wheel.now()
}

fn woken(tasks: &[Arc<Task>]) -> usize {
    tasks.iter().map(|task| task.woken()).sum()
}

#[derive(Default)]
struct Task(std::sync::atomic::AtomicUsize);

impl Task {
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
