//! The doors: `/api/chat` and below it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::json;
use wellspring::query;

use super::request::ChatRequest;
use super::{AiSdk, Chat};
use crate::answer;
use crate::call::{Call, Source};
use crate::demo;
use crate::dialect::openai;
use crate::dialect::{Dialect, Opening};
use crate::problem::Problem;
use crate::run::{From, Run, State};
use crate::runs::{Owner, Spec, Wish};

/// The number of the last chunk, from which a client that asked for the last few knows which these are.
const TAIL: HeaderName = HeaderName::from_static("x-workflow-stream-tail-index");

/// `POST /api/chat`: begins a run, and streams it chunk by chunk.
pub(super) fn begin(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        let request = ChatRequest::read(&call.body);
        let completion = request.and_then(|request| {
            let body = Bytes::from(request.to_completion().to_string());
            let chat = openai::ChatRequest::read(&body)?;
            Ok((request, chat, body))
        });
        let (request, chat, body) = match completion {
            Ok(completion) => completion,
            Err(why) => return AiSdk.refuse(StatusCode::BAD_REQUEST, &why),
        };
        let wish = Wish::of(call.request, &call.body);
        let spec = Spec {
            wish,
            model: chat.model.clone().unwrap_or_else(|| demo::MODEL.to_owned()),
            include_usage: chat.includes_usage(),
            conversation: Some(Arc::new(Chat {
                continued: request.continued().map(str::to_owned),
            })),
            verbatim: None,
        };
        let source = Source {
            language: &openai::LANGUAGE,
            body,
            demo: chat.prompt(),
        };
        let name = request.id.as_deref().map(|chat| (&AiSdk as _, chat));
        let opened = match call.open_called(name, spec, source).await {
            Ok(opened) => opened,
            Err(why) => return why.into_answer(&AiSdk),
        };
        // By its number, for that is never merged: the client may count the chunks.
        call.stream(opened, &AiSdk, From::Number(0))
    })
}

/// `GET /api/chat/{id}/stream`: of a chat what is open, or of a chat or a run everything from a chunk on.
pub(super) fn resume(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        let run = find(&call);
        let Some(start) = query(call.request, "startIndex") else {
            return match run.filter(|run| run.state() == State::Open) {
                Some(run) => call.join(&run, &AiSdk, From::Beginning),
                None => answer::empty(StatusCode::NO_CONTENT),
            };
        };
        let Some(run) = run else {
            return Problem::not_found("there is no such run or chat, or no longer").into_answer();
        };
        let Ok(start) = start.parse::<i64>() else {
            return Problem::bad_request("startIndex is the number of a chunk").into_answer();
        };
        // Of a run that is outgrown joining it tells.
        let chunks = run.count(&AiSdk).unwrap_or_default();
        let chunks = match run.state() {
            State::Open => chunks,
            // `[DONE]` is no chunk.
            _ => chunks.saturating_sub(1),
        };
        let first = match u64::try_from(start) {
            Ok(first) => first,
            Err(_) => chunks.saturating_sub(start.unsigned_abs()),
        };
        let mut answer = call.join(&run, &AiSdk, From::Number(first));
        if let Some(last) = chunks.checked_sub(1) {
            answer.headers_mut().insert(TAIL, last.into());
        }
        answer
    })
}

/// `POST /api/chat/{id}/stop`: cancels what is open. With `activeStreamId` only if that is the run: a
/// request that comes late must not stop the next one.
pub(super) fn stop(call: Call<'_>) -> Opening<'_> {
    #[derive(Debug, Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Stop {
        active_stream_id: Option<String>,
    }
    Box::pin(async move {
        let stop: Stop = serde_json::from_slice(&call.body).unwrap_or_default();
        let meant = |run: &Arc<Run>| stop.active_stream_id.is_none_or(|id| *id == **run.id());
        if let Some(run) = find(&call).filter(meant) {
            run.cancel();
        }
        answer::json(StatusCode::OK, &json!({ "success": true }))
    })
}

/// The last run of the sender's chat of this name, or else the run of this id.
fn find(call: &Call<'_>) -> Option<Arc<Run>> {
    let name = call.params.first()?;
    let owner = Owner::of(call.request);
    let chat = call.runs().called(&AiSdk, owner, name);
    chat.or_else(|| call.runs().find(name))
}
