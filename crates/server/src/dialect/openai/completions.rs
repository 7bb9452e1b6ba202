//! `POST /v1/chat/completions`: the request becomes a run, and the response reads it as chunks. Leaving
//! the response does not stop the run, unless its policy says so.

use http::StatusCode;
use rand::RngExt;
use serde_json::json;

use super::{ChatRequest, LANGUAGE, OpenAi};
use crate::answer::{self, Answer};
use crate::call::{Call, Source};
use crate::demo;
use crate::dialect::{Dialect, Opening};
use crate::run::{From, now};
use crate::runs::{Spec, Wish};

pub(super) fn complete(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        let chat = match ChatRequest::read(&call.body) {
            Ok(chat) => chat,
            Err(why) => return OpenAi.refuse(StatusCode::BAD_REQUEST, &why),
        };
        if chat.stream == Some(true) {
            stream(&call, &chat).await
        } else {
            whole(&call, &chat).await
        }
    })
}

/// `GET /v1/models`: the upstream's list, or the one model that is built in.
#[expect(clippy::needless_pass_by_value, reason = "the signature is a door's")]
pub(super) fn models(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        let upstream = match call.program.upstreams().choose(call.request, &LANGUAGE) {
            Ok(upstream) => upstream,
            Err(why) => return OpenAi.refuse(StatusCode::BAD_REQUEST, &why.to_string()),
        };
        let Some(upstream) = upstream else {
            return answer::json(
                StatusCode::OK,
                &json!({
                    "object": "list",
                    "data": [{ "id": demo::MODEL, "object": "model", "created": 0, "owned_by": "wellspring" }],
                }),
            );
        };
        match upstream
            .get("/models", &LANGUAGE, &call.request.headers)
            .await
        {
            Ok(whole) => whole.into_answer(),
            Err(why) => OpenAi.refuse(StatusCode::BAD_GATEWAY, &why.to_string()),
        }
    })
}

async fn stream(call: &Call<'_>, chat: &ChatRequest) -> Answer {
    let spec = Spec {
        wish: Wish::of(call.request, &call.body),
        model: chat.model.clone().unwrap_or_else(|| demo::MODEL.to_owned()),
        include_usage: chat.includes_usage(),
        conversation: None,
        verbatim: Some(&OpenAi),
    };
    let source = Source {
        language: &LANGUAGE,
        body: call.body.clone(),
        demo: chat.prompt(),
    };
    match call.open(spec, source).await {
        Ok(opened) => call.stream(opened, &OpenAi, From::Beginning),
        Err(why) => why.into_answer(&OpenAi),
    }
}

async fn whole(call: &Call<'_>, chat: &ChatRequest) -> Answer {
    match call.pass_through(&LANGUAGE).await {
        Some(Ok(whole)) => whole.into_answer(),
        Some(Err(why)) => why.into_answer(&OpenAi),
        None => {
            let (text, finish_reason, usage) = demo::answer_whole(&chat.prompt());
            answer::json(
                StatusCode::OK,
                &json!({
                    "id": format!("chatcmpl-{:016x}", rand::rng().random::<u64>()),
                    "object": "chat.completion",
                    "created": now(),
                    "model": demo::MODEL,
                    "choices": [{
                        "index": 0,
                        "message": { "role": "assistant", "content": text },
                        "finish_reason": finish_reason,
                    }],
                    "usage": usage,
                }),
            )
        }
    }
}
