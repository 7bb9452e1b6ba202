//! Streams that break, from either side, and come back with nothing lost or doubled.

use std::time::{Duration, Instant};

use wellspring_load::publisher::{EventsPerSecond, Publication, Rate};
use wellspring_load::run::Plan;
use wellspring_load::subscriber::Reconnect;

use crate::server::{Fault, Served, Transport};
use crate::{plan, report, times};

const TRANSPORTS: [Transport; 4] = [
    Transport::Http1,
    Transport::Http1Tls,
    Transport::H2c,
    Transport::Http2,
];

fn at(rate: f64, served: &Served) -> Publication {
    let rate = Rate::PerSecond(EventsPerSecond::new(rate).unwrap());
    Publication {
        rate,
        ..Publication::to(served.target())
    }
}

#[tokio::test]
async fn a_body_without_its_end_is_a_break_and_is_resumed() {
    for transport in TRANSPORTS {
        let served = Served::start(transport, Fault::CutsAfter(50)).await;
        let report = report(&plan(&served, 4, 200)).await;
        assert!(report.is_complete(), "{transport:?}\n{report}");
        // hyper's server throws away what is not yet written when a body fails, so that a stream may end even earlier:
        // the server's own count is the measure.
        let (journey, broken) = (report.totals().journey, served.seen().broken);
        assert!(
            broken >= 12,
            "after 50, 100 and 150 events at the latest: {broken}"
        );
        assert_eq!(
            (journey.broken, journey.resumes),
            (broken, broken),
            "{transport:?}\n{report}"
        );
        assert_eq!(
            (journey.ended, journey.cuts),
            (0, 0),
            "{transport:?}\n{report}"
        );
    }
}

#[tokio::test]
async fn an_end_with_a_retry_line_is_obeyed_and_resumed() {
    let delay = Duration::from_millis(120);
    for transport in TRANSPORTS {
        let served = Served::start(transport, Fault::RetriesAfter(50, delay)).await;
        let default = Duration::from_secs(3_600);
        let plan = Plan {
            reconnect: Reconnect {
                default,
                forced: None,
                ..Reconnect::default()
            },
            ..plan(&served, 4, 200)
        };
        let started = Instant::now();
        let report = report(&plan).await;
        assert!(started.elapsed() >= delay * 3, "{:?}", started.elapsed());
        assert!(report.is_complete(), "{transport:?}\n{report}");
        assert_eq!(
            (
                report.totals().journey.ended,
                report.totals().journey.broken
            ),
            (12, 0),
            "{transport:?}\n{report}"
        );
    }
}

#[tokio::test]
async fn random_cuts_lose_nothing_on_any_transport() {
    for transport in TRANSPORTS {
        let served = Served::start(transport, Fault::None).await;
        let streams = if matches!(transport, Transport::H2c | Transport::Http2) {
            10
        } else {
            1
        };
        let plan = Plan {
            streams_per_connection: streams,
            cuts: times(6),
            publication: at(1_000.0, &served),
            ..plan(&served, 40, 500)
        };
        let report = report(&plan).await;
        assert!(report.is_complete(), "{transport:?}\n{report}");
        let journey = report.totals().journey;
        assert_eq!(journey.cuts, 240, "{transport:?}\n{report}");
        assert_eq!(
            journey.resumes,
            journey.cuts + journey.cut_along,
            "{transport:?}\n{report}"
        );
        assert_eq!(
            (journey.broken, journey.ended, journey.unanswered),
            (0, 0, 0),
            "{transport:?}\n{report}"
        );
        if streams > 1 {
            assert!(
                journey.cut_along > 0,
                "some cuts take the whole connection\n{report}"
            );
        }
    }
}

#[tokio::test]
async fn whoever_is_cut_before_the_first_event_goes_on_from_the_position_in_the_head() {
    let served = Served::start(Transport::Http1, Fault::None).await;
    // As many cuts as events: one falls before the first.
    let report = report(&Plan {
        cuts: times(20),
        ..plan(&served, 10, 20)
    })
    .await;
    assert!(report.is_complete(), "{report}");
    assert!(served.seen().positions.contains(&Some("e-0".to_owned())));
    assert_eq!(report.totals().journey.cuts, 200, "{report}");
}

#[tokio::test]
async fn without_a_position_nobody_is_cut() {
    let served = Served::start(Transport::Http1, Fault::NoIds).await;
    let report = report(&Plan {
        cuts: times(20),
        ..plan(&served, 4, 20)
    })
    .await;
    assert_eq!(
        (report.totals().journey.cuts, report.totals().tally.lost),
        (0, 0),
        "{report}"
    );
}

#[tokio::test]
async fn the_same_seed_makes_the_same_cuts() {
    let mut positions = Vec::new();
    for _ in 0..2 {
        let served = Served::start(Transport::Http1, Fault::None).await;
        let report = report(&Plan {
            cuts: times(5),
            ..plan(&served, 1, 300)
        })
        .await;
        assert!(report.is_complete(), "{report}");
        positions.push(served.seen().positions.clone());
    }
    assert_eq!(positions[0].len(), 6);
    assert_eq!(positions[0], positions[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_subscribers_open_fast_and_get_everything() {
    for (transport, streams) in [(Transport::Http1, 1), (Transport::Http2, 100)] {
        let served = Served::start(transport, Fault::None).await;
        let plan = Plan {
            streams_per_connection: streams,
            cuts: times(2),
            publication: at(100.0, &served),
            ..plan(&served, 1_000, 100)
        };
        let report = report(&plan).await;
        assert!(report.is_complete(), "{transport:?}\n{report}");
        assert_eq!(report.totals().tally.received, 100_000);
        assert_eq!(report.totals().journey.cuts, 2_000);
        assert!(report.opening < Duration::from_secs(10), "{report}");
    }
}
