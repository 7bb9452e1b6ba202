//! The command line.

use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{Parser, Subcommand};

use crate::config::Options;
use crate::job::JobOptions;
use crate::publish::PublishOptions;
use crate::tail::TailOptions;

/// Bad use: a flag, a value, a file or a port that cannot be.
pub(crate) const BAD_USE: u8 = 2;

/// Stream events and LLM tokens to browsers, and lose none.
#[derive(Debug, Parser)]
#[command(
    name = "wellspring",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  wellspring                                   serve on https://localhost:8443 and http://localhost:8080
  wellspring --upstream https://api.openai.com/v1
                                               relay chats to a model (key: WELLSPRING_UPSTREAM_KEY)
  tail -f access.log | wellspring publish logs publish each line as an event
  wellspring tail logs                         print a topic, resuming after any break
  wellspring run --allow-commands -- make      watch a command's output and progress in a browser
  wellspring certs                             where the certificate is, and how to trust it

Every option may also be given as WELLSPRING_OPTION in the environment, or as a key of the TOML
file that --config names; a flag wins over the environment, the environment over the file."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Options,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve (the default command)
    Serve(#[command(flatten)] Options),
    /// Say where the certificates are, and how to trust them
    Certs(#[command(flatten)] Options),
    /// Publish lines of standard input as events
    Publish(#[command(flatten)] PublishOptions),
    /// Print a stream, resuming after any break
    Tail(#[command(flatten)] TailOptions),
    /// Run a command of this machine, to be watched by whoever knows its run's id
    Run(#[command(flatten)] JobOptions),
}

/// Reads the command line; help and bad use end the program with the code given.
pub(crate) fn parse() -> Result<Command, ExitCode> {
    match Cli::try_parse() {
        Ok(cli) => Ok(cli.command.unwrap_or(Command::Serve(cli.serve))),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            // A closed pipe is no reason to fail at printing help.
            let _ = error.print();
            Err(ExitCode::SUCCESS)
        }
        Err(error) => Err(bad_use(&first_line(&error))),
    }
}

/// One line that says what is wrong, and the exit code of bad use.
pub(crate) fn bad_use(what: &str) -> ExitCode {
    eprintln!("wellspring: {what} (see wellspring --help)");
    ExitCode::from(BAD_USE)
}

/// clap explains itself over several paragraphs; the first names what is wrong. What it takes to have been meant stands
/// in a later one.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or(&text);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let mut line = words.join(" ").trim_start_matches("error: ").to_owned();
    let meant = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    if let Some(meant) = meant.into_iter().find_map(|kind| error.get(kind)) {
        line.push_str(&format!("; did you mean {meant}?"));
    }
    line
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_the_default() {
        let cli = Cli::try_parse_from(["wellspring", "--http", "127.0.0.1:0"]).unwrap();
        assert!(cli.command.is_none());
        let cli = Cli::try_parse_from(["wellspring", "serve", "--http", "off"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Serve(_))));
    }

    #[test]
    fn bad_use_is_one_line_that_names_it() {
        for (arguments, named) in [
            (["wellspring", "--htps=x"], "--htps"),
            (["wellspring", "--http=nowhere"], "nowhere"),
            (["wellspring", "--drain=soon"], "soon"),
        ] {
            let error = Cli::try_parse_from(arguments).unwrap_err();
            let line = first_line(&error);
            assert!(line.contains(named) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn what_was_probably_meant_is_named() {
        for (arguments, meant) in [
            (["wellspring", "--htps=x"], "--https"),
            (["wellspring", "publsh"], "publish"),
            (["wellspring", "--overflow=lates"], "latest"),
        ] {
            let error = Cli::try_parse_from(arguments).unwrap_err();
            let line = first_line(&error);
            assert!(
                line.ends_with(&format!("; did you mean {meant}?")),
                "{line}"
            );
        }
    }
}
