//! `POST /v1/messages`: the request becomes a run, and the response reads it as events of a message.

use http::StatusCode;
use rand::RngExt;
use serde_json::json;

use super::{Anthropic, LANGUAGE, speller};
use crate::answer::{self, Answer};
use crate::call::{Call, Source};
use crate::demo;
use crate::dialect::openai::ChatRequest;
use crate::dialect::{Dialect, Opening};
use crate::run::From;
use crate::runs::{Spec, Wish};

pub(super) fn create(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        // What concerns us of a request has the same names in both APIs.
        let chat = match ChatRequest::read(&call.body) {
            Ok(chat) => chat,
            Err(why) => return Anthropic.refuse(StatusCode::BAD_REQUEST, &why),
        };
        if chat.stream == Some(true) {
            stream(&call, &chat).await
        } else {
            whole(&call, &chat).await
        }
    })
}

async fn stream(call: &Call<'_>, chat: &ChatRequest) -> Answer {
    let spec = Spec {
        wish: Wish::of(call.request, &call.body),
        model: chat.model.clone().unwrap_or_else(|| demo::MODEL.to_owned()),
        // Messages always tell them.
        include_usage: true,
        conversation: None,
        verbatim: Some(&Anthropic),
    };
    let source = Source {
        language: &LANGUAGE,
        body: call.body.clone(),
        demo: chat.prompt(),
    };
    match call.open(spec, source).await {
        Ok(opened) => call.stream(opened, &Anthropic, From::Beginning),
        Err(why) => why.into_answer(&Anthropic),
    }
}

async fn whole(call: &Call<'_>, chat: &ChatRequest) -> Answer {
    match call.pass_through(&LANGUAGE).await {
        Some(Ok(whole)) => whole.into_answer(),
        Some(Err(why)) => why.into_answer(&Anthropic),
        None => {
            let (text, finish_reason, usage) = demo::answer_whole(&chat.prompt());
            let id = format!("msg_{:032x}", rand::rng().random::<u128>());
            let mut message = speller::message(&id, demo::MODEL);
            message["content"] = json!([{ "type": "text", "text": text }]);
            message["stop_reason"] = json!(speller::stop_reason(Some(&finish_reason)));
            message["usage"] = speller::usage(Some(&usage));
            answer::json(StatusCode::OK, &message)
        }
    }
}
