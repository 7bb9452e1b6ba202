//! The `wellspring` program: events and LLM tokens from an app or a model to browsers.
//!
//! How a request travels: the front end's connection -> [`routes`] -> [`topics`] or [`runs`] -> a
//! reader of `wellspring`'s in a body, and back out through the front end.

mod answer;
mod chat;
mod cli;
mod client;
mod config;
mod demo;
mod dialect;
mod ingest;
mod ledger;
mod pages;
mod playground;
mod problem;
mod routes;
mod runs;
mod serve;
mod stream;
mod telemetry;
mod topics;
mod upstream;

use std::process::ExitCode;

use cli::Command;

fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(code) => return code,
    };
    match command {
        Command::Serve(options) => serve::run(options),
        Command::Certs(options) => serve::print_certificates(options),
    }
}
