//! Where responses are asked for, found again and stopped.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use rand::RngExt;
use serde_json::Value;
use wellspring::query;

use super::request::ResponseRequest;
use super::speller::Telling;
use super::{LANGUAGE, Responses, response};
use crate::answer::{self, Answer};
use crate::call::{Call, OpenError, Opened, Source};
use crate::demo;
use crate::dialect::{Dialect, Head, Opening, Said, Speller};
use crate::run::{Ending, From, Outgrown, Part, Run, State, Summary, now};
use crate::runs::{Owner, Spec, Wish};
use crate::upstream::{Reply, Upstream, UpstreamError};

/// `POST /v1/responses`: with `stream` the request becomes a run, and the response reads it.
pub(super) fn create(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        let asked = match ResponseRequest::read(&call.body) {
            Ok(asked) => asked,
            Err(why) => return Responses.refuse(StatusCode::BAD_REQUEST, &why),
        };
        if asked.stream == Some(true) {
            return match open(&call, &asked).await {
                Ok(opened) => call.stream(opened, &Responses, From::Beginning),
                Err(why) => why.into_answer(&Responses),
            };
        }
        match call.pass_through(&LANGUAGE).await {
            Some(Ok(whole)) => whole.into_answer(),
            Some(Err(why)) => why.into_answer(&Responses),
            None if asked.background == Some(true) => match open(&call, &asked).await {
                Ok(opened) => state(&opened.run),
                Err(why) => why.into_answer(&Responses),
            },
            None => whole(&asked),
        }
    })
}

/// `GET /v1/responses/{id}`: what there is of it, or with `stream=true` its events, from the beginning or
/// after `starting_after`. What was asked for without a stream, only the upstream knows.
pub(super) fn retrieve(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        let id = call.params.first().map_or("", String::as_str);
        let streams = query(call.request, "stream").is_some_and(|stream| stream == "true");
        match find(&call, id) {
            Some(run) if streams => {
                let from = Responses.from(call.request);
                call.join(&run, &Responses, from)
            }
            Some(run) => state(&run),
            None => match upstream_with(&call, id).filter(|_| !streams) {
                Some(upstream) => {
                    let headers = &call.request.headers;
                    match upstream.get(&path(id), &LANGUAGE, headers).await {
                        Ok(whole) => whole.into_answer(),
                        Err(why) => OpenError::from(why).into_answer(&Responses),
                    }
                }
                None => unknown(id),
            },
        }
    })
}

/// `POST /v1/responses/{id}/cancel`: stops it, unless it is over; either way answers what there is of it.
pub(super) fn cancel(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        let id = call.params.first().map_or("", String::as_str);
        let upstream = upstream_with(&call, id);
        let headers = call.request.headers.clone();
        match (find(&call, id), upstream) {
            (Some(run), upstream) => {
                if run.state() == State::Open {
                    // A response in the background goes on without its stream.
                    let upstream = upstream.filter(|_| is_in_background(&run));
                    run.cancel();
                    if let Some(upstream) = upstream {
                        let stopping = cancel_at(upstream, path(id), headers);
                        tokio::spawn(async { drop(stopping.await) });
                    }
                }
                state(&run)
            }
            (None, Some(upstream)) => cancel_at(upstream, path(id), headers)
                .await
                .unwrap_or_else(|why| OpenError::from(why).into_answer(&Responses)),
            (None, None) => unknown(id),
        }
    })
}

async fn open(call: &Call<'_>, asked: &ResponseRequest) -> Result<Opened, OpenError> {
    let spec = Spec {
        wish: Wish::of(call.request, &call.body),
        model: model(asked),
        // Responses always tell them.
        include_usage: true,
        conversation: None,
        verbatim: Some(&Responses),
    };
    let source = Source {
        language: &LANGUAGE,
        body: call.body.clone(),
        demo: asked.prompt(),
    };
    call.open(spec, source).await
}

/// The run of a response: by the name that its upstream gave it, or else by ours.
fn find(call: &Call<'_>, id: &str) -> Option<Arc<Run>> {
    let runs = call.runs();
    let owner = Owner::of(call.request);
    runs.called(&Responses, owner, id)
        .or_else(|| runs.find(response::run_of(id)?))
}

fn state(run: &Run) -> Answer {
    match run.whole(&Responses) {
        Ok(response) => {
            let response = response.unwrap_or_default();
            answer::bytes(StatusCode::OK, "application/json", response)
        }
        Err(Outgrown) => Responses.refuse(
            StatusCode::GONE,
            "the response's beginning is no longer kept",
        ),
    }
}

fn is_in_background(run: &Run) -> bool {
    let response = run.whole(&Responses).ok().flatten();
    let response: Option<Value> = response.and_then(|text| serde_json::from_str(&text).ok());
    response.is_some_and(|response| response["background"] == true)
}

/// The upstream that may know this response, if its id is one that can stand in a path.
fn upstream_with(call: &Call<'_>, id: &str) -> Option<Upstream> {
    let fits = id
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let upstreams = call.program.upstreams();
    upstreams
        .choose(call.request, &LANGUAGE)
        .ok()?
        .filter(|_| fits)
}

async fn cancel_at(
    upstream: Upstream,
    path: String,
    headers: HeaderMap,
) -> Result<Answer, UpstreamError> {
    let path = path + "/cancel";
    let cancelled = upstream
        .post(&path, &LANGUAGE, &headers, Bytes::new())
        .await;
    match cancelled
        .inspect_err(|why| tracing::warn!(%why, "the upstream was not told to cancel"))?
    {
        Reply::Whole(whole) => Ok(whole.into_answer()),
        Reply::Stream(_) => Err(UpstreamError::Refused("with a stream".to_owned())),
    }
}

fn path(id: &str) -> String {
    format!("{}/{id}", LANGUAGE.path)
}

fn model(asked: &ResponseRequest) -> String {
    asked
        .model
        .clone()
        .unwrap_or_else(|| demo::MODEL.to_owned())
}

fn unknown(id: &str) -> Answer {
    Responses.refuse(
        StatusCode::NOT_FOUND,
        &format!("Response with id '{id}' not found: it may have ended long ago."),
    )
}

/// The demo's response at once.
fn whole(asked: &ResponseRequest) -> Answer {
    let (text, finish_reason, usage) = demo::answer_whole(&asked.prompt());
    let head = Head {
        id: format!("{:032x}", rand::rng().random::<u128>()).into(),
        model: demo::MODEL.to_owned(),
        created: now(),
        include_usage: true,
        conversation: None,
    };
    let done = Ending::Done(Summary {
        finish_reason: Some(finish_reason),
        usage: Some(usage),
        ..Summary::default()
    });
    let mut telling = Telling::new(&head);
    for said in [Said::Part(&Part::Answer(text)), Said::End(&done)] {
        telling.spell(&said, 0, &mut Vec::new());
    }
    answer::bytes(
        StatusCode::OK,
        "application/json",
        telling.whole().unwrap_or_default(),
    )
}
