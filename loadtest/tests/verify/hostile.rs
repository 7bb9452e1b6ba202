//! Clients that misbehave, storms, and servers that turn subscribers away.

use std::num::NonZeroU32;
use std::time::Duration;

use wellspring_load::hostile::{Conduct, Hostiles, Misconduct};
use wellspring_load::publisher::{EventsPerSecond, Publication, Rate};
use wellspring_load::run::{Plan, Storm};
use wellspring_load::subscriber::Reconnect;

use crate::server::{Fault, Served, Transport};
use crate::{plan, report};

const TRANSPORTS: [Transport; 4] = [
    Transport::Http1,
    Transport::Http1Tls,
    Transport::H2c,
    Transport::Http2,
];

fn slowly(served: &Served, rate: f64) -> Publication {
    let rate = Rate::PerSecond(EventsPerSecond::new(rate).unwrap());
    Publication {
        rate,
        ..Publication::to(served.target())
    }
}

fn of(misconduct: &[Misconduct], conduct: Conduct) -> &Misconduct {
    misconduct
        .iter()
        .find(|group| group.conduct == conduct)
        .unwrap()
}

#[tokio::test]
async fn who_misbehaves_is_counted_apart_and_takes_nothing_from_the_others() {
    let rate = NonZeroU32::new(2_000).unwrap();
    for transport in TRANSPORTS {
        let served = Served::start(transport, Fault::None).await;
        let plan = Plan {
            hostiles: Hostiles {
                slow: Some((2, rate)),
                never: 3,
                half_open: 2,
            },
            publication: slowly(&served, 400.0),
            ..plan(&served, 4, 400)
        };
        let report = report(&plan).await;
        assert!(report.is_complete(), "{transport:?}\n{report}");
        assert_eq!(
            report.totals().tally.received,
            1_600,
            "{transport:?}\n{report}"
        );
        let slow = of(&report.misconduct, Conduct::Slow(rate));
        assert_eq!(
            (slow.clients, slow.opened, slow.ended_by_server),
            (2, 2, 0),
            "{transport:?}\n{report}"
        );
        // Each takes what its rate allows while the run lasts, and a piece of up to the room of 4 KiB beyond.
        let allowed = 2.0 * (2_000.0 * report.took.as_secs_f64() + 4_096.0);
        assert!(
            (1..=allowed as u64).contains(&slow.taken),
            "{transport:?}\n{report}"
        );
        for (conduct, clients) in [(Conduct::Never, 3), (Conduct::HalfOpen, 2)] {
            let group = of(&report.misconduct, conduct);
            assert_eq!(
                (group.clients, group.opened, group.taken),
                (clients, clients, 0),
                "{transport:?}\n{report}"
            );
            assert_eq!(group.ended_by_server, 0, "{transport:?}\n{report}");
        }
    }
}

#[tokio::test]
async fn whom_the_server_ends_is_counted() {
    let served = Served::start(
        Transport::Http1,
        Fault::RetriesAfter(20, Duration::from_millis(5)),
    )
    .await;
    let rate = NonZeroU32::new(1_000_000).unwrap();
    let plan = Plan {
        hostiles: Hostiles {
            slow: Some((3, rate)),
            never: 2,
            half_open: 0,
        },
        ..plan(&served, 2, 100)
    };
    let report = report(&plan).await;
    assert!(report.is_complete(), "{report}");
    for group in &report.misconduct {
        assert_eq!(group.ended_by_server, group.clients, "{report}");
    }
    assert!(
        report
            .to_string()
            .contains("3 readers of 1000000 bytes/s: 3 opened, 3 ended by the server"),
        "{report}"
    );
}

#[tokio::test]
async fn a_storm_is_survived_and_timed() {
    for (transport, streams) in [(Transport::Http1, 1), (Transport::Http2, 10)] {
        let served = Served::start(transport, Fault::None).await;
        let delay = Duration::from_millis(200);
        let plan = Plan {
            streams_per_connection: streams,
            storm: Some(Storm {
                after: Duration::from_millis(300),
                watched: Duration::from_secs(20),
            }),
            reconnect: Reconnect {
                forced: Some(delay),
                jitter: Duration::from_millis(200),
                ..Reconnect::default()
            },
            publication: slowly(&served, 100.0),
            ..plan(&served, 40, 200)
        };
        let report = report(&plan).await;
        assert!(report.is_complete(), "{transport:?}\n{report}");
        let journey = report.totals().journey;
        assert_eq!(
            (journey.cut_along, journey.resumes, journey.cuts),
            (40, 40, 0),
            "{transport:?}\n{report}"
        );
        assert_eq!(
            (journey.resumes_tried, journey.resumes_with_gap),
            (40, 0),
            "{transport:?}\n{report}"
        );
        let recovery = report.recovery.as_ref().unwrap();
        assert_eq!(
            (recovery.cut, recovery.back),
            (40, 40),
            "{transport:?}\n{report}"
        );
        let (half, all) = (recovery.back_50.unwrap(), recovery.back_100.unwrap());
        // Nobody is back before the delay, and with jitter not all are back at once.
        assert!(
            half >= 0.2 && all >= half && recovery.peak_per_second > 0.0,
            "{transport:?}\n{report}"
        );
    }
}

#[tokio::test]
async fn who_is_turned_away_with_a_retry_is_shed() {
    let served = Served::start(
        Transport::Http1,
        Fault::RetriesAfter(0, Duration::from_millis(100)),
    )
    .await;
    let plan = Plan {
        patience: Duration::from_millis(300),
        deadline: Duration::from_secs(1),
        ..plan(&served, 2, 10)
    };
    let report = report(&plan).await;
    let totals = report.totals();
    assert!(
        totals.journey.shed > 0 && totals.journey.ended == 0,
        "{report}"
    );
    assert_eq!(
        (totals.tally.lost, report.is_complete()),
        (20, false),
        "{report}"
    );
}
