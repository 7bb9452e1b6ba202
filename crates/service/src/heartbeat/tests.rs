use std::future::poll_fn;

use super::*;

const TEN: Duration = Duration::from_secs(10);
/// A timer fires at the next whole millisecond of its wheel.
const TICK: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_silence_is_seven_and_a_half_to_ten_seconds_long() {
    let mut heartbeat = Heartbeat::new(Some(TEN), None);
    let mut silences = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        assert_eq!(due(&mut heartbeat).await, Due::Beat);
        heartbeat.traffic();
        silences.push(begun.elapsed());
    }
    for silence in &silences {
        assert!(
            *silence >= TEN * 3 / 4 && *silence <= TEN + TICK,
            "{silence:?}"
        );
    }
    let spread = *silences.iter().max().unwrap() - *silences.iter().min().unwrap();
    assert!(
        spread > Duration::from_secs(1),
        "they beat together: {spread:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn traffic_puts_it_off() {
    let mut heartbeat = Heartbeat::new(Some(TEN), None);
    let mut last = Instant::now();
    for _ in 0..20 {
        let within = tokio::time::timeout(Duration::from_secs(7), due(&mut heartbeat)).await;
        assert!(within.is_err(), "beat {:?} after traffic", last.elapsed());
        heartbeat.traffic();
        last = Instant::now();
    }
    assert_eq!(due(&mut heartbeat).await, Due::Beat);
    let silence = last.elapsed();
    assert!(
        silence >= TEN * 3 / 4 && silence <= TEN + TICK,
        "{silence:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn age_ends_it_however_it_beats() {
    let age = Duration::from_secs(60);
    let begun = Instant::now();
    let mut heartbeat = Heartbeat::new(Some(TEN), Some(age));
    let mut beats = 0;
    while due(&mut heartbeat).await == Due::Beat {
        heartbeat.traffic();
        beats += 1;
    }
    assert!(begun.elapsed() >= age * 3 / 4 && begun.elapsed() <= age + TICK);
    assert!((4..=8).contains(&beats), "{beats}");
    heartbeat.traffic();
    assert!(heartbeat.is_overdue());
}

#[tokio::test(start_paused = true)]
async fn without_either_it_never_fires() {
    let mut heartbeat = Heartbeat::new(None, None);
    let never = tokio::time::timeout(Duration::from_secs(1_000_000), due(&mut heartbeat));
    assert!(never.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn no_duration_is_too_long_or_too_short() {
    let mut heartbeat = Heartbeat::new(Some(Duration::MAX), Some(Duration::MAX));
    let never = tokio::time::timeout(Duration::from_secs(1_000_000), due(&mut heartbeat));
    assert!(never.await.is_err());

    let mut heartbeat = Heartbeat::new(Some(Duration::ZERO), None);
    let begun = Instant::now();
    for _ in 0..10 {
        due(&mut heartbeat).await;
        heartbeat.traffic();
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(5),
        "a spinning stream"
    );
}

/// The same promises where a core's wheel keeps the time.
mod on_a_shard {
    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::shard::enter_shard;
    use crate::shard::tests::alone;

    #[test]
    fn a_silence_is_seven_and_a_half_to_ten_seconds_long() {
        on_a_shard(async {
            let mut heartbeat = Heartbeat::new(Some(TEN), None);
            assert!(matches!(heartbeat.timer, Timer::Core { .. }));
            for _ in 0..200 {
                let begun = Instant::now();
                assert_eq!(due(&mut heartbeat).await, Due::Beat);
                heartbeat.traffic();
                let silence = begun.elapsed();
                assert!(
                    silence >= TEN * 3 / 4 - EARLY && silence <= TEN + TICK,
                    "{silence:?}"
                );
            }
        });
    }

    #[test]
    fn traffic_puts_it_off() {
        on_a_shard(async {
            let mut heartbeat = Heartbeat::new(Some(TEN), None);
            for _ in 0..20 {
                let within =
                    tokio::time::timeout(Duration::from_secs(7), due(&mut heartbeat)).await;
                assert!(within.is_err(), "it beat within seven seconds of traffic");
                heartbeat.traffic();
            }
            let last = Instant::now();
            assert_eq!(due(&mut heartbeat).await, Due::Beat);
            let silence = last.elapsed();
            assert!(
                silence >= TEN * 3 / 4 - EARLY && silence <= TEN + TICK,
                "{silence:?}"
            );
        });
    }

    #[test]
    fn age_ends_it_however_it_beats() {
        on_a_shard(async {
            let age = Duration::from_secs(60);
            let begun = Instant::now();
            let mut heartbeat = Heartbeat::new(Some(TEN), Some(age));
            while due(&mut heartbeat).await == Due::Beat {
                heartbeat.traffic();
            }
            assert!(begun.elapsed() >= age * 3 / 4 && begun.elapsed() <= age + TICK);
        });
    }

    #[test]
    fn one_shorter_than_a_second_has_a_timer_of_its_own() {
        on_a_shard(async {
            let interval = Duration::from_millis(100);
            let mut heartbeat = Heartbeat::new(Some(interval), None);
            let begun = Instant::now();
            assert_eq!(due(&mut heartbeat).await, Due::Beat);
            assert!(
                begun.elapsed() >= interval * 3 / 4 - TICK && begun.elapsed() <= interval + TICK
            );
        });
    }

    /// A stream that outlives the runtime on which it was made beats on, and in time.
    #[test]
    fn it_survives_its_core() {
        let _alone = alone();
        let (here, there) = (paused(), paused());
        let mut heartbeat = here.block_on(async {
            enter_shard(0);
            let mut heartbeat = Heartbeat::new(Some(TEN), None);
            let within = tokio::time::timeout(Duration::from_secs(5), due(&mut heartbeat)).await;
            assert!(within.is_err());
            heartbeat
        });
        drop(here);
        there.block_on(async {
            let begun = Instant::now();
            assert_eq!(due(&mut heartbeat).await, Due::Beat);
            assert!(begun.elapsed() <= TEN + TICK, "{:?}", begun.elapsed());
        });
        // And where no wheel is left, the next stream does not wait for it.
        assert!(matches!(
            Heartbeat::new(Some(TEN), None).timer,
            Timer::Own(_)
        ));
    }

    fn on_a_shard(test: impl Future<Output = ()>) {
        let _alone = alone();
        paused().block_on(async {
            enter_shard(0);
            test.await;
        });
    }

    fn paused() -> Runtime {
        let mut runtime = Builder::new_current_thread();
        runtime.enable_all().start_paused(true).build().unwrap()
    }

    /// Traffic is noted with the time of the wheel's last turn.
    const EARLY: Duration = Duration::from_millis(Wheel::TICK + 1);
}

async fn due(heartbeat: &mut Heartbeat) -> Due {
    poll_fn(|cx| heartbeat.poll(cx)).await
}
