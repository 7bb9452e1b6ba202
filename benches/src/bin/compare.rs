//! Wellspring, the floor and its peers under one load: `cargo run --release -p wellspring-benches --bin compare`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use wellspring_benches::case::{CASES, Case};
use wellspring_benches::client::run_if_asked;
use wellspring_benches::machine::Machine;
use wellspring_benches::measure::{Figures, measure};
use wellspring_benches::report::Report;
use wellspring_benches::server::{Kit, Peer, build_peers, build_program};

/// Drive Wellspring, the floor and its peers with the same load, and print what it cost each of them
///
/// Each run starts a server, a client process that checks that every stream gets every event once and in order, and a
/// publisher. Runs of the servers take turns, so that a noisy minute is everybody's. Figures are medians.
#[derive(Debug, Parser)]
#[command(name = "compare", version)]
struct Options {
    /// Runs of each case on each server
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// Seconds of load in a run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// One run of one second: whether everything works
    #[arg(long)]
    quick: bool,

    /// Only this case; may be repeated, and the beginning of a name is enough
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,

    /// Only this server; may be repeated [wellspring, floor, axum, node, nchan]
    #[arg(long = "server", value_name = "NAME")]
    servers: Vec<Peer>,

    /// Print the cases, and end
    #[arg(long)]
    list: bool,

    /// Write all figures of all runs to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write an SVG of the medians to this file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// Take the programs that lie beside this one as they are
    #[arg(long)]
    no_build: bool,

    /// End with 1 when a target is missed or a server fails
    #[arg(long)]
    check: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    run_if_asked();
    let options = Options::parse();
    let cases = chosen(&options.cases)?;
    if options.list {
        for case in cases {
            println!("{:22}{}", case.name, case.title);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !options.no_build {
        eprintln!("building the servers");
        build_program()?;
        build_peers()?;
    }
    let (report, failed) = compare(&options, &cases)?;
    print!("{report}");
    if let Some(file) = &options.json {
        std::fs::write(file, report.to_json())?;
    }
    if let Some(file) = &options.plot {
        std::fs::write(file, report.to_svg())?;
    }
    Ok(if options.check && (failed || !report.is_good()) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// All runs; whether one of them failed.
fn compare(options: &Options, cases: &[&'static Case]) -> Result<(Report, bool), Box<dyn Error>> {
    let (runs, seconds) = if options.quick {
        (1, 1)
    } else {
        (options.runs, options.seconds)
    };
    let kit = Kit::new()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = format!("compare {}", arguments.join(" "));
    let mut report = Report::new(Machine::here(), command.trim_end().to_owned());
    let mut peers = Vec::new();
    for peer in Peer::ALL {
        if !options.servers.is_empty() && !options.servers.contains(&peer) {
            continue;
        }
        match kit.missing(peer) {
            Some(why) => report.skip(format!("{}: {why}", peer.name())),
            None => peers.push(peer),
        }
    }
    let mut failed = false;
    for case in cases {
        for run in 1..=runs {
            for &peer in &peers {
                eprint!("{} {run}/{runs} {}: ", case.name, peer.name());
                match measure(&kit, case, peer, seconds) {
                    Ok(figures) => {
                        eprintln!("{}", spell(&figures));
                        report.add(case, peer, figures);
                    }
                    Err(error) => {
                        eprintln!("FAILED: {error}");
                        report.skip(format!(
                            "{} {run}/{runs} of {}: FAILED: {error}",
                            case.name,
                            peer.name()
                        ));
                        failed = true;
                    }
                }
            }
        }
    }
    Ok((report, failed))
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>, String> {
    if names.is_empty() {
        return Ok(CASES.iter().collect());
    }
    let mut cases = Vec::new();
    for name in names {
        let before = cases.len();
        match Case::named(name) {
            Some(case) => cases.push(case),
            None => cases.extend(CASES.iter().filter(|case| case.name.starts_with(name))),
        }
        if cases.len() == before {
            return Err(format!("no case is called {name}: see --list"));
        }
    }
    Ok(cases)
}

fn spell(figures: &Figures) -> String {
    let figures: Vec<String> = figures
        .iter()
        .map(|(measure, value)| format!("{} {value:.3}", measure.title()))
        .collect();
    figures.join(", ")
}
