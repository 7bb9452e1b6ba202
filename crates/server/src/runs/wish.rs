//! Whose a run is, and how a wish for one is recognised when it is repeated.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use thiserror::Error;
use wellspring::{Epoch, LAST_EVENT_ID, Start};

use crate::dialect::Dialect;
use crate::run::{Run, RunOptions};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// 128 bits that are equal for equal content, within one life of the program. Keyed at random, so that
/// nobody can choose two contents with the same ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest(u64, u64);

/// Whoever sends the same `Authorization`, or the same `x-api-key` without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Owner(Digest);

/// An id that a client chose: 16 to 64 letters, digits, `_` and `-`. Who knows it may read the run, so
/// it should be hard to guess.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct RunId(String);

/// The text is no id for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a run's id is 16 to 64 letters, digits, _ and -")]
pub(crate) struct NoRunId;

/// Somebody's wish for a run, as far as it does not depend on what the run is to say.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) owner: Option<Owner>,
    pub(crate) digest: Digest,
    pub(crate) key: Option<String>,
    pub(crate) id: Option<RunId>,
    pub(crate) options: Option<RunOptions>,
    resumed: Option<Resumed>,
}

/// The id with which a client comes back to a run that the same request began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resumed {
    dialect: &'static dyn Dialect,
    /// The life of the log that gave the id out; none if no log of ours did.
    epoch: Option<Epoch>,
}

impl Digest {
    fn of(content: impl std::hash::Hash) -> Self {
        static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(Default::default);
        Self(KEYS[0].hash_one(&content), KEYS[1].hash_one(&content))
    }
}

impl Owner {
    /// Who sends this request; nobody in particular without a key.
    pub(crate) fn of(request: &Parts) -> Option<Self> {
        let headers = &request.headers;
        let key = headers
            .get(AUTHORIZATION)
            .or_else(|| headers.get("x-api-key"))?;
        Some(Self(Digest::of(key.as_bytes())))
    }
}

impl RunId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunId {
    type Error = NoRunId;

    fn try_from(text: String) -> Result<Self, NoRunId> {
        let fits = (16..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if fits { Ok(Self(text)) } else { Err(NoRunId) }
    }
}

impl Wish {
    /// The longest `Idempotency-Key`, in bytes; more of it is not looked at.
    const LONGEST_KEY: usize = 256;

    /// The wish that a request with this body is.
    pub(crate) fn of(request: &Parts, body: &[u8]) -> Self {
        let owner = Owner::of(request);
        Self {
            owner,
            digest: Digest::of((request.uri.path(), owner, body)),
            key: request
                .headers
                .get(IDEMPOTENCY_KEY)
                .map(HeaderValue::as_bytes)
                .map(|key| &key[..key.len().min(Self::LONGEST_KEY)])
                .map(|key| String::from_utf8_lossy(key).into_owned()),
            id: None,
            options: None,
            resumed: None,
        }
    }

    /// The same, of a client that POSTs the request again when its stream was cut, with the last id
    /// of this dialect that it has seen (`@microsoft/fetch-event-source`).
    pub(crate) fn resuming(mut self, request: &Parts, dialect: &'static dyn Dialect) -> Self {
        let id = request.headers.get(LAST_EVENT_ID);
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            let id = String::from_utf8_lossy(id.as_bytes());
            let epoch = match Start::from_last_event_id(&id) {
                Start::After(cursor) => Some(cursor.epoch),
                _ => None,
            };
            self.resumed = Some(Resumed { dialect, epoch });
        }
        self
    }

    /// The run to which the client comes back, if it does.
    pub(super) fn resumed(&self) -> Option<Resumed> {
        self.resumed
    }
}

impl Resumed {
    /// Whether this run gave out the id with which the client comes back.
    pub(super) fn is_of(self, run: &Run) -> bool {
        self.epoch
            .is_some_and(|epoch| run.gave_out(self.dialect, epoch))
    }
}
