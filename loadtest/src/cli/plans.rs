//! What the arguments ask for, as plans.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderMap;
use wellspring_load::Dialling;
use wellspring_load::calibrate::Calibration;
use wellspring_load::chat::ChatPlan;
use wellspring_load::hostile::Hostiles;
use wellspring_load::process::Process;
use wellspring_load::publisher::{EventsPerSecond, Mode, Publication, Rate};
use wellspring_load::run::{Plan, Storm};
use wellspring_load::subscriber::Reconnect;
use wellspring_load::target::{Protocol, Target, TargetError, Trust};

use super::Arguments;

/// Events that a run has room for when only its time is bounded.
const UNCOUNTED: u64 = 10_000_000;

/// How long a storm is watched.
const STORM: Duration = Duration::from_secs(60);

/// Why the arguments make no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("--h2c is HTTP/2 without TLS and needs an http: URL; with https: it is --http2")]
    SecureH2c,
    #[error("more connections, streams or bytes than this machine can count")]
    TooMany,
    #[error("cannot read the prompts in {}: {source}", path.display())]
    Prompts {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} holds no prompt: each line that is not empty is one", .0.display())]
    NoPrompt(PathBuf),
    #[error(
        "--within compares the tokens of further URLs with those of the first: give at least two"
    )]
    NothingToCompare,
}

impl Arguments {
    /// The plans that the arguments describe, one for each URL and protocol.
    pub(crate) fn plans(&self) -> Result<Vec<Plan>, UsageError> {
        let mut targets = Vec::new();
        for url in &self.urls {
            // The scheme says which protocols there are; a wrong URL says so here.
            let natural = Target::parse(url, None, &self.trust())?;
            for protocol in self.protocols(&natural)? {
                targets.push(Target::parse(url, Some(protocol), &self.trust())?);
            }
        }
        let alone = targets.len() == 1;
        targets
            .into_iter()
            .map(|target| self.plan(target, alone))
            .collect()
    }

    /// The token runs that the arguments describe, one for each URL.
    pub(crate) fn chat_plans(&self) -> Result<Vec<ChatPlan>, UsageError> {
        if self.within.is_some() && self.urls.len() < 2 {
            return Err(UsageError::NothingToCompare);
        }
        self.urls.iter().map(|url| self.chat_plan(url)).collect()
    }

    fn chat_plan(&self, url: &str) -> Result<ChatPlan, UsageError> {
        let natural = Target::parse(url, None, &self.trust())?;
        let protocol = self.protocols(&natural)?.first().copied();
        let target = Target::parse(url, protocol, &self.trust())?;
        let size = |number: u64| usize::try_from(number).map_err(|_| UsageError::TooMany);
        let all = self
            .connections
            .checked_mul(self.streams)
            .ok_or(UsageError::TooMany)?;
        let requests = match (self.events, self.duration) {
            (Some(requests), _) => requests,
            (None, Some(_)) => UNCOUNTED,
            (None, None) => all,
        };
        let defaults = ChatPlan::new(target);
        Ok(ChatPlan {
            connections: size(self.connections)?,
            streams_per_connection: size(self.streams)?,
            requests: NonZeroU64::new(requests).unwrap_or(defaults.requests),
            duration: self.duration,
            rate: self.rate,
            prompts: self.prompts()?.unwrap_or_else(|| defaults.prompts.clone()),
            model: self.model.clone(),
            headers: self.headers(),
            dialling: self.dialling()?,
            ..defaults
        })
    }

    /// The self-check that the arguments describe.
    pub(crate) fn calibration(&self) -> Result<Calibration, UsageError> {
        const TEN: f64 = 10.0;
        let ten = || EventsPerSecond::new(TEN).expect("ten is a rate");
        Ok(Calibration {
            subscribers: usize::try_from(self.connections).map_err(|_| UsageError::TooMany)?,
            rate: self.rate.unwrap_or_else(ten),
            duration: self.duration.unwrap_or(Duration::from_secs_f64(TEN)),
            size: usize::try_from(self.size).map_err(|_| UsageError::TooMany)?,
        })
    }

    fn prompts(&self) -> Result<Option<Vec<String>>, UsageError> {
        let Some(path) = &self.prompt_file else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(path).map_err(|source| UsageError::Prompts {
            path: path.clone(),
            source,
        })?;
        let prompts: Vec<_> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(str::to_owned)
            .collect();
        if prompts.is_empty() {
            return Err(UsageError::NoPrompt(path.clone()));
        }
        Ok(Some(prompts))
    }

    fn trust(&self) -> Trust {
        match (&self.cacert, self.insecure) {
            (Some(file), _) => Trust::Authorities(file.clone()),
            (None, true) => Trust::Anybody,
            (None, false) => Trust::Nobody,
        }
    }

    fn protocols(&self, target: &Target) -> Result<Vec<Protocol>, UsageError> {
        let secure = target.is_secure();
        let http1 = self.http1 || self.compare;
        let http2 = self.http2 || (self.h2c && !secure) || (self.compare && secure);
        let mut protocols = Vec::new();
        if http1 {
            protocols.push(Protocol::Http1);
        }
        if http2 {
            protocols.push(Protocol::Http2);
        }
        match (protocols.is_empty(), self.h2c) {
            (true, true) => Err(UsageError::SecureH2c),
            (true, false) => Ok(vec![target.protocol()]),
            _ => Ok(protocols),
        }
    }

    fn plan(&self, target: Target, alone: bool) -> Result<Plan, UsageError> {
        let size = |number: u64| usize::try_from(number).map_err(|_| UsageError::TooMany);
        let subscribers = self
            .connections
            .checked_mul(self.streams)
            .ok_or(UsageError::TooMany)?;
        // Beside HTTP/2, HTTP/1.1 has as many subscribers, each on a connection of its own.
        let spread = !alone && target.protocol() == Protocol::Http1;
        let defaults = Plan::new(target.clone());
        Ok(Plan {
            subscribers: size(subscribers)?,
            streams_per_connection: if spread { 1 } else { size(self.streams)? },
            events: self.events(),
            headers: self.headers(),
            cuts: self.cuts.unwrap_or_default(),
            seed: self.seed.unwrap_or(defaults.seed),
            storm: self.storm.map(|after| Storm {
                after,
                watched: STORM,
            }),
            reconnect: Reconnect {
                forced: self
                    .retry
                    .map(|milliseconds| Duration::from_millis(milliseconds.into())),
                jitter: Duration::from_millis(self.jitter.into()),
                ..Reconnect::default()
            },
            dialling: self.dialling()?,
            hostiles: Hostiles {
                slow: (self.slow_readers > 0).then_some((self.slow_readers, self.slow_rate)),
                never: self.never_readers,
                half_open: self.half_open,
            },
            server: self.pid.map(Process::of),
            publication: self.publication(target)?,
            open_within: self.timeout,
            ..defaults
        })
    }

    fn dialling(&self) -> Result<Dialling, UsageError> {
        let interval = |rate: EventsPerSecond| Duration::from_secs_f64(1.0 / rate.get());
        let at_once = usize::try_from(self.connecting)
            .ok()
            .and_then(NonZeroUsize::new);
        Ok(Dialling {
            at_once: at_once.ok_or(UsageError::TooMany)?,
            interval: self.connect_rate.map_or(Duration::ZERO, interval),
            sources: self.source_address.clone(),
            ..Dialling::default()
        })
    }

    fn publication(&self, target: Target) -> Result<Publication, UsageError> {
        let target = match &self.publish_to {
            Some(url) => Target::parse(url, None, &self.trust())?,
            None => target,
        };
        Ok(Publication {
            rate: match self.rate {
                None => Rate::Unlimited,
                Some(rate) if self.poisson => Rate::Poisson(rate),
                Some(rate) => Rate::PerSecond(rate),
            },
            mode: match &self.body {
                _ if self.no_publish => Mode::Nothing,
                Some(template) => Mode::Templates(self.method.clone(), template.clone()),
                None if self.post_each => Mode::Each,
                None => Mode::Stream,
            },
            size: usize::try_from(self.size).map_err(|_| UsageError::TooMany)?,
            duration: self.duration,
            headers: self.headers(),
            ..Publication::to(target)
        })
    }

    fn events(&self) -> u64 {
        const USUALLY: u64 = 1_000;
        match (self.events, self.duration, self.rate) {
            (Some(events), ..) => events,
            (None, Some(duration), Some(rate)) if !self.poisson && !self.no_publish => {
                let events = (duration.as_secs_f64() * rate.get()).ceil() as u64;
                NonZeroU64::new(events).map_or(1, NonZeroU64::get)
            }
            (None, Some(_), _) => UNCOUNTED,
            (None, None, _) if self.no_publish => UNCOUNTED,
            (None, None, _) => USUALLY,
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use wellspring_load::cut::Cuts;

    use super::*;

    fn plans(arguments: &[&str]) -> Result<Vec<Plan>, String> {
        let arguments = ["wellspring-load"].iter().chain(arguments);
        let arguments = Arguments::try_parse_from(arguments).map_err(|error| error.to_string())?;
        arguments.plans().map_err(|error| error.to_string())
    }

    fn plan(arguments: &[&str]) -> Result<Plan, String> {
        let mut plans = plans(arguments)?;
        assert_eq!(plans.len(), 1);
        Ok(plans.remove(0))
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
    fn a_rate_and_a_time_are_a_number_of_events() {
        let url = "http://localhost/";
        assert_eq!(plan(&["-z", "2s", "-q", "10", url]).unwrap().events, 20);
        assert_eq!(
            plan(&["-z", "2s", "-q", "10", "-n", "5", url])
                .unwrap()
                .events,
            5
        );
        assert_eq!(plan(&["-z", "2s", url]).unwrap().events, UNCOUNTED);
        assert_eq!(
            plan(&["--no-publish", url]).unwrap().publication.mode,
            Mode::Nothing
        );
    }

    #[test]
    fn a_comparison_has_as_many_subscribers_on_every_protocol() {
        let (plain, secure) = ("http://localhost/t", "https://localhost/t");
        let plans = plans(&[
            "--compare",
            "-c",
            "2",
            "-s",
            "50",
            "--insecure",
            plain,
            secure,
        ])
        .unwrap();
        let runs: Vec<_> = plans
            .iter()
            .map(|plan| {
                (
                    plan.target.protocol(),
                    plan.target.is_secure(),
                    plan.subscribers,
                    plan.connections(),
                )
            })
            .collect();
        assert_eq!(
            runs,
            [
                (Protocol::Http1, false, 100, 100),
                (Protocol::Http1, true, 100, 100),
                (Protocol::Http2, true, 100, 2)
            ]
        );
    }

    #[test]
    fn several_protocols_are_several_runs() {
        let both = plans(&["--http1.1", "--http2", "--insecure", "https://localhost/"]).unwrap();
        let protocols: Vec<_> = both.iter().map(|plan| plan.target.protocol()).collect();
        assert_eq!(protocols, [Protocol::Http1, Protocol::Http2]);
    }

    #[test]
    fn bad_use_is_told_in_words() {
        for (arguments, word) in [
            (&["localhost"][..], "not an absolute URL"),
            (&["https://localhost/"], "--cacert"),
            (&["--h2c", "--insecure", "https://localhost/"], "--http2"),
            (&["-c", "0", "http://localhost/"], "above zero"),
            (&["-n", "many", "http://localhost/"], "above zero"),
            (&["-q", "-3", "http://localhost/"], "not a rate"),
            (&["-q", "0", "http://localhost/"], "not a rate"),
            (&["-z", "soon", "http://localhost/"], "like 30s"),
            (&["-H", "nonsense", "http://localhost/"], "header field"),
            (&["--poisson", "http://localhost/"], "--rate"),
            (&["--body", "hello", "http://localhost/"], "{data}"),
            (&["--assert", "p99<50", "http://localhost/"], "p99<50ms"),
            (&["--cuts", "120%", "http://localhost/"], "share of events"),
            (&[], "<URL>"),
        ] {
            let message = plans(arguments).unwrap_err();
            assert!(message.contains(word), "{arguments:?}: {message}");
        }
    }
}
