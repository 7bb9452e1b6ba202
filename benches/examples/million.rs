//! A million live streams on one process, and one event to all of them:
//! `cargo run --release -p wellspring-benches --example million`.
//!
//! Starts the program as it is shipped, opens the streams from several client processes (each has a file limit of its
//! own), publishes one event, and ends when every stream has it, or when the machine runs out of memory to give.

use std::error::Error;
use std::time::Instant;

use clap::Parser;
use wellspring_benches::account::{available, cpu_time, resident, settled_resident};
use wellspring_benches::client::{Protocol, Target, run_if_asked};
use wellspring_benches::driver::Driver;
use wellspring_benches::machine::Machine;
use wellspring_benches::publisher::Publisher;
use wellspring_benches::server::{Kit, PATH, Peer, Server, build_program};

/// Below this the machine would begin to swap or to kill.
const LEAST_MEMORY: u64 = 2 << 30;

/// Streams that are asked for between two looks at the memory.
const STEP: usize = 50_000;

/// Open a million HTTP/2 streams on one wellspring, and publish one event to all of them
#[derive(Debug, Parser)]
#[command(name = "million", version)]
struct Options {
    /// HTTP/2 connections
    #[arg(long, default_value_t = 2_000, value_parser = at_least_one)]
    connections: usize,

    /// Streams of each connection
    #[arg(long, default_value_t = 500, value_parser = at_least_one)]
    streams: usize,

    /// Client processes
    #[arg(long, default_value_t = 2, value_parser = at_least_one)]
    clients: usize,

    /// Over TLS; without it by prior knowledge
    #[arg(long)]
    tls: bool,

    /// Take the program that lies beside this one as it is
    #[arg(long)]
    no_build: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    run_if_asked();
    let options = Options::parse();
    if !options.no_build {
        eprintln!("building the program");
        build_program()?;
    }
    let kit = Kit::new()?;
    let limit = options.streams.to_string();
    let server = kit.start(
        Peer::Wellspring,
        &["--streams", &limit, "--heartbeat", "1h"],
    )?;
    let mut clients = start(&kit, &server, &options)?;
    println!("{}", Machine::here());
    let before = resident(server.pid())?;

    let streams = options.connections * options.streams;
    let seconds = open(&mut clients, &server, &options)?;
    let taken = settled_resident(server.pid())?;
    let each = taken.saturating_sub(before) as f64 / streams as f64;
    println!(
        "{streams} streams on {} connections, opened in {seconds:.1} s",
        options.connections
    );
    println!(
        "memory {:.2} GiB, {each:.0} bytes a stream, its share of the connection included",
        taken as f64 / f64::from(1 << 30)
    );

    let cpu = cpu_time(server.pid())?;
    let mut publisher = Publisher::new(&server, 100)?;
    publisher.publish(1, 1, 1)?;
    let (mut deliveries, mut last) = (0, 0.0_f64);
    for client in &mut clients {
        client.expect(publisher.published())?;
    }
    for client in &mut clients {
        let receipt = client.receipt()?;
        deliveries += receipt.deliveries;
        last = last.max(receipt.max);
    }
    let each = (cpu_time(server.pid())? - cpu) as f64 / deliveries as f64 / 1_000.0;
    println!(
        "one event: {deliveries} deliveries, the last after {:.2} s, {each:.2} us of CPU each",
        last / 1_000.0
    );
    Ok(())
}

fn start(kit: &Kit, server: &Server, options: &Options) -> Result<Vec<Driver>, Box<dyn Error>> {
    let (protocol, address) = if options.tls {
        (Protocol::H2Tls, server.https())
    } else {
        (Protocol::H2, server.http())
    };
    let target = Target {
        protocol,
        address,
        path: PATH.to_owned(),
        authority: kit.certificate(),
    };
    let clients = (0..options.clients).map(|_| Driver::start(&target));
    Ok(clients.collect::<Result<_, _>>()?)
}

/// Opens all streams, a step at a time: how many seconds that took.
fn open(clients: &mut [Driver], server: &Server, options: &Options) -> Result<f64, Box<dyn Error>> {
    let begin = Instant::now();
    let step = (STEP / options.streams).max(1);
    let mut opened = 0;
    while opened < options.connections {
        let memory = available()?;
        if memory < LEAST_MEMORY {
            let streams = opened * options.streams;
            return Err(format!(
                "stopped at {streams} streams: {} MiB of memory are left, and {} MiB are to be kept",
                memory >> 20,
                LEAST_MEMORY >> 20
            )
            .into());
        }
        opened = (opened + step).min(options.connections);
        let count = clients.len();
        for (index, client) in clients.iter_mut().enumerate() {
            // Shares that differ by one at most.
            client.open((opened + index) / count, options.streams, 16)?;
        }
        for client in clients.iter_mut() {
            client.opened()?;
        }
        eprintln!(
            "{} streams after {:.1} s, {} MiB",
            opened * options.streams,
            begin.elapsed().as_secs_f64(),
            resident(server.pid())? >> 20
        );
    }
    Ok(begin.elapsed().as_secs_f64())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("a number from 1".to_owned()),
    }
}
