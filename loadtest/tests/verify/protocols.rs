//! Which protocol is spoken, over how many connections, and whose certificates are believed.

use std::time::Duration;

use wellspring_load::latency::Quantile;
use wellspring_load::publisher::{EventsPerSecond, Mode, Publication, Rate};
use wellspring_load::run::{Plan, RunError, run};
use wellspring_load::target::{Protocol, Target, Trust};

use crate::server::{Fault, Served, Transport};
use crate::{plan, report};

#[tokio::test]
async fn http2_streams_share_connections() {
    let served = Served::start(Transport::Http2, Fault::None).await;
    let report = report(&Plan {
        streams_per_connection: 10,
        ..plan(&served, 25, 100)
    })
    .await;
    assert!(report.is_complete(), "{report}");
    // Three for the subscribers and one for the publisher.
    assert_eq!((report.connections, served.seen().connections), (3, 4));
}

#[tokio::test]
async fn http1_streams_have_connections_of_their_own() {
    let served = Served::start(Transport::Http1, Fault::None).await;
    assert!(report(&plan(&served, 25, 100)).await.is_complete());
    assert_eq!(served.seen().connections, 26);
}

#[tokio::test]
async fn http1_refuses_several_streams_on_a_connection() {
    let served = Served::start(Transport::Http1, Fault::None).await;
    let error = run(&Plan {
        streams_per_connection: 2,
        ..plan(&served, 4, 1)
    })
    .await
    .unwrap_err();
    assert!(matches!(error, RunError::Plan(_)), "{error}");
}

#[tokio::test]
async fn anybody_is_believed_only_when_told_to() {
    let served = Served::start(Transport::Http2, Fault::None).await;
    let insecure = Target::parse(&served.url(), None, &Trust::Anybody).unwrap();
    assert!(
        report(&Plan {
            settle: Duration::from_millis(50),
            ..Plan::new(insecure)
        })
        .await
        .is_complete()
    );

    let other = Served::start(Transport::Http2, Fault::None).await;
    let stranger = Target::parse(&served.url(), None, &other.trust()).unwrap();
    let error = run(&Plan::new(stranger)).await.unwrap_err().to_string();
    assert!(
        error.contains("TLS") && error.contains("--cacert"),
        "{error}"
    );
}

#[tokio::test]
async fn a_protocol_that_the_server_does_not_speak_is_named() {
    let served = Served::start(Transport::Http1Tls, Fault::None).await;
    let target = Target::parse(&served.url(), Some(Protocol::Http2), &served.trust()).unwrap();
    let error = run(&Plan::new(target)).await.unwrap_err().to_string();
    assert!(
        error.contains("does not speak HTTP/2") && error.contains("--http1.1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_closed_port_is_one_clear_line() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let target = Target::parse(&format!("http://{free}/topics/t"), None, &Trust::Nobody).unwrap();
    let error = run(&Plan {
        subscribers: 3,
        ..Plan::new(target)
    })
    .await
    .unwrap_err()
    .to_string();
    assert!(
        error.starts_with("3 of 3 streams were not opened"),
        "{error}"
    );
    assert!(
        error.contains(&free.to_string()) && error.contains("is the server running"),
        "{error}"
    );
    assert!(!error.contains('\n'), "{error}");
}

#[tokio::test]
async fn one_post_per_event_keeps_the_order() {
    for transport in [Transport::Http1, Transport::Http2] {
        let served = Served::start(transport, Fault::None).await;
        let publication = Publication {
            mode: Mode::Each,
            ..Publication::to(served.target())
        };
        let report = report(&Plan {
            publication,
            ..plan(&served, 4, 50)
        })
        .await;
        assert!(report.is_complete(), "{report}");
        assert_eq!(
            (served.seen().publishing_requests, report.published.events),
            (50, 50)
        );
    }
}

#[tokio::test]
async fn a_rate_spreads_events_and_latency_is_counted_from_their_due_times() {
    let served = Served::start(Transport::Http1, Fault::None).await;
    let rate = Rate::PerSecond(EventsPerSecond::new(200.0).unwrap());
    let publication = Publication {
        rate,
        ..Publication::to(served.target())
    };
    let report = report(&Plan {
        publication,
        ..plan(&served, 4, 101)
    })
    .await;
    assert!(report.is_complete(), "{report}");
    assert!(
        report.published.took >= Duration::from_millis(500),
        "{report}"
    );
    assert_eq!(report.latency.count(), 404);
    let Quantile::At(median) = report.latency_at(0.5) else {
        panic!("{report}")
    };
    assert!(median < Duration::from_secs(1), "{report}");
}
