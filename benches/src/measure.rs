//! One run: one case on one server, from its start to its end.

use std::collections::BTreeMap;
use std::io;

use thiserror::Error;

use crate::account::{busy, cpu_time, settled_resident};
use crate::case::{Case, Measure, Work};
use crate::client::{Receipt, Target};
use crate::driver::{Driver, DriverError};
use crate::publisher::Publisher;
use crate::server::{Kit, PATH, Peer, Server};

/// How many connections are opened at a time, where their opening is not what is measured: no server's backlog is
/// as short.
const AT_ONCE: usize = 128;

/// Connections that are there before memory is looked at for the first time, so that what a server takes once
/// (code that is paged in, tables that grow) is not taken for what each subscriber costs.
const FIRST: usize = 100;

/// What one run came to.
pub type Figures = BTreeMap<Measure, f64>;

/// Why a run is worth nothing.
#[derive(Debug, Error)]
pub enum MeasureError {
    /// The server cannot be started, published to, or asked what it used.
    #[error("{0}")]
    Server(#[from] io::Error),
    /// A subscriber did not get what it should.
    #[error("{0}")]
    Client(#[from] DriverError),
}

/// Runs `case` on `peer` for `seconds` of load, or with as many single events.
///
/// # Errors
///
/// When anything goes wrong; an event lost or doubled is wrong enough.
pub fn measure(kit: &Kit, case: &Case, peer: Peer, seconds: u32) -> Result<Figures, MeasureError> {
    let server = kit.start(peer, &[])?;
    let mut driver = Driver::start(&target(kit, case, &server))?;
    let (connections, streams) = (case.connections, case.streams);
    match case.work {
        Work::Stream {
            size,
            per_second,
            burst,
        } => {
            open(&mut driver, connections, streams)?;
            let mut publisher = Publisher::new(&server, size)?;
            // Half a second to grow buffers and windows.
            let warm_up = (per_second / 2).max(1);
            publish(&mut publisher, &mut driver, warm_up, burst, per_second)?;
            let (before, (busy_before, all_before)) = (cpu_time(server.pid())?, busy()?);
            let rounds = per_second * seconds;
            let receipt = publish(&mut publisher, &mut driver, rounds, burst, per_second)?;
            let used = cpu_time(server.pid())? - before;
            let each = used as f64 / receipt.deliveries as f64 / 1_000.0;
            let mut figures = latency(receipt);
            figures.insert(Measure::Cpu, each);
            let (busy, all) = busy()?;
            let share = (busy - busy_before) as f64 / (all - all_before).max(1) as f64;
            figures.insert(Measure::Busy, 100.0 * share);
            Ok(figures)
        }
        Work::Idle => {
            open(&mut driver, FIRST, streams)?;
            let before = settled_resident(server.pid())?;
            open(&mut driver, connections, streams)?;
            memory(&server, before, connections - FIRST)
        }
        Work::IdleStreams => {
            open(&mut driver, connections, 1)?;
            let before = settled_resident(server.pid())?;
            open(&mut driver, connections, streams)?;
            memory(&server, before, connections * (streams - 1))
        }
        Work::Open => {
            driver.open(connections, streams, connections)?;
            let seconds = driver.opened()?;
            Ok(Figures::from([(Measure::Open, seconds)]))
        }
        Work::FanOut => {
            open(&mut driver, connections, streams)?;
            let mut publisher = Publisher::new(&server, 100)?;
            publish(&mut publisher, &mut driver, 1, 1, 1)?;
            Ok(latency(publish(
                &mut publisher,
                &mut driver,
                seconds,
                1,
                1,
            )?))
        }
    }
}

fn target(kit: &Kit, case: &Case, server: &Server) -> Target {
    Target {
        protocol: case.protocol,
        address: if case.protocol.is_tls() {
            server.https()
        } else {
            server.http()
        },
        path: PATH.to_owned(),
        authority: kit.certificate(),
    }
}

/// Opens at leisure.
fn open(driver: &mut Driver, connections: usize, streams: usize) -> Result<(), DriverError> {
    driver.open(connections, streams, AT_ONCE)?;
    driver.opened()?;
    Ok(())
}

/// Publishes, and waits until all is there.
fn publish(
    publisher: &mut Publisher,
    driver: &mut Driver,
    rounds: u32,
    burst: u32,
    per_second: u32,
) -> Result<Receipt, MeasureError> {
    publisher.publish(rounds, burst, per_second)?;
    driver.expect(publisher.published())?;
    Ok(driver.receipt()?)
}

fn latency(receipt: Receipt) -> Figures {
    Figures::from([(Measure::P50, receipt.p50), (Measure::P99, receipt.p99)])
}

fn memory(server: &Server, before: u64, streams: usize) -> Result<Figures, MeasureError> {
    let taken = settled_resident(server.pid())?.saturating_sub(before);
    let each = taken as f64 / streams as f64 / 1024.0;
    Ok(Figures::from([(Measure::Memory, each)]))
}
