//! The doors of runs: begun, joined, looked at, cancelled.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use super::message::{self, Message};
use super::request::RunRequest;
use super::thread::{self, ThreadId};
use super::{Asked, LangGraph};
use crate::answer::{self, Answer};
use crate::call::{Call, Source};
use crate::dialect::openai;
use crate::dialect::{Dialect, Opening};
use crate::run::{From, Run, RunOptions, State};
use crate::runs::{Spec, Wish};

/// `POST /threads/{t}/runs/stream` and `POST /runs/stream`.
pub(super) fn begin(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        let refuse = |why: &str| LangGraph.refuse(StatusCode::UNPROCESSABLE_ENTITY, why);
        let request = match RunRequest::read(&call.body) {
            Ok(request) => request,
            Err(why) => return refuse(&why),
        };
        let input = match request.messages() {
            Ok(input) => input,
            Err(why) => return refuse(&why),
        };
        if call.params.is_empty() {
            return run(&call, &request, None, input).await;
        }
        let id = match thread::named(&call) {
            Ok(id) => id,
            Err(why) => return refuse(why),
        };
        let mut messages = Vec::new();
        if let Some(last) = thread::last_run(&call, &id) {
            if last.state() == State::Open {
                if !request.interrupts() {
                    let why = "a run of this thread is open; it can be waited for, cancelled, or \
                               interrupted (multitask_strategy)";
                    return LangGraph.refuse(StatusCode::CONFLICT, why);
                }
                last.cancel();
            }
            messages = said_in(&last);
        }
        message::add(&mut messages, input);
        run(&call, &request, Some(id), messages).await
    })
}

/// `GET /threads/{t}/runs/{r}/stream` and `GET /runs/{r}/stream`.
pub(super) fn join(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        match find(&call) {
            Some(run) => call.join(&run, &LangGraph, LangGraph.from(call.request)),
            None => unknown(),
        }
    })
}

/// `GET /threads/{t}/runs/{r}`
pub(super) fn get(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        let Some(run) = find(&call) else {
            return unknown();
        };
        let asked = run.head().conversation::<Asked>();
        let [created, updated] = thread::times(Some(&run));
        let status = match run.state() {
            State::Open => "running",
            State::Done => "success",
            State::Cancelled => "interrupted",
            State::Failed => "error",
            State::Expired => "timeout",
        };
        answer::json(
            StatusCode::OK,
            &json!({
                "run_id": &**run.id(),
                "thread_id": asked.and_then(|asked| asked.thread.as_ref()),
                "assistant_id": asked.map(|asked| &asked.assistant),
                "created_at": created,
                "updated_at": updated,
                "status": status,
                "metadata": {},
                "multitask_strategy": null,
            }),
        )
    })
}

/// `POST /threads/{t}/runs/{r}/cancel`: it is over when this is answered, whether its client `wait`s or not.
pub(super) fn cancel(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        match find(&call) {
            Some(run) => {
                run.cancel();
                answer::empty(StatusCode::NO_CONTENT)
            }
            None => unknown(),
        }
    })
}

async fn run(
    call: &Call<'_>,
    request: &RunRequest,
    thread: Option<ThreadId>,
    messages: Vec<Message>,
) -> Answer {
    let body = Bytes::from(request.to_completion(&messages).to_string());
    let chat = match openai::ChatRequest::read(&body) {
        Ok(chat) => chat,
        Err(why) => return LangGraph.refuse(StatusCode::UNPROCESSABLE_ENTITY, &why),
    };
    let mut wish = Wish::of(call.request, &call.body);
    wish.options = request.on_disconnect().map(|on_disconnect| RunOptions {
        on_disconnect,
        ..call.runs().options()
    });
    let name = thread.as_ref().map(ThreadId::to_string);
    let spec = Spec {
        wish,
        model: chat.model.clone().unwrap_or_default(),
        include_usage: chat.includes_usage(),
        conversation: Some(Arc::new(Asked {
            thread,
            assistant: request.assistant_id.clone(),
            modes: request.modes(),
            messages: messages.into(),
        })),
        verbatim: None,
    };
    let source = Source {
        language: &openai::LANGUAGE,
        body,
        demo: chat.prompt(),
    };
    let name = name.as_deref().map(|name| (&LangGraph as _, name));
    match call.open_called(name, spec, source).await {
        Ok(opened) => call.stream(opened, &LangGraph, From::Beginning),
        Err(why) => why.into_answer(&LangGraph),
    }
}

/// The messages of the thread that a run was the last of.
fn said_in(run: &Run) -> Vec<Message> {
    let values = thread::values(run);
    let messages = values["messages"].as_array().into_iter().flatten();
    messages.filter_map(|it| Message::read(it).ok()).collect()
}

/// The run that the path names last; in its thread, if it names one, too.
fn find(call: &Call<'_>) -> Option<Arc<Run>> {
    let (id, threads) = call.params.split_last()?;
    let run = call.runs().find(id)?;
    let asked = run.head().conversation::<Asked>();
    let thread = asked.and_then(|asked| asked.thread.as_ref());
    let is_in = |named: &String| thread.is_some_and(|thread| thread.to_string() == *named);
    threads.iter().all(is_in).then_some(run)
}

fn unknown() -> Answer {
    LangGraph.refuse(
        StatusCode::NOT_FOUND,
        "there is no such run in this thread, or no longer",
    )
}
