//! `wellspring-load`: puts a server of event streams under load and verifies every delivery.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use wellspring_load::run::run;

use cli::{Arguments, Format};

/// Bad use, or a run that could not be made.
const UNUSABLE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    // No URL is called that.
    if std::env::args_os().nth(1).is_some_and(|word| word == "lab") {
        return cli::lab::main(std::env::args_os().skip(1)).await;
    }
    let arguments = Arguments::parse();
    let plan = match arguments.plan() {
        Ok(plan) => plan,
        Err(error) => return refuse(&error),
    };
    // Told beforehand, so that a run that hangs or is ended by hand can be repeated too.
    eprintln!(
        "wellspring-load: {} subscribers over {} connections, {} events, seed {}",
        plan.subscribers,
        plan.connections(),
        plan.events,
        plan.seed
    );
    let report = match run(&plan).await {
        Ok(report) => report,
        Err(error) => return refuse(&error),
    };
    match arguments.output_format {
        Format::Text => print!("{report}"),
        Format::Json => println!("{}", report.to_json()),
    }
    if report.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("wellspring-load: {error}");
    ExitCode::from(UNUSABLE)
}
