//! `wellspring-load lab`: the experiment with browsers.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use wellspring_load::lab::{Plan, Profile, Server, Site, run};
use wellspring_load::process::allow_files;
use wellspring_load::target::Trust;

/// What do six connections of HTTP/1.1 cost a browser, and what does HTTP/2 give back?
///
/// Modelled browsers open tabs, each with an EventSource, on a real server: the `wellspring` program, started here, or
/// one that runs already. The report says which streams are live and which wait, what a fetch waits behind them, and
/// what each tab costs the server. Takes about a minute.
#[derive(Debug, Parser)]
#[command(name = "wellspring-load lab", bin_name = "wellspring-load lab", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The program to start [default: the wellspring beside this one]
    #[arg(long, value_name = "FILE", conflicts_with = "urls")]
    program: Option<PathBuf>,

    /// A running program instead: its http: address, its https: address, or both
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,

    /// The process of --url, to see what it uses
    #[arg(long, value_name = "PID", requires = "urls")]
    pid: Option<u32>,

    /// Believe any certificate of --url
    #[arg(long, conflicts_with = "cacert")]
    insecure: bool,

    /// Believe certificates of --url signed by an authority in this PEM file
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,

    /// Tabs of one user
    #[arg(long, value_name = "FROM..TO", default_value = "1..12", value_parser = tabs)]
    tabs: (usize, usize),

    /// The most tabs of one user where streams share a connection
    #[arg(long, value_name = "N", default_value = "300")]
    most_tabs: usize,

    /// Users with six tabs each, for what a tab costs the server
    #[arg(long, value_name = "N", value_delimiter = ',', default_values = ["1", "10", "50"], value_parser = count)]
    users: Vec<usize>,

    /// Whose limits the model has
    #[arg(long, value_enum, default_value = "chromium")]
    browser: Browser,

    /// Milliseconds after which a wait is called one for ever
    #[arg(long, value_name = "MS", default_value = "2000")]
    patience: u64,

    /// How to print the report
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output_format: Format,

    /// Write the report as JSON to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the report as a page with plots to this file, too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Write its first plot alone to this file, too
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Browser {
    Chromium,
    Firefox,
}

const EXAMPLES: &str = "\
Examples:
  wellspring-load lab
  wellspring-load lab --html lab.html --json lab.json
  wellspring-load lab --tabs 5..8 --users 100
  wellspring-load lab --url http://localhost:8080 --url https://localhost:8443 --cacert certs/ca.pem";

/// Makes the experiment. Ends with 2 when it cannot be made.
pub(crate) async fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments);
    match arguments.experiment().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wellspring-load: {error}");
            ExitCode::from(crate::UNUSABLE)
        }
    }
}

impl Arguments {
    async fn experiment(&self) -> Result<(), Box<dyn std::error::Error>> {
        let server = self.server()?;
        let plan = self.plan();
        allow_files(plan.sockets())?;
        let report = run(&plan, &server, |trial| {
            eprintln!(
                "wellspring-load: {} with {} x {} tabs: {} live, {} waiting",
                trial.transport, trial.users, trial.tabs, trial.live, trial.waiting
            );
        })
        .await?;
        let json = || report.to_json() + "\n";
        if let Some(file) = &self.json {
            write(file, &json())?;
        }
        if let Some(file) = &self.html {
            write(file, &report.to_html())?;
        }
        if let Some(file) = &self.svg {
            write(file, &report.to_svg())?;
        }
        let text = match self.output_format {
            Format::Text => report.to_string(),
            Format::Json => json(),
        };
        // Whoever reads may have read enough.
        let _ = io::stdout().write_all(text.as_bytes());
        Ok(())
    }

    fn plan(&self) -> Plan {
        let (from, to) = self.tabs;
        let defaults = Plan::new();
        Plan {
            profile: match self.browser {
                Browser::Chromium => Profile::CHROMIUM,
                Browser::Firefox => Profile::FIREFOX,
            },
            tabs: (from..=to).collect(),
            more_tabs: defaults
                .more_tabs
                .iter()
                .copied()
                .filter(|&tabs| tabs > to && tabs <= self.most_tabs)
                .collect(),
            users: self.users.clone(),
            patience: Duration::from_millis(self.patience),
            ..defaults
        }
    }

    fn server(&self) -> Result<Server, Box<dyn std::error::Error>> {
        if self.urls.is_empty() {
            let beside = || std::env::current_exe().map(|own| own.with_file_name("wellspring"));
            return Ok(Server::Program(match &self.program {
                Some(program) => program.clone(),
                None => beside()?,
            }));
        }
        let starting_with = |scheme: &str| {
            self.urls
                .iter()
                .find(|url| url.starts_with(scheme))
                .cloned()
        };
        if let Some(url) = self
            .urls
            .iter()
            .find(|url| !url.starts_with("http://") && !url.starts_with("https://"))
        {
            return Err(format!(
                "'{url}' is neither http: nor https:; expected something like http://localhost:8080"
            )
            .into());
        }
        Ok(Server::Running(Site {
            plain: starting_with("http://"),
            secure: starting_with("https://"),
            trust: match (&self.cacert, self.insecure) {
                (Some(file), _) => Trust::Authorities(file.clone()),
                (None, true) => Trust::Anybody,
                (None, false) => Trust::Nobody,
            },
            process: self.pid,
            is_named: false,
        }))
    }
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn tabs(text: &str) -> Result<(usize, usize), String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (count(from)?, count(to.trim_start_matches('='))?);
    if from <= to {
        Ok((from, to))
    } else {
        Err("expected FROM..TO, like 1..12".to_owned())
    }
}

fn count(text: &str) -> Result<usize, String> {
    let number = text.trim().parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| "expected a number above zero".to_owned())
}
