//! `POST /v1/runs`: a run that the server feeds with an upstream's answer, or one that waits for
//! whoever pushes.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, LOCATION};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::answer::{self, Answer};
use crate::call::{Call, OpenError, Source, X_RUN_ID};
use crate::demo;
use crate::dialect::openai::{ChatRequest, LANGUAGE};
use crate::dialect::{NATIVE, Opening, misread};
use crate::problem::Problem;
use crate::run::{OnDisconnect, Run, RunOptions};
use crate::runs::{RunId, Spec, Wish};

/// What the run is to be; every member may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted<'a> {
    id: Option<RunId>,
    /// An OpenAI chat completion request, for the upstream. Without it somebody pushes.
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    on_disconnect: Option<OnDisconnect>,
    /// Seconds.
    expires_in: Option<NonZeroU32>,
}

pub(super) fn create(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        match begin(&call).await {
            Ok(answer) => answer,
            Err(problem) => problem.into_answer(),
        }
    })
}

async fn begin(call: &Call<'_>) -> Result<Answer, Problem> {
    let wanted = match call.body.trim_ascii() {
        [] => Wanted::default(),
        body => serde_json::from_slice(body)
            .map_err(|why| Problem::bad_request(misread("wish for a run", &why)))?,
    };
    let mut wish = Wish::of(call.request, &call.body).resuming(call.request, NATIVE);
    wish.options = Some(wanted.options(call.runs().options()));
    wish.id = wanted.id;
    match wanted.request {
        Some(request) => relay(call, wish, request).await,
        None => await_producer(call, wish),
    }
}

async fn relay(call: &Call<'_>, wish: Wish, request: &RawValue) -> Result<Answer, Problem> {
    let chat = ChatRequest::read(request.get().as_bytes()).map_err(Problem::bad_request)?;
    let spec = Spec {
        wish,
        model: chat.model.clone().unwrap_or_else(|| demo::MODEL.to_owned()),
        include_usage: chat.includes_usage(),
        conversation: None,
        // Spelled when somebody reads it so: most runs of this door are read natively.
        verbatim: None,
    };
    let source = Source {
        language: &LANGUAGE,
        body: streaming(request, &chat)?.into(),
        demo: chat.prompt(),
    };
    let opened = match call.open(spec, source).await {
        Ok(opened) => opened,
        Err(error) => return Ok(error.into_answer(NATIVE)),
    };
    if wants_stream(call.request) {
        let from = NATIVE.from(call.request);
        return Ok(call.stream(opened, NATIVE, from));
    }
    let new = !opened.joined;
    Ok(told(&opened.unread(), new))
}

fn await_producer(call: &Call<'_>, wish: Wish) -> Result<Answer, Problem> {
    let spec = Spec {
        wish,
        model: String::new(),
        include_usage: false,
        conversation: None,
        verbatim: None,
    };
    match call.runs().await_producer(spec) {
        Ok((run, new)) => Ok(told(&run, new)),
        Err(error) => Ok(OpenError::from(error).into_answer(NATIVE)),
    }
}

impl Wanted<'_> {
    fn options(&self, standard: RunOptions) -> RunOptions {
        RunOptions {
            on_disconnect: self.on_disconnect.unwrap_or(standard.on_disconnect),
            expires: self.expires_in.map_or(standard.expires, |seconds| {
                Some(Duration::from_secs(seconds.get().into()))
            }),
            ..standard
        }
    }
}

/// The request as the upstream is to get it: as it was written if it asks for a stream, or else made to.
fn streaming(request: &RawValue, chat: &ChatRequest) -> Result<String, Problem> {
    if chat.stream == Some(true) {
        return Ok(request.get().to_owned());
    }
    let mut fields: Map<String, Value> = serde_json::from_str(request.get())
        .map_err(|why| Problem::bad_request(misread("chat request", &why)))?;
    fields.insert("stream".to_owned(), Value::Bool(true));
    Ok(Value::Object(fields).to_string())
}

fn wants_stream(request: &Parts) -> bool {
    request.headers.get_all(ACCEPT).iter().any(|accept| {
        let accept = accept.as_bytes().to_ascii_lowercase();
        memchr::memmem::find(&accept, b"text/event-stream").is_some()
    })
}

/// The run as JSON, and where it is.
fn told(run: &Arc<Run>, new: bool) -> Answer {
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut answer = answer::json(status, &run.report());
    let ascii = |text: &str| HeaderValue::from_str(text).expect("ids are ASCII");
    let headers = answer.headers_mut();
    headers.insert(LOCATION, ascii(&format!("/v1/runs/{}/events", run.id())));
    headers.insert(X_RUN_ID, ascii(run.id()));
    answer
}
