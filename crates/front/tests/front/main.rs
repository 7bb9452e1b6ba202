//! The front end as its peers and its application see it: real sockets, real clients.

mod application;
mod backpressure;
mod browser;
mod certificates;
mod deadlines;
mod drain;
mod faults;
mod http2;
mod lean;
mod protocols;
mod spread;

use std::{future::Future, time::Duration};

/// How long a test waits for what must happen; what must not happen, none waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that must happen.
async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// Waits until something is so, looking often.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
