//! The command line: option names where users of oha and wrk expect them.

pub(crate) mod lab;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};
use wellspring_load::cut::{Cuts, Probability};
use wellspring_load::publisher::{EventsPerSecond, Mode, Publication, Rate};
use wellspring_load::run::Plan;
use wellspring_load::subscriber::Reconnect;
use wellspring_load::target::{Protocol, Target, TargetError, Trust};

/// Holds many event streams open and says whether each subscriber got every event, once, in order, and how late.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, disable_help_flag = true)]
pub(crate) struct Arguments {
    /// The stream to subscribe to; events are POSTed to the same URL
    url: String,

    /// Connections
    #[arg(short, long, default_value = "50", value_name = "N", value_parser = amount, help_heading = "Load")]
    connections: u64,

    /// Streams per connection (HTTP/2)
    #[arg(short, long, default_value = "1", value_name = "N", value_parser = amount, help_heading = "Load")]
    streams: u64,

    /// Events to publish; k and m stand for thousand and million
    #[arg(short = 'n', long, default_value = "1k", value_name = "N", value_parser = amount, help_heading = "Load")]
    events: u64,

    /// Events per second, whatever the server does [default: as fast as it takes them]
    #[arg(short = 'q', long, value_name = "RATE", allow_negative_numbers = true, value_parser = rate, help_heading = "Load")]
    rate: Option<EventsPerSecond>,

    /// Bytes of data per event, at least
    #[arg(long, default_value = "100", value_name = "BYTES", value_parser = amount, help_heading = "Load")]
    size: u64,

    /// One POST per event instead of one stream of NDJSON
    #[arg(long, help_heading = "Load")]
    post_each: bool,

    /// Cut every subscriber off at random: so many times (5), or after so many of its events (0.5%)
    #[arg(long, value_name = "TIMES|PERCENT%", value_parser = cuts, help_heading = "Breaks")]
    cuts: Option<Cuts>,

    /// Come back after so many milliseconds [default: the stream's own retry, or 3000]
    #[arg(long, value_name = "MS", help_heading = "Breaks")]
    retry: Option<u32>,

    /// Repeat the cuts of an earlier run [default: random]
    #[arg(long, help_heading = "Breaks")]
    seed: Option<u64>,

    /// HTTP/1.1 (the default for http:)
    #[arg(long = "http1.1", visible_alias = "http1", conflicts_with_all = ["http2", "h2c"], help_heading = "Protocol")]
    http1: bool,

    /// HTTP/2 (the default for https:); with http: the same as --h2c
    #[arg(long, conflicts_with = "h2c", help_heading = "Protocol")]
    http2: bool,

    /// HTTP/2 without TLS, with prior knowledge
    #[arg(long, help_heading = "Protocol")]
    h2c: bool,

    /// Believe any certificate
    #[arg(long, conflicts_with = "cacert", help_heading = "Protocol")]
    insecure: bool,

    /// Believe certificates signed by an authority in this PEM file
    #[arg(long, value_name = "FILE", help_heading = "Protocol")]
    cacert: Option<PathBuf>,

    /// How to print the report
    #[arg(
        long,
        value_enum,
        default_value = "text",
        value_name = "FORMAT",
        help_heading = "Output"
    )]
    pub(crate) output_format: Format,

    /// Print help
    #[arg(long, short, action = ArgAction::Help, help_heading = "Output")]
    help: Option<bool>,
}

/// How the report is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

const EXAMPLES: &str = "\
Examples:
  wellspring-load -c 1000 -n 1k -q 200 http://127.0.0.1:8080/topics/t
  wellspring-load -c 10 -s 100 --cuts 5 --retry 50 --cacert certs/ca.pem https://localhost:8443/topics/t
  wellspring-load -c 6 --http1.1 --insecure --output-format json https://localhost:8443/topics/t
  wellspring-load lab --help    (six connections against one: an experiment of its own)

Exit status:
  0  every subscriber got every event, once and in order
  1  something was lost, doubled, out of order, announced as a gap, or had no id of its own
  2  bad use, or the run could not be made";

/// Why the arguments make no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("--h2c is HTTP/2 without TLS and needs an http: URL; with https: it is --http2")]
    SecureH2c,
    #[error("more connections, streams or bytes than this machine can count")]
    TooMany,
}

impl Arguments {
    /// The plan that the arguments describe.
    pub(crate) fn plan(&self) -> Result<Plan, UsageError> {
        let protocol = match (self.http1, self.http2 || self.h2c) {
            (true, _) => Some(Protocol::Http1),
            (_, true) => Some(Protocol::Http2),
            _ => None,
        };
        let trust = match (&self.cacert, self.insecure) {
            (Some(file), _) => Trust::Authorities(file.clone()),
            (None, true) => Trust::Anybody,
            (None, false) => Trust::Nobody,
        };
        let target = Target::parse(&self.url, protocol, &trust)?;
        if self.h2c && target.is_secure() {
            return Err(UsageError::SecureH2c);
        }
        let size = |number: u64| usize::try_from(number).map_err(|_| UsageError::TooMany);
        let subscribers = self
            .connections
            .checked_mul(self.streams)
            .ok_or(UsageError::TooMany)?;
        let defaults = Plan::new(target.clone());
        Ok(Plan {
            subscribers: size(subscribers)?,
            streams_per_connection: size(self.streams)?,
            events: self.events,
            cuts: self.cuts.unwrap_or_default(),
            seed: self.seed.unwrap_or(defaults.seed),
            reconnect: Reconnect {
                forced: self
                    .retry
                    .map(|milliseconds| Duration::from_millis(milliseconds.into())),
                ..Reconnect::default()
            },
            publication: Publication {
                rate: self.rate.map_or(Rate::Unlimited, Rate::PerSecond),
                mode: if self.post_each {
                    Mode::Each
                } else {
                    Mode::Stream
                },
                size: size(self.size)?,
                ..Publication::to(target)
            },
            ..defaults
        })
    }
}

fn amount(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => text
            .strip_suffix(['m', 'M'])
            .map_or((text, 1), |digits| (digits, 1_000_000)),
    };
    let number = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|&number| number > 0);
    number.ok_or_else(|| "expected a number above zero, like 50 or 10k".to_owned())
}

fn rate(text: &str) -> Result<EventsPerSecond, String> {
    let rate = text
        .parse()
        .map_err(|_| "expected events per second, like 200 or 0.5".to_owned())?;
    EventsPerSecond::new(rate).map_err(|error| error.to_string())
}

fn cuts(text: &str) -> Result<Cuts, String> {
    let expected = || {
        "expected a number of cuts per subscriber, like 5, or a share of events, like 0.5%"
            .to_owned()
    };
    match text.strip_suffix('%') {
        Some(percent) => {
            let percent: f64 = percent.trim().parse().map_err(|_| expected())?;
            Probability::new(percent / 100.0)
                .map(Cuts::Chance)
                .map_err(|_| expected())
        }
        None => {
            Ok(NonZeroU32::new(text.parse().map_err(|_| expected())?)
                .map_or(Cuts::None, Cuts::Times))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn plan(arguments: &[&str]) -> Result<Plan, String> {
        let arguments = ["wellspring-load"].iter().chain(arguments);
        let arguments = Arguments::try_parse_from(arguments).map_err(|error| error.to_string())?;
        arguments.plan().map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_bare_url_is_enough() {
        let plan = plan(&["http://127.0.0.1:8080/topics/t"]).unwrap();
        assert_eq!(
            (plan.subscribers, plan.connections(), plan.events),
            (50, 50, 1_000)
        );
        assert_eq!(
            (plan.target.protocol(), plan.cuts),
            (Protocol::Http1, Cuts::None)
        );
    }

    #[test]
    fn connections_times_streams_are_subscribers() {
        let plan = plan(&[
            "-c",
            "10",
            "-s",
            "100",
            "-n",
            "2k",
            "--insecure",
            "https://localhost/",
        ])
        .unwrap();
        assert_eq!(
            (plan.subscribers, plan.connections(), plan.events),
            (1_000, 10, 2_000)
        );
        assert_eq!(plan.target.protocol(), Protocol::Http2);
    }

    #[test]
    fn cuts_are_a_count_or_a_share() {
        assert_eq!(cuts("5").unwrap(), Cuts::Times(NonZeroU32::new(5).unwrap()));
        assert_eq!(
            cuts("0.5%").unwrap(),
            Cuts::Chance(Probability::new(0.005).unwrap())
        );
        assert_eq!(cuts("0").unwrap(), Cuts::None);
    }

    #[test]
    fn bad_use_is_told_in_words() {
        for (arguments, word) in [
            (&["localhost"][..], "not an absolute URL"),
            (&["https://localhost/"], "--cacert"),
            (&["--h2c", "--insecure", "https://localhost/"], "--http2"),
            (
                &["--http1.1", "--http2", "http://localhost/"],
                "cannot be used with",
            ),
            (&["-c", "0", "http://localhost/"], "above zero"),
            (&["-n", "many", "http://localhost/"], "above zero"),
            (&["-q", "-3", "http://localhost/"], "not a rate"),
            (&["-q", "0", "http://localhost/"], "not a rate"),
            (&["--cuts", "120%", "http://localhost/"], "share of events"),
            (&[], "<URL>"),
        ] {
            let message = plan(arguments).unwrap_err();
            assert!(message.contains(word), "{arguments:?}: {message}");
        }
    }
}
