//! `POST /v1/chat/completions`: the request becomes a run, and the response reads that run as OpenAI's
//! chunks. Leaving the response does not stop the run; whoever has its id reads it again at
//! `GET /v1/runs/{id}/events`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body;
use rand::RngExt;
use serde::Deserialize;
use serde_json::{Value, json};
use wellspring::{EventBody, StreamOptions, event_stream};

use crate::answer::{self, Answer};
use crate::demo;
use crate::dialect::{Dialect, Part, Summary};
use crate::ingest::collect;
use crate::runs::{Producer, Run, Runs, TooManyRuns};
use crate::upstream::{self, Reply, Upstream, UpstreamError, Whole};

const X_RUN_ID: HeaderName = HeaderName::from_static("x-run-id");

/// The longest request.
const LONGEST: usize = 4 * 1024 * 1024;

/// How long an upstream may take for its status before we commit to 200 without it: SDKs retry on a
/// status, and cannot on an error in the stream.
const STATUS_WAIT: Duration = Duration::from_secs(3);

/// What comes of a chat request.
pub(crate) enum Outcome {
    /// A stream over this run.
    Stream(Arc<Run>, Response<EventBody>),
    /// Something that is over.
    Whole(Answer),
}

/// The parts of a request that concern us; an upstream gets all of it, byte for byte.
#[derive(Debug, Deserialize)]
struct ChatRequest {
    #[serde(default)]
    model: Option<String>,
    messages: Vec<Message>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptionsRequest>,
    #[serde(default)]
    max_tokens: Option<u32>,
    #[serde(default)]
    max_completion_tokens: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    role: String,
    #[serde(default)]
    content: Value,
}

#[derive(Debug, Deserialize)]
struct StreamOptionsRequest {
    #[serde(default)]
    include_usage: bool,
}

/// Answers a chat request.
pub(crate) async fn complete<B: Body<Data = Bytes>>(
    runs: &Runs,
    upstream: Option<&Upstream>,
    heartbeat: Duration,
    request: &Parts,
    body: B,
) -> Outcome {
    let body = match collect(body, LONGEST).await {
        Ok(body) => body.freeze(),
        Err(_) => {
            return whole(error(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("the body is longer than {LONGEST} bytes"),
            ));
        }
    };
    let chat: ChatRequest = match serde_json::from_slice(&body) {
        Ok(chat) => chat,
        Err(why) => {
            return whole(error(
                StatusCode::BAD_REQUEST,
                &format!("no chat request: {why}"),
            ));
        }
    };
    if chat.messages.is_empty() {
        return whole(error(StatusCode::BAD_REQUEST, "`messages` is empty"));
    }
    let streams = chat.stream == Some(true);
    match upstream {
        None if streams => {
            let begun = begin(runs, demo::MODEL, &chat).map(|(run, producer)| {
                tokio::spawn(answer_as_demo(
                    demo_answer(&chat),
                    prompt_words(&chat),
                    producer,
                ));
                run
            });
            stream(begun, heartbeat)
        }
        None => whole(demo_in_one_piece(&chat)),
        Some(upstream) if streams => ask(runs, upstream, heartbeat, request, &chat, body).await,
        Some(upstream) => whole(match upstream.ask(&request.headers, body).await {
            Ok(Reply::Whole(reply)) => pass_on(reply),
            Ok(Reply::Stream(_)) => error(
                StatusCode::BAD_GATEWAY,
                "the upstream streams, though it was not asked to",
            ),
            Err(why) => error(StatusCode::BAD_GATEWAY, &why.to_string()),
        }),
    }
}

/// `GET /v1/models`: the upstream's list, or the one model that is built in.
pub(crate) async fn models(upstream: Option<&Upstream>, request: &Parts) -> Answer {
    match upstream {
        None => answer::json(
            StatusCode::OK,
            &json!({
                "object": "list",
                "data": [{ "id": demo::MODEL, "object": "model", "created": 0, "owned_by": "wellspring" }],
            }),
        ),
        Some(upstream) => match upstream.models(&request.headers).await {
            Ok(reply) => pass_on(reply),
            Err(why) => error(StatusCode::BAD_GATEWAY, &why.to_string()),
        },
    }
}

async fn ask(
    runs: &Runs,
    upstream: &Upstream,
    heartbeat: Duration,
    request: &Parts,
    chat: &ChatRequest,
    body: Bytes,
) -> Outcome {
    let upstream = upstream.clone();
    let headers = request.headers.clone();
    // In a task of its own: the run goes on when the client that began it leaves.
    let mut reply = tokio::spawn(async move { upstream.ask(&headers, body).await });
    let early = tokio::time::timeout(STATUS_WAIT, &mut reply).await;
    let early = early
        .map(|joined| joined.unwrap_or_else(|panic| Err(UpstreamError::Broken(panic.to_string()))));
    match early {
        Ok(Ok(Reply::Whole(reply))) => return whole(pass_on(reply)),
        Ok(Err(why)) => return whole(error(StatusCode::BAD_GATEWAY, &why.to_string())),
        Ok(Ok(Reply::Stream(_))) | Err(_) => {}
    }
    let begun =
        begin(runs, chat.model.as_deref().unwrap_or_default(), chat).map(|(run, producer)| {
            match early {
                Ok(Ok(Reply::Stream(response))) => {
                    tokio::spawn(upstream::relay(response, producer));
                }
                _ => {
                    tokio::spawn(async move { relay_late(reply.await, producer).await });
                }
            }
            run
        });
    stream(begun, heartbeat)
}

/// The upstream's reply came after we had committed to 200: whatever it is, it goes into the stream.
async fn relay_late(
    reply: Result<Result<Reply, UpstreamError>, tokio::task::JoinError>,
    producer: Producer,
) {
    let message = match reply {
        Ok(Ok(Reply::Stream(response))) => return upstream::relay(response, producer).await,
        Ok(Ok(Reply::Whole(whole))) => {
            let said = String::from_utf8_lossy(&whole.body);
            let said: String = said.chars().take(1000).collect();
            format!("the upstream answered {}: {said}", whole.status)
        }
        Ok(Err(why)) => why.to_string(),
        Err(panic) => panic.to_string(),
    };
    producer.finish(&Part::Failed { message: &message });
}

fn begin(
    runs: &Runs,
    model: &str,
    chat: &ChatRequest,
) -> Result<(Arc<Run>, Producer), TooManyRuns> {
    let include_usage = chat
        .stream_options
        .as_ref()
        .is_some_and(|options| options.include_usage);
    runs.begin(model, include_usage)
}

fn stream(run: Result<Arc<Run>, TooManyRuns>, heartbeat: Duration) -> Outcome {
    let Ok(run) = run else {
        let mut answer = error(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many runs; try again later",
        );
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("30"));
        return whole(answer);
    };
    // No reconnection time: a client of this dialect would have to POST again.
    let options = StreamOptions::default()
        .with_heartbeat(heartbeat)
        .with_retry(None);
    let reader = run.read(Dialect::OpenAiChat, run.beginning(Dialect::OpenAiChat));
    let mut response = event_stream(EventBody::new(reader, options));
    let headers = response.headers_mut();
    let id = HeaderValue::from_str(run.id()).expect("an id is ASCII");
    headers.insert(X_RUN_ID, id);
    let location = HeaderValue::from_str(&format!("/v1/runs/{}/events", run.id()));
    headers.insert(LOCATION, location.expect("an id is ASCII"));
    Outcome::Stream(run, response)
}

/// Lets the demo model type its answer into a run, at its own pace.
async fn answer_as_demo(mut answer: demo::Answer, prompt_tokens: usize, producer: Producer) {
    producer.tell(&Part::Begin);
    let mut tokens = 0;
    for token in answer.by_ref() {
        tokio::time::sleep(token.pause).await;
        producer.tell(&Part::Answer(&token.text));
        tokens += 1;
    }
    producer.finish(&Part::Done(Summary {
        finish_reason: Some(answer.finish_reason().as_str().to_owned()),
        usage: Some(usage(prompt_tokens, tokens)),
        relayed: false,
    }));
}

fn demo_in_one_piece(chat: &ChatRequest) -> Answer {
    let mut tokens = 0;
    let mut answer = demo_answer(chat);
    let text: String = answer
        .by_ref()
        .inspect(|_| tokens += 1)
        .map(|token| token.text)
        .collect();
    answer::json(
        StatusCode::OK,
        &json!({
            "id": format!("chatcmpl-{:016x}", rand::rng().random::<u64>()),
            "object": "chat.completion",
            "created": std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()),
            "model": demo::MODEL,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": text },
                "finish_reason": answer.finish_reason().as_str(),
            }],
            "usage": usage(prompt_words(chat), tokens),
        }),
    )
}

fn demo_answer(chat: &ChatRequest) -> demo::Answer {
    let prompt = chat
        .messages
        .iter()
        .rev()
        .find(|message| message.role == "user");
    let prompt = prompt
        .map(|message| text_of(&message.content))
        .unwrap_or_default();
    let most = chat.max_completion_tokens.or(chat.max_tokens);
    demo::Answer::new(&prompt, most, rand::rng().random())
}

/// A message's text: a string, or the text parts of a list.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            texts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

/// The demo's tokens are words and pieces of words; of a prompt it counts the words.
fn prompt_words(chat: &ChatRequest) -> usize {
    let words = |message: &Message| text_of(&message.content).split_whitespace().count();
    chat.messages.iter().map(words).sum()
}

fn usage(prompt: usize, completion: usize) -> Value {
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    })
}

fn pass_on(reply: Whole) -> Answer {
    let mut answer = answer::bytes(reply.status, "application/json", reply.body);
    let headers = answer.headers_mut();
    if let Some(content_type) = reply.content_type {
        headers.insert(CONTENT_TYPE, content_type);
    }
    if let Some(retry_after) = reply.retry_after {
        headers.insert(RETRY_AFTER, retry_after);
    }
    answer
}

fn whole(answer: Answer) -> Outcome {
    Outcome::Whole(answer)
}

/// An error in OpenAI's shape, which their SDKs show to people.
fn error(status: StatusCode, message: &str) -> Answer {
    let kind = if status.is_client_error() {
        "invalid_request_error"
    } else {
        "server_error"
    };
    answer::json(
        status,
        &json!({ "error": { "message": message, "type": kind, "param": null, "code": null } }),
    )
}
