//! The lab's browser model in front of the program: what lives, what waits, and for what.

use std::time::Duration;

use wellspring_load::lab::{Profile, Setup, Site, Transport, Trial, Wait, trial};
use wellspring_load::target::Trust;

use crate::program::Program;

/// Far longer than anything takes that is not waiting.
const FOR_EVER: Duration = Duration::from_millis(1_500);

/// The program as the model finds it: under the name that shards are under.
pub(crate) fn site(program: &Program) -> Site {
    let named = |url: &str| Some(url.replace("127.0.0.1", "localhost"));
    Site {
        plain: named(program.http()),
        secure: named(program.https()),
        trust: Trust::Authorities(program.authority()),
        process: Some(program.id()),
        is_named: false,
    }
}

pub(crate) async fn tried(program: &Program, setup: Setup) -> Trial {
    let setup = Setup {
        patience: FOR_EVER,
        ..setup
    };
    trial(&site(program), &setup).await.unwrap()
}

fn answered(wait: Wait) -> bool {
    matches!(wait, Wait::Answered(after) if after < FOR_EVER)
}

const SIX_CONNECTIONS: [Transport; 2] = [Transport::Http1, Transport::Http1Tls];
const ONE_CONNECTION: [Transport; 2] = [Transport::Http2Tls, Transport::Http2];

#[tokio::test]
async fn five_tabs_leave_a_connection_for_a_fetch() {
    let program = Program::start(&[]);
    for transport in SIX_CONNECTIONS {
        let trial = tried(&program, Setup::new(transport, 5)).await;
        assert_eq!((trial.live, trial.waiting), (5, 0), "{trial:?}");
        assert_eq!(trial.sockets, 6, "{trial:?}");
        assert_eq!(trial.handshakes, if transport.is_secure() { 6 } else { 0 });
        assert!(answered(trial.fetch), "{trial:?}");
        assert_eq!((trial.delivered, trial.latency.count()), (100, 100));
    }
}

#[tokio::test]
async fn behind_six_tabs_a_fetch_waits_until_one_closes() {
    let program = Program::start(&[]);
    for transport in SIX_CONNECTIONS {
        let trial = tried(&program, Setup::new(transport, 6)).await;
        assert_eq!((trial.live, trial.waiting, trial.sockets), (6, 0, 6));
        assert_eq!(trial.fetch, Wait::ForEver, "{trial:?}");
        let after = trial.after_close.unwrap();
        assert!(
            after.next_tab.is_none() && answered(after.fetch),
            "{after:?}"
        );
    }
}

#[tokio::test]
async fn a_seventh_tab_takes_the_place_of_one_that_closes_before_the_fetch_does() {
    let program = Program::start(&[]);
    for transport in SIX_CONNECTIONS {
        let trial = tried(&program, Setup::new(transport, 8)).await;
        assert_eq!((trial.live, trial.waiting, trial.sockets), (6, 2, 6));
        let after = trial.after_close.unwrap();
        assert!(after.next_tab.is_some_and(answered), "{after:?}");
        assert_eq!(after.fetch, Wait::ForEver);
    }
}

#[tokio::test]
async fn on_one_connection_all_tabs_live_and_a_fetch_goes_through() {
    let program = Program::start(&[]);
    for transport in ONE_CONNECTION {
        let trial = tried(&program, Setup::new(transport, 12)).await;
        assert_eq!((trial.live, trial.waiting, trial.sockets), (12, 0, 1));
        assert!(answered(trial.fetch) && trial.after_close.is_none());
    }
}

#[tokio::test]
async fn one_connection_has_as_many_streams_as_the_server_says() {
    let program = Program::start(&["--streams", "8"]);
    for transport in ONE_CONNECTION {
        let trial = tried(&program, Setup::new(transport, 10)).await;
        assert_eq!((trial.live, trial.waiting, trial.sockets), (8, 2, 1));
        assert_eq!(trial.fetch, Wait::ForEver, "{trial:?}");
        assert!(trial.after_close.unwrap().next_tab.is_some_and(answered));
    }
}

#[tokio::test]
async fn chromium_takes_no_more_than_256_streams_and_firefox_does() {
    let program = Program::start(&["--streams", "400"]);
    for (profile, live) in [(Profile::CHROMIUM, 256), (Profile::FIREFOX, 260)] {
        let setup = Setup {
            profile,
            events: 1,
            ..Setup::new(Transport::Http2Tls, 260)
        };
        let trial = tried(&program, setup).await;
        assert_eq!((trial.live, trial.waiting), (live, 260 - live));
    }
}

#[tokio::test]
async fn every_further_host_name_has_six_connections_of_its_own() {
    let program = Program::start(&[]);
    let setup = Setup {
        shards: 2,
        ..Setup::new(Transport::Http1, 13)
    };
    let trial = tried(&program, setup).await;
    assert_eq!((trial.live, trial.waiting), (12, 1), "{trial:?}");
    // Six for each name, and the page's own.
    assert_eq!(trial.sockets, 13);
    assert!(answered(trial.fetch), "{trial:?}");
}

#[tokio::test]
async fn every_user_has_a_browser_of_their_own_and_the_server_pays_for_each() {
    let program = Program::start(&[]);
    let setup = Setup {
        users: 20,
        ..Setup::new(Transport::Http2Tls, 6)
    };
    let trial = tried(&program, setup).await;
    assert_eq!((trial.live, trial.sockets, trial.handshakes), (120, 20, 20));
    assert_eq!(trial.delivered, 120 * 20);
    let cost = trial.cost.unwrap();
    assert!(cost.memory_per_tab > 0.0, "{cost:?}");
    assert!(
        cost.opening_per_tab > 0.0 && cost.per_event > 0.0,
        "{cost:?}"
    );
}
