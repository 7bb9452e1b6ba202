//! What an event costs the generator, and what its self-check says.

use std::net::TcpListener;

use allocation_counter::measure;
use wellspring_load::calibrate::{Broadcaster, Calibration, Stamping};
use wellspring_load::publisher::{EventsPerSecond, Publication};
use wellspring_load::run::{Plan, run};
use wellspring_load::target::{Target, Trust};

const SUBSCRIBERS: usize = 4;

/// A broadcaster on a thread of its own.
fn start(stamping: Stamping) -> std::io::Result<Broadcaster> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || Broadcaster::serve(&listener, stamping).unwrap());
    Ok(Broadcaster {
        address,
        process: None,
    })
}

/// Allocations of a run of so many events, publisher included. The server is on another thread and is not counted.
fn allocations(events: u64) -> u64 {
    let broadcaster = start(Stamping::AsPublished).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let target = Target::parse(
        &format!("http://{}/", broadcaster.address),
        None,
        &Trust::Nobody,
    )
    .unwrap();
    let plan = Plan {
        subscribers: SUBSCRIBERS,
        events,
        publication: Publication::to(target.clone()),
        ..Plan::new(target)
    };
    let mut received = 0;
    let counted = measure(|| {
        let report = runtime.block_on(run(&plan)).unwrap();
        assert!(report.is_complete(), "{report}");
        received = report.totals().tally.received;
    });
    assert_eq!(received, events * SUBSCRIBERS as u64);
    counted.count_total
}

#[test]
fn an_event_costs_no_allocation() {
    let (few, many) = (allocations(1_000), allocations(11_000));
    let each = many.saturating_sub(few) as f64 / (10_000.0 * SUBSCRIBERS as f64);
    // The books grow by doubling, and the publisher sends a buffer per 16 KiB.
    assert!(
        each < 0.02,
        "{each} allocations per event received: {few} and {many} in all"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_self_check_sees_everything_and_its_error_is_below_the_latency() {
    let calibration = Calibration {
        subscribers: 100,
        rate: EventsPerSecond::new(50.0).unwrap(),
        duration: std::time::Duration::from_secs(1),
        size: 100,
    };
    let calibrated = calibration.measure(start).await.unwrap();
    assert!(calibrated.complete, "{calibrated}");
    assert!(
        calibrated.ceiling > calibrated.deliveries_per_second,
        "{calibrated}"
    );
    let (error, latency) = (
        calibrated.error.p50.unwrap(),
        calibrated.latency.p50.unwrap(),
    );
    // An event is seen after it was written, and it was written after it was due.
    assert!(error > 0.0 && error < latency, "{calibrated}");
}
