//! Logs: structured, on standard error.

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::LogFormat;

/// The filter is none.
#[derive(Debug, Error)]
#[error("--log {filter:?} is no level and no filter: {error}")]
pub(crate) struct BadFilter {
    filter: String,
    error: ParseError,
}

/// Begins logging what passes `filter`.
///
/// # Errors
///
/// When `filter` is no filter.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<(), BadFilter> {
    let filter = EnvFilter::try_new(filter).map_err(|error| BadFilter {
        filter: filter.to_owned(),
        error,
    })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => logs.json().flatten_event(true).init(),
        LogFormat::Text => logs
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_target(false)
            .init(),
    }
    Ok(())
}
