//! Each fault of a server is counted exactly, for every subscriber.

use std::time::Duration;

use http::StatusCode;
use wellspring_load::account::Tally;
use wellspring_load::latency::Quantile;
use wellspring_load::publisher::PublishError;
use wellspring_load::run::{Plan, RunError, run};
use wellspring_load::subscriber::End;

use crate::server::{Fault, Served, Transport};
use crate::{plan, report, times};

const SUBSCRIBERS: usize = 8;
const EVENTS: u64 = 1_000;

/// Runs against a server with one fault and returns what every subscriber's books must then all say.
async fn tally_of(fault: Fault) -> Tally {
    let served = Served::start(Transport::Http1, fault).await;
    let report = report(&plan(&served, SUBSCRIBERS, EVENTS)).await;
    let tally = report.subscribers[0].tally.clone();
    for subscriber in &report.subscribers {
        assert_eq!(subscriber.tally, tally, "{report}");
    }
    assert_eq!(report.is_complete(), tally.is_complete());
    tally
}

fn faultless() -> Tally {
    Tally {
        expected: EVENTS,
        received: EVENTS,
        ..Tally::default()
    }
}

#[tokio::test]
async fn a_faultless_server_is_complete() {
    assert_eq!(tally_of(Fault::None).await, faultless());
}

#[tokio::test]
async fn every_hundredth_dropped() {
    let tally = tally_of(Fault::DropsEveryHundredth).await;
    assert_eq!(
        Tally {
            missing: Vec::new(),
            ..tally.clone()
        },
        Tally {
            received: 990,
            lost: 10,
            ..faultless()
        }
    );
    assert_eq!((tally.missing[0].start, tally.missing[0].end), (99, 100));
}

#[tokio::test]
async fn one_doubled() {
    assert_eq!(
        tally_of(Fault::Doubles(500)).await,
        Tally {
            duplicated: 1,
            ids_repeated: 1,
            ..faultless()
        }
    );
}

#[tokio::test]
async fn the_very_last_doubled_when_all_seemed_over() {
    let fault = Fault::DoublesLater(999, Duration::from_millis(100));
    let served = Served::start(Transport::Http1, fault).await;
    let settle = Duration::from_secs(1);
    let report = report(&Plan {
        settle,
        ..plan(&served, SUBSCRIBERS, EVENTS)
    })
    .await;
    let totals = report.totals().tally;
    assert_eq!((totals.duplicated, totals.ids_repeated), (8, 8), "{report}");
    assert_eq!((totals.lost, totals.out_of_order), (0, 0), "{report}");
}

#[tokio::test]
async fn two_exchanged() {
    assert_eq!(
        tally_of(Fault::Swaps(500)).await,
        Tally {
            out_of_order: 1,
            ..faultless()
        }
    );
}

#[tokio::test]
async fn one_under_the_id_of_another() {
    assert_eq!(
        tally_of(Fault::RepeatsId(500)).await,
        Tally {
            ids_repeated: 1,
            ..faultless()
        }
    );
}

#[tokio::test]
async fn all_without_ids() {
    assert_eq!(
        tally_of(Fault::NoIds).await,
        Tally {
            ids_missing: EVENTS,
            ..faultless()
        }
    );
}

#[tokio::test]
async fn one_lost_and_announced() {
    let tally = tally_of(Fault::Gap(500)).await;
    assert_eq!((tally.lost, tally.gaps, tally.received), (1, 1, 999));
}

#[tokio::test]
async fn a_lost_delivery_is_infinitely_late() {
    let served = Served::start(Transport::Http1, Fault::DropsEveryHundredth).await;
    let report = report(&plan(&served, 1, EVENTS)).await;
    assert_eq!(report.latency_at(1.0), Quantile::Lost);
    assert!(matches!(report.latency_at(0.5), Quantile::At(_)));
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert!(
        json["latency"]["max"].is_null() && json["latency"]["p50"].is_number(),
        "{json}"
    );
    assert_eq!(
        (json["complete"].as_bool(), json["totals"]["lost"].as_u64()),
        (Some(false), Some(10))
    );
}

#[tokio::test]
async fn a_resume_that_repeats_the_last_event_doubles_one_per_resume() {
    let served = Served::start(Transport::Http1, Fault::ResumesInclusively).await;
    let report = report(&Plan {
        cuts: times(5),
        ..plan(&served, SUBSCRIBERS, EVENTS)
    })
    .await;
    for subscriber in &report.subscribers {
        // A resume from position 0 has nothing before it to repeat.
        let from_zero = u64::from(subscriber.journey.resumes > subscriber.tally.duplicated);
        assert_eq!(
            subscriber.tally.duplicated + from_zero,
            subscriber.journey.resumes,
            "{report}"
        );
        assert_eq!(
            (subscriber.tally.lost, subscriber.journey.cuts),
            (0, 5),
            "{report}"
        );
        assert!(subscriber.tally.duplicated >= 4, "{report}");
    }
}

#[tokio::test]
async fn a_server_that_forgets_positions_loses() {
    let served = Served::start(Transport::Http1, Fault::ForgetsPosition).await;
    let report = report(&Plan {
        cuts: times(1),
        ..plan(&served, SUBSCRIBERS, EVENTS)
    })
    .await;
    assert!(
        report.totals().tally.lost > 0 && !report.is_complete(),
        "{report}"
    );
    assert_eq!(report.totals().tally.duplicated, 0, "{report}");
}

#[tokio::test]
async fn a_status_ends_a_subscriber_for_good() {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let served = Served::start(Transport::Http1, Fault::AnswersLater(100, status)).await;
    let report = report(&plan(&served, SUBSCRIBERS, EVENTS)).await;
    assert_eq!(report.totals().stopped_early, SUBSCRIBERS as u64);
    for subscriber in &report.subscribers {
        assert_eq!(
            (subscriber.tally.received, &subscriber.end),
            (100, &End::Refused(status))
        );
    }
    assert_eq!(
        served.seen().positions.len(),
        SUBSCRIBERS * 2,
        "nobody comes back after a refusal"
    );
}

#[tokio::test]
async fn no_content_is_obeyed() {
    let served = Served::start(
        Transport::Http1,
        Fault::AnswersLater(100, StatusCode::NO_CONTENT),
    )
    .await;
    let report = report(&plan(&served, 1, EVENTS)).await;
    assert_eq!(report.subscribers[0].end, End::NoContent);
    assert_eq!(served.seen().positions.len(), 2);
}

#[tokio::test]
async fn a_first_refusal_is_the_end_of_the_run() {
    let served = Served::start(Transport::Http1, Fault::Answers(StatusCode::UNAUTHORIZED)).await;
    let error = run(&plan(&served, SUBSCRIBERS, EVENTS)).await.unwrap_err();
    assert!(
        matches!(
            error,
            RunError::Refused {
                refused: SUBSCRIBERS,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("401"), "{error}");
}

#[tokio::test]
async fn what_is_no_event_stream_is_refused() {
    let served = Served::start(Transport::Http1, Fault::ContentType("text/html")).await;
    let error = run(&plan(&served, 1, EVENTS)).await.unwrap_err();
    assert!(error.to_string().contains("text/html"), "{error}");
}

#[tokio::test]
async fn a_charset_is_no_obstacle() {
    let served = Served::start(
        Transport::Http1,
        Fault::ContentType("Text/Event-Stream; charset=utf-8"),
    )
    .await;
    assert!(report(&plan(&served, 1, EVENTS)).await.is_complete());
}

#[tokio::test]
async fn a_silent_server_is_told_apart_from_a_refusing_one() {
    let served = Served::start(Transport::Http1, Fault::Silent).await;
    let plan = Plan {
        open_within: Duration::from_millis(200),
        ..plan(&served, 3, EVENTS)
    };
    let error = run(&plan).await.unwrap_err();
    assert!(
        matches!(
            error,
            RunError::Starved {
                open: 0,
                subscribers: 3,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_refused_publication_is_told_with_the_servers_words() {
    let served = Served::start(Transport::Http1, Fault::RefusesPublishing).await;
    let error = run(&plan(&served, 1, EVENTS)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("refused with 403 Forbidden: not on this topic"),
        "{error}"
    );
}

#[tokio::test]
async fn a_publication_that_is_not_taken_whole_is_noticed() {
    let served = Served::start(Transport::Http1, Fault::Miscounts).await;
    let error = run(&plan(&served, 1, EVENTS)).await.unwrap_err();
    assert!(
        matches!(
            error,
            RunError::Publish(PublishError::Short {
                published: 999,
                sent: 1_000,
                ..
            })
        ),
        "{error}"
    );
}
