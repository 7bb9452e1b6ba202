//! A request at a dialect's door, with what a dialect needs to answer it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, LOCATION};
use http::request::Parts;
use http::{HeaderName, Method, StatusCode};
use thiserror::Error;
use tokio::sync::oneshot;
use wellspring::{EventBody, LAST_EVENT_ID, event_stream};

use crate::answer::{self, Answer};
use crate::demo;
use crate::dialect::{Dialect, Language};
use crate::ledger::Ledger;
use crate::problem::Problem;
use crate::routes::Program;
use crate::run::{From, Outgrown, Presence, Run};
use crate::runs::{BeginError, Begun, Runs, Spec};
use crate::stream;
use crate::upstream::{self, Reply, UnknownUpstream, UpstreamError, Whole};

pub(crate) const X_RUN_ID: HeaderName = HeaderName::from_static("x-run-id");

/// How long an upstream may take for its status before we commit to 200 without it: SDKs retry on a
/// status, and cannot on an error in the stream.
const STATUS_WAIT: Duration = Duration::from_secs(3);

/// A request at a dialect's door. Its body was read already.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) program: &'a Program,
    pub(crate) ledger: &'a Arc<Ledger>,
    pub(crate) request: &'a Parts,
    /// What stands in the path where the door's has names, in their order.
    pub(crate) params: Vec<String>,
    pub(crate) body: Bytes,
}

/// What a run is fed by: an upstream that gets this request, or, where none is configured, the demo
/// with this prompt.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) language: &'static Language,
    pub(crate) body: Bytes,
    pub(crate) demo: demo::Prompt,
}

/// A run that somebody reads.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) run: Arc<Run>,
    presence: Presence,
    /// Whether it was there already.
    pub(crate) joined: bool,
}

/// Why a run was not opened.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Begin(#[from] BeginError),
    #[error(transparent)]
    Unknown(#[from] UnknownUpstream),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The upstream's own words, to be passed on as they are.
    #[error("the upstream answered {}", .0.status)]
    Refused(Whole),
}

impl Opened {
    /// The run, for a client that wants it and does not read it: nobody leaves when the client does.
    pub(crate) fn unread(self) -> Arc<Run> {
        self.presence.retract();
        self.run
    }
}

impl OpenError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Begin(BeginError::TooMany) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Begin(BeginError::Taken) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Begin(BeginError::Gone) => StatusCode::NOT_FOUND,
            Self::Unknown(_) => StatusCode::BAD_REQUEST,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
            Self::Refused(whole) => whole.status,
        }
    }

    /// The upstream's words if it spoke, or else ours, as the dialect has them.
    pub(crate) fn into_answer(self, dialect: &dyn Dialect) -> Answer {
        match self {
            Self::Refused(whole) => whole.into_answer(),
            other => {
                let mut answer = dialect.refuse(other.status(), &other.to_string());
                if other.status() == StatusCode::SERVICE_UNAVAILABLE {
                    let seconds = HeaderValue::from_static("30");
                    answer
                        .headers_mut()
                        .insert(http::header::RETRY_AFTER, seconds);
                }
                answer
            }
        }
    }
}

impl<'a> Call<'a> {
    pub(crate) fn runs(&self) -> &'a Runs {
        self.program.runs()
    }

    /// Begins a run and feeds it, or joins the one that the same wish began. It goes on when the
    /// client leaves, as its policy says.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; then there is no run.
    pub(crate) async fn open(&self, spec: Spec, source: Source) -> Result<Opened, OpenError> {
        self.open_called(None, spec, source).await
    }

    /// The same, of a run that clients ask for by a name of this dialect: they may while its upstream still
    /// thinks, and whoever reloads a page does.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; then there is no run.
    pub(crate) async fn open_called(
        &self,
        name: Option<(&'static dyn Dialect, &str)>,
        mut spec: Spec,
        source: Source,
    ) -> Result<Opened, OpenError> {
        let language = source.language;
        let upstream = self.program.upstreams().choose(self.request, language)?;
        // The demo speaks no dialect of its own.
        spec.verbatim = spec.verbatim.filter(|_| upstream.is_some());
        let owner = spec.wish.owner;
        let (run, producer) = match self.runs().begin(spec)? {
            Begun::New(run, producer) => (run, producer),
            Begun::Joined(run) => {
                return Ok(Opened {
                    presence: Presence::of(&run),
                    run,
                    joined: true,
                });
            }
        };
        if let Some((dialect, name)) = name {
            self.runs().call(&run, dialect, owner, name);
        }
        // From now on, and not from the first byte on: who leaves while the upstream thinks has left.
        let presence = Presence::of(&run);
        let Some(upstream) = upstream else {
            tokio::spawn(demo::answer(source.demo, producer));
            return Ok(Opened {
                run,
                presence,
                joined: false,
            });
        };
        let (verdict, early) = oneshot::channel();
        let called = {
            let (runs, run) = (self.runs().clone(), Arc::clone(&run));
            move |name: &str| runs.call(&run, language.dialect, owner, name)
        };
        let headers = self.request.headers.clone();
        // In a task of its own: the run outlives the request.
        tokio::spawn(upstream::relay(
            upstream,
            language,
            headers,
            source.body,
            producer,
            verdict,
            called,
        ));
        if let Ok(Ok(Err(refusal))) = tokio::time::timeout(STATUS_WAIT, early).await {
            self.runs().forget(run.id());
            return Err(match refusal {
                Ok(whole) => OpenError::Refused(whole),
                Err(error) => OpenError::Upstream(error),
            });
        }
        Ok(Opened {
            run,
            presence,
            joined: false,
        })
    }

    /// Asks the upstream for something that is no stream; none if there is no upstream.
    pub(crate) async fn pass_through(
        &self,
        language: &'static Language,
    ) -> Option<Result<Whole, OpenError>> {
        let upstream = match self.program.upstreams().choose(self.request, language) {
            Ok(upstream) => upstream?,
            Err(unknown) => return Some(Err(unknown.into())),
        };
        let reply = upstream
            .ask(language, &self.request.headers, self.body.clone())
            .await;
        Some(match reply {
            Ok(Reply::Whole(whole)) => Ok(whole),
            Ok(Reply::Stream(_)) => Err(OpenError::Upstream(UpstreamError::Refused(
                "with a stream, though it was not asked for one".to_owned(),
            ))),
            Err(error) => Err(error.into()),
        })
    }

    /// The stream of a run that was opened.
    pub(crate) fn stream(
        &self,
        opened: Opened,
        dialect: &'static dyn Dialect,
        from: From,
    ) -> Answer {
        stream_run(
            self.program,
            self.ledger,
            self.request,
            &opened.run,
            opened.presence,
            dialect,
            from,
        )
    }

    /// The stream of a run that is there.
    pub(crate) fn join(&self, run: &Arc<Run>, dialect: &'static dyn Dialect, from: From) -> Answer {
        let presence = Presence::of(run);
        stream_run(
            self.program,
            self.ledger,
            self.request,
            run,
            presence,
            dialect,
            from,
        )
    }
}

/// Answers with a run in one dialect: 200 and the stream, or 204 for who has all of it.
pub(crate) fn stream_run(
    program: &Program,
    ledger: &Arc<Ledger>,
    request: &Parts,
    run: &Arc<Run>,
    presence: Presence,
    dialect: &'static dyn Dialect,
    from: From,
) -> Answer {
    let returning = from != From::Beginning;
    let reader = match run.read(dialect, from) {
        Ok(reader) => reader,
        Err(Outgrown) => {
            presence.retract();
            return Problem::new(
                StatusCode::GONE,
                "the run's beginning is no longer kept, and without it this dialect cannot be told; \
                 /v1/runs/{id}/events tells what there is",
            )
            .into_answer();
        }
    };
    if returning && reader.is_finished() {
        // The one answer after which an `EventSource` does not come back (WHATWG HTML, 9.2.3).
        return answer::empty(StatusCode::NO_CONTENT);
    }
    // A reader whose continuity is lost learns from its `gap` where it stands, and not before.
    let place = (dialect.has_ids() && !reader.is_lost()).then(|| reader.cursor().id());
    let mut options = stream::options(request, program.heartbeat());
    if !dialect.reconnects() {
        options = options.with_retry(None);
    }
    let body = match request.method {
        Method::HEAD => EventBody::full(""),
        _ => EventBody::new(reader, options),
    };
    let mut response = event_stream(body);
    let headers = response.headers_mut();
    if let Some(place) = place {
        headers.insert(LAST_EVENT_ID, ascii(place.as_str()));
    }
    headers.insert(X_RUN_ID, ascii(run.id()));
    let mut location = format!("/v1/runs/{}/events", run.id());
    if dialect.name() != crate::dialect::NATIVE.name() {
        location = location + "?as=" + dialect.name();
    }
    headers.insert(LOCATION, ascii(&location));
    dialect.mark(run.head(), headers);
    let names = [Arc::clone(run.id())];
    let answer = stream::send(request, response, ledger, program.cuts(), names, None);
    if request.method == Method::HEAD {
        // Who only looks is not missed when it goes.
        presence.retract();
        return answer;
    }
    answer.map(|body| body.read_by(presence))
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids and names are ASCII")
}
