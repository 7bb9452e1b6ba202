//! A thousand subscribers, a thousand events, random cuts: nothing lost, nothing doubled, all in order.

use std::num::NonZeroU32;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::Mutex;
use wellspring_load::cut::Cuts;
use wellspring_load::publisher::{EventsPerSecond, Publication, Rate};
use wellspring_load::run::{Plan, run};
use wellspring_load::subscriber::Reconnect;
use wellspring_load::target::{Protocol, Target, Trust};

use crate::program::Program;

const SUBSCRIBERS: usize = 1_000;
const EVENTS: u64 = 1_000;
const CUTS: u32 = 4;

/// Events per second: slow enough for two cores and a debug build, so that most deliveries are live ones.
const RATE: f64 = 50.0;

/// One crowd at a time: three of them would only measure how busy the machine is.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_gets_every_event_over_http_1() {
    let program = Program::start(&[]);
    let url = format!("{}/topics/crowd", program.http());
    let target = Target::parse(&url, Some(Protocol::Http1), &Trust::Nobody).unwrap();
    all_get_all(target, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_gets_every_event_over_http_1_and_tls() {
    let program = Program::start(&[]);
    let url = format!("{}/topics/crowd", program.https());
    let trust = Trust::Authorities(program.authority());
    let target = Target::parse(&url, Some(Protocol::Http1), &trust).unwrap();
    all_get_all(target, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_gets_every_event_over_http_2() {
    let program = Program::start(&[]);
    let url = format!("{}/topics/crowd", program.https());
    let trust = Trust::Authorities(program.authority());
    let target = Target::parse(&url, Some(Protocol::Http2), &trust).unwrap();
    all_get_all(target, 100).await;
}

async fn all_get_all(target: Target, streams_per_connection: usize) {
    let _turn = TURN.lock().await;
    allow_files(3_000);
    let publication = Publication {
        rate: Rate::PerSecond(EventsPerSecond::new(RATE).unwrap()),
        ..Publication::to(target.clone())
    };
    let plan = Plan {
        subscribers: SUBSCRIBERS,
        streams_per_connection,
        events: EVENTS,
        publication,
        cuts: Cuts::Times(NonZeroU32::new(CUTS).unwrap()),
        reconnect: Reconnect {
            forced: Some(Duration::from_millis(5)),
            ..Reconnect::default()
        },
        ..Plan::new(target)
    };
    let report = run(&plan).await.unwrap();
    assert!(report.is_complete(), "{report}");
    let totals = report.totals();
    assert_eq!(
        totals.tally.received,
        SUBSCRIBERS as u64 * EVENTS,
        "{report}"
    );
    assert_eq!(totals.stopped_early, 0, "{report}");
    let journey = totals.journey;
    assert_eq!(
        journey.cuts,
        SUBSCRIBERS as u64 * u64::from(CUTS),
        "{report}"
    );
    // One more resume than cuts is one that was itself cut along with its connection before it was answered.
    assert!(journey.resumes >= journey.cuts, "{report}");
    assert_eq!((journey.broken, journey.ended), (0, 0), "{report}");
}

/// The usual limit is 1,024, and a process may raise it as far as the hard one.
fn allow_files(count: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < count) {
        limit.current = Some(limit.maximum.map_or(count, |maximum| maximum.min(count)));
        setrlimit(Resource::Nofile, limit).unwrap();
    }
}
