//! The `wellspring` program: events and LLM tokens from an app or a model to browsers.
//!
//! The allocator is the system's. Over 10,000 idle streams glibc's, jemalloc and mimalloc take, in KiB each: on HTTP/1.1
//! 1.40, 1.35 and 1.38; over TLS 9.05, 9.15 and 9.09; on HTTP/2 over TLS, one to a connection, 32.1, 28.5 and 31.9; each
//! further one 0.99, 1.00 and 1.13. (`compare --case idle`, with the others preloaded.) jemalloc's 11% there cost 3 MiB
//! at the start, and a `make` that not every machine has.
//!
//! How a request travels: the front end's connection -> [`routes`] -> [`topics`] or [`runs`] -> a
//! reader of `wellspring`'s in a body, and back out through the front end.

mod answer;
mod call;
mod cli;
mod client;
mod config;
mod demo;
mod dialect;
mod ingest;
mod interrupt;
mod job;
mod ledger;
mod pages;
mod playground;
mod problem;
mod publish;
mod routes;
mod run;
mod runs;
mod serve;
mod stream;
mod tail;
mod telemetry;
mod topics;
mod uplink;
mod upstream;

use std::process::ExitCode;

use cli::Command;

fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(code) => return code,
    };
    let result = match command {
        Command::Serve(options) => return serve::run(options),
        Command::Certs(options) => return serve::print_certificates(options),
        Command::Publish(options) => block_on(async {
            publish::run(options).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Command::Tail(options) => block_on(async {
            tail::run(options).await?;
            Ok(ExitCode::SUCCESS)
        }),
        Command::Run(options) => block_on(async { Ok(job::run(options).await) }),
    };
    result.unwrap_or_else(|error| {
        eprintln!("wellspring: {error}");
        ExitCode::FAILURE
    })
}

type CommandResult = Result<ExitCode, Box<dyn std::error::Error>>;

fn block_on(command: impl Future<Output = CommandResult>) -> CommandResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(command);
    // A read of standard input cannot be cancelled: do not wait for the next line.
    runtime.shutdown_background();
    result
}
