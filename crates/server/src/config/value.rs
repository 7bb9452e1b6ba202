//! The values of options that are more than text and numbers.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use crate::run::OnDisconnect;

/// A listener's address, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Listen {
    At(SocketAddr),
    Off,
}

/// A time as people write it: `250ms`, `10s`, `15m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

/// As [`wellspring::Overflow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Overflow {
    Disconnect,
    Latest,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    Json,
    Text,
}

/// What an upstream, or its key, is called, and what that is: `NAME=VALUE`, or the value alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Named<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    pub(crate) name: Option<String>,
    pub(crate) value: T,
}

/// A time that may be none: `50ms`, `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SpanOrZero(pub(crate) Duration);

/// What happens to a run whose last reader has left: `continue`, `cancel`, or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Abandoned(pub(crate) OnDisconnect);

/// What must not reach a log.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(super) fn new(key: &str) -> Result<Self, ConfigError> {
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ConfigError::Key);
        }
        Ok(Self(key.to_owned()))
    }

    /// The secret itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse().map(Self::At).map_err(|_| {
            format!("{text:?} is no address like 127.0.0.1:8443 or [::]:443, and not `off`")
        })
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => 0,
        };
        match number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(milliseconds))
        {
            Some(span) if milliseconds > 0 && span > 0 => Ok(Self(Duration::from_millis(span))),
            _ => Err(format!("{text:?} is no time like 250ms, 10s, 15m or 1h")),
        }
    }
}

impl<T> FromStr for Named<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if is_name(name) => (Some(name.to_owned()), value),
            _ => (None, text),
        };
        let value = value.parse().map_err(|why: T::Err| why.to_string())?;
        Ok(Self { name, value })
    }
}

impl FromStr for SpanOrZero {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        text.parse().map(|Span(time)| Self(time))
    }
}

impl FromStr for Abandoned {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let policy = match text {
            "continue" => OnDisconnect::Continue,
            "cancel" => OnDisconnect::Cancel,
            time => {
                let Span(time) = time
                    .parse()
                    .map_err(|_| format!("{text:?} is not continue, cancel or a time like 30s"))?;
                let seconds = time.as_millis().div_ceil(1000);
                OnDisconnect::CancelAfter(u32::try_from(seconds).unwrap_or(u32::MAX))
            }
        };
        Ok(Self(policy))
    }
}

impl<T> TryFrom<String> for Named<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for SpanOrZero {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Abandoned {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
