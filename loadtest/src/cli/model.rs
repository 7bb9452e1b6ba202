//! `wellspring-load model`: a model that does nothing but stream.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::process::ExitCode;

use clap::Parser;
use tokio::net::TcpListener;
use wellspring_load::model::{Model, Moment};
use wellspring_load::process::allow_files;
use wellspring_load::publisher::EventsPerSecond;

use super::value;

/// A language model that does nothing but stream: what stands in front of it can be measured apart from it.
///
/// It answers POST /v1/chat/completions in OpenAI's spelling, until it is ended. Each token carries the moment at which it
/// was due, so that `wellspring-load --chat` on the same machine can say how long it took.
#[derive(Debug, Parser)]
#[command(name = "wellspring-load model", bin_name = "wellspring-load model", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,

    /// Tokens per second of each answer
    #[arg(long, value_name = "RATE", default_value = "50", value_parser = value::rate)]
    rate: EventsPerSecond,

    /// Tokens of an answer, unless it is asked for fewer (max_tokens)
    #[arg(long, value_name = "N", default_value = "100")]
    tokens: NonZeroU64,

    /// From when on a token's time counts: from when it was due, the model's own timer (up to 1 ms) and whatever holds
    /// the model up included; or only from when it was written
    #[arg(long, value_name = "MOMENT", default_value = "due")]
    stamp: Moment,
}

const EXAMPLES: &str = "\
Examples:
  wellspring-load model --rate 50 --tokens 200
  wellspring --upstream http://127.0.0.1:9000/v1    (a gateway in front of it)
  wellspring-load --chat -c 200 -z 10s http://127.0.0.1:9000/v1/chat/completions http://localhost:8080/v1/chat/completions";

/// Serves until the process is ended. Ends by itself with 2, when it cannot listen.
pub(crate) async fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Arguments {
        listen,
        rate,
        tokens,
        stamp,
    } = Arguments::parse_from(arguments);
    // As many as may be; a client that finds no room waits.
    let _ = allow_files(u64::from(u16::MAX));
    let bound = TcpListener::bind(listen).await;
    match bound.and_then(|listener| Ok((listener.local_addr()?, listener))) {
        Ok((address, listener)) => {
            println!("http://{address}/v1");
            let model = Model {
                rate,
                tokens,
                stamp,
            };
            model.serve(listener).await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!(
                "wellspring-load: cannot listen on {listen}: {error}; --listen takes another address"
            );
            ExitCode::from(crate::UNUSABLE)
        }
    }
}
