//! The latency that is reported, against what the server measured by itself.

use std::time::Duration;

use wellspring_load::latency::Quantile;
use wellspring_load::publisher::{EventsPerSecond, Publication, Rate};
use wellspring_load::report::Report;
use wellspring_load::run::Plan;

use crate::server::{Fault, Served, Transport};
use crate::{plan, report};

/// What a busy machine may add between the server's stamp and the generator's. The holds are far apart from each other
/// and from this.
const SLACK: Duration = Duration::from_millis(80);

fn at(report: &Report, quantile: f64) -> Duration {
    match report.latency_at(quantile) {
        Quantile::At(latency) => latency,
        other => panic!("{other:?}\n{report}"),
    }
}

async fn held(
    hold: fn(usize) -> Duration,
    subscribers: usize,
    events: u64,
) -> (Report, Vec<Duration>) {
    let served = Served::start(Transport::Http1, Fault::Holds(hold)).await;
    let rate = Rate::PerSecond(EventsPerSecond::new(20.0).unwrap());
    let publication = Publication {
        rate,
        ..Publication::to(served.target())
    };
    let plan = Plan {
        publication,
        patience: Duration::from_secs(5),
        ..plan(&served, subscribers, events)
    };
    let report = report(&plan).await;
    let mut held = served.seen().held.clone();
    held.sort_unstable();
    (report, held)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latency_is_the_one_that_the_server_measured() {
    // A machine that stalls between the two stamps makes the generator's later; not three times in a row.
    let mut late = Vec::new();
    for _ in 0..3 {
        late = lateness().await;
        if late.iter().all(|(_, late)| *late < SLACK) {
            return;
        }
    }
    panic!("reported later than measured by the server, at these quantiles: {late:?}");
}

/// How much later than the server's own figure the one reported is, at some quantiles. Never is it earlier.
async fn lateness() -> Vec<(f64, Duration)> {
    // Rising holds: events stay in order, and the distribution is wide.
    let (report, held) = held(
        |event| Duration::from_millis(100 + 10 * event as u64),
        5,
        60,
    )
    .await;
    assert!(report.is_complete(), "{report}");
    assert_eq!((held.len(), report.latency.count()), (300, 300), "{report}");
    let late = |quantile: f64| {
        let rank = (quantile * held.len() as f64).ceil() as usize;
        let (own, reported) = (held[rank - 1], at(&report, quantile));
        // Three digits of the histogram are 0.1 %.
        assert!(
            reported >= own.mul_f64(0.998),
            "{quantile}: {reported:?} reported, {own:?} by the server"
        );
        (quantile, reported.saturating_sub(own))
    };
    [0.1, 0.5, 0.9, 1.0].map(late).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_delayed_is_seen_as_one_delayed() {
    const DELAY: Duration = Duration::from_secs(1);
    // The last one: in a stream, what follows a late event is late too.
    let (report, held) = held(
        |event| if event == 49 { DELAY } else { Duration::ZERO },
        4,
        50,
    )
    .await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(held.iter().filter(|&&held| held >= DELAY).count(), 4);
    // 4 of 200 deliveries: those above the share of 0.98.
    assert!(at(&report, 0.98) < DELAY, "{report}");
    assert!(at(&report, 0.981) >= DELAY.mul_f64(0.999), "{report}");
    assert!(at(&report, 1.0) < DELAY * 2, "{report}");
}
