//! How an upstream's stream is read, in a dialect that upstreams speak.

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use thiserror::Error;

use crate::config::Secret;
use crate::dialect::Dialect;
use crate::run::{Part, Summary};

/// A dialect that upstreams speak.
#[derive(Debug)]
pub(crate) struct Language {
    pub(crate) dialect: &'static dyn Dialect,
    /// Below the upstream's address.
    pub(crate) path: &'static str,
    /// Where our key for the upstream goes.
    pub(crate) key: KeyHeader,
    /// The headers of a request that the upstream gets as they are; without a key of ours, the
    /// client's own, too.
    pub(crate) passed: &'static [&'static str],
    pub(crate) interpreter: fn() -> Box<dyn Interpreter>,
}

/// The header that carries a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyHeader {
    /// `Authorization: Bearer KEY`
    Bearer,
    /// `x-api-key: KEY`
    XApiKey,
}

/// Reads one answer of an upstream, event by event.
pub(crate) trait Interpreter: Send {
    /// Adds what this event says. Fields that we do not know are no error.
    ///
    /// # Errors
    ///
    /// [`Misheard`]
    fn read(
        &mut self,
        event_type: &str,
        data: &str,
        parts: &mut Vec<Part>,
    ) -> Result<Heard, Misheard>;

    /// What the upstream calls this answer, once it has said so and clients will ask by it.
    fn name(&self) -> Option<&str> {
        None
    }
}

/// Whether there is more to come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    More,
    /// This event was the terminator.
    End(Summary),
    /// So was this, and it told of a failure: clients of the upstream's dialect get it as it is.
    Failed(String),
}

/// Why an upstream's event ends the run.
#[derive(Debug, Error)]
pub(crate) enum Misheard {
    #[error("the upstream sent what is not JSON of its API: {0}")]
    Json(#[from] serde_json::Error),
    /// Its own error, in its own words, which clients get in ours.
    #[error("{0}")]
    Told(String),
}

impl KeyHeader {
    pub(super) fn name(self) -> HeaderName {
        match self {
            Self::Bearer => AUTHORIZATION,
            Self::XApiKey => HeaderName::from_static("x-api-key"),
        }
    }

    pub(super) fn value(self, key: &Secret) -> HeaderValue {
        let text = match self {
            Self::Bearer => format!("Bearer {}", key.expose()),
            Self::XApiKey => key.expose().to_owned(),
        };
        let mut value = HeaderValue::from_str(&text).expect("a secret is made of visible ASCII");
        value.set_sensitive(true);
        value
    }
}
