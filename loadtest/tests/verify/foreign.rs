//! Servers that somebody else publishes on, and servers that are published on in a way of their own.

use std::time::Duration;

use http::Method;
use tokio::sync::Notify;
use wellspring_load::publisher::{Mode, Publication};
use wellspring_load::report::Report;
use wellspring_load::run::{Moment, Plan, run_watched};

use crate::server::{Fault, Served, Transport};
use crate::{plan, report};

/// Listens with five subscribers while another run publishes 200 events, until `deliveries` have come.
async fn listened(fault: Fault, deliveries: u64) -> Report {
    let served = Served::start(Transport::Http1, fault).await;
    let publication = Publication {
        mode: Mode::Nothing,
        duration: Some(Duration::from_secs(60)),
        ..Publication::to(served.target())
    };
    let listening = Plan {
        publication,
        ..plan(&served, 5, 10_000)
    };
    let (enough, mut come) = (Notify::new(), 0);
    let count = |moment: &Moment| {
        come += moment.deliveries;
        if come >= deliveries {
            enough.notify_one();
        }
    };
    let (listened, ()) = tokio::join!(run_watched(&listening, enough.notified(), count), async {
        while served.seen().positions.len() < 5 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        report(&plan(&served, 1, 200)).await;
    });
    listened.unwrap()
}

#[tokio::test]
async fn who_only_listens_tells_events_apart_by_their_ids() {
    let report = listened(Fault::None, 1_000).await;
    assert!(report.is_complete() && report.listening, "{report}");
    assert_eq!(
        (report.events, report.totals().tally.received),
        (200, 1_000),
        "{report}"
    );
    assert_eq!(report.latency.count(), 1_000, "{report}");
    assert_eq!(report.distributions.spread.count(), 200, "{report}");
}

#[tokio::test]
async fn who_only_listens_sees_what_comes_twice() {
    let totals = listened(Fault::Doubles(7), 1_005).await.totals().tally;
    assert_eq!((totals.duplicated, totals.lost), (5, 0));
}

#[tokio::test]
async fn without_ids_only_the_gaps_between_events_are_measured() {
    let report = listened(Fault::NoIds, 1_000).await;
    assert_eq!(
        (report.events, report.totals().tally.foreign),
        (0, 1_000),
        "{report}"
    );
    assert_eq!(report.distributions.gap.count(), 995, "{report}");
    assert!(report.to_string().contains("without an id"), "{report}");
}

#[tokio::test]
async fn any_request_can_publish() {
    let served = Served::start(Transport::Http1, Fault::None).await;
    // The server takes lines of JSON with the data as a string in it, here with something around it.
    let template = "{\"room\":\"r\",\"data\":\"said: {data}\"}\n"
        .parse()
        .unwrap();
    let publication = Publication {
        mode: Mode::Templates(Method::POST, template),
        ..Publication::to(served.target())
    };
    let report = report(&Plan {
        publication,
        ..plan(&served, 3, 40)
    })
    .await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(
        (
            served.seen().publishing_requests,
            report.totals().tally.received
        ),
        (40, 120),
        "{report}"
    );
}
