//! The verifying client against small real servers whose faults are known: each is counted, exactly.

mod breaks;
mod chat;
mod command;
mod cost;
mod faults;
mod foreign;
mod hostile;
mod lab;
mod latency;
mod model;
mod protocols;
mod schema;
mod server;

use std::num::NonZeroU32;
use std::time::Duration;

use server::Served;
use wellspring_load::cut::Cuts;
use wellspring_load::report::Report;
use wellspring_load::run::{Plan, run};
use wellspring_load::subscriber::Reconnect;

/// A plan that does not wait longer than a local server needs: breaks last 5 ms, silence is believed after a second.
fn plan(served: &Served, subscribers: usize, events: u64) -> Plan {
    Plan {
        subscribers,
        events,
        seed: 1,
        reconnect: Reconnect {
            default: Duration::from_millis(5),
            forced: None,
            ..Reconnect::default()
        },
        settle: Duration::from_millis(200),
        patience: Duration::from_secs(1),
        ..Plan::new(served.target())
    }
}

fn times(times: u32) -> Cuts {
    Cuts::Times(NonZeroU32::new(times).unwrap())
}

async fn report(plan: &Plan) -> Report {
    run(plan)
        .await
        .unwrap_or_else(|error| panic!("the run could not be made: {error}"))
}
