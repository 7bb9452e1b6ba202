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

async fn due(heartbeat: &mut Heartbeat) -> Due {
    poll_fn(|cx| heartbeat.poll(cx)).await
}
