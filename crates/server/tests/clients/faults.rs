//! What a client sees of a model's server that fails, in each dialect, and what the run says of itself.
//!
//! | the model's server | status | the stream | the run |
//! | --- | --- | --- | --- |
//! | is steady; ends its lines with CR LF; comments | 200 | the whole answer, in LF and without comments | `done` |
//! | takes 5 s for its status | 200 after 3 s | the whole answer | `done` |
//! | answers 429 with `Retry-After`, or 500 | the same, with its body | | none |
//! | redirects | 502, and nobody follows | | none |
//! | sends an error after the first token | 200 | what came before, then the error | `failed` |
//! | is cut half-way | 200 | the half, then an error | `failed` |
//! | sends what is not JSON | 200 | what came before, then an error | `failed` |
//! | sends a line of 10 MB | 200 | what came before, then an error | `failed` |
//! | ends without its terminator | 200 | all that came, then an error | `failed` |
//! | never ends, until it is cancelled | 200 | what came before, then the end | `cancelled` |
//!
//! No stream ends without a word. The words are these:
//!
//! | dialect | all of it came | an error | cancelled |
//! | --- | --- | --- | --- |
//! | native | `done` | `error` | `done` whose `state` is `cancelled` |
//! | openai | `[DONE]` | `{"error":{…}}`, `[DONE]` | the same, `code` is `cancelled` |
//! | anthropic | `message_stop` | `error` | `error` that says so |
//! | responses | `response.completed`, `[DONE]` | `response.failed`, or the upstream's own `error`; `[DONE]` | `response.failed` whose `status` is `cancelled`, `[DONE]` |
//! | ai-sdk | `finish`, `[DONE]` | `error`, `finish`, `[DONE]` | `abort`, `finish`, `[DONE]` |
//! | langgraph | `end` | `error` | `error` named `UserInterrupt` |

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::Value;

use crate::dialect::{Dialect, End};
use crate::program::Program;
use crate::stage::run;
use crate::stream::Events;
use crate::transport::{Client, Transport, Whole, header};
use crate::upstream::{Manner, Speech, Upstream};

/// Of every answer that is whole.
const TOKENS: usize = 30;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// All of it comes.
    Whole,
    /// There is no stream, but this status.
    Refused(StatusCode),
    /// So many tokens come, and then an error.
    Fails(usize),
    /// It goes on until it is cancelled.
    Cancelled,
}

const TABLE: [(Manner, Fate); 13] = [
    (Manner::Steady, Fate::Whole),
    (Manner::Crlf, Fate::Whole),
    (Manner::Comments, Fate::Whole),
    (Manner::SlowFirstByte, Fate::Whole),
    (
        Manner::Limited,
        Fate::Refused(StatusCode::TOO_MANY_REQUESTS),
    ),
    (
        Manner::Broken,
        Fate::Refused(StatusCode::INTERNAL_SERVER_ERROR),
    ),
    (Manner::Redirect, Fate::Refused(StatusCode::BAD_GATEWAY)),
    (Manner::BrokenLater, Fate::Fails(1)),
    (Manner::Cut, Fate::Fails(TOKENS / 2)),
    (Manner::Garbage, Fate::Fails(1)),
    (Manner::LongLine, Fate::Fails(1)),
    (Manner::Unterminated, Fate::Fails(TOKENS)),
    (Manner::Endless, Fate::Cancelled),
];

#[tokio::test]
async fn in_our_own_dialect() {
    holds(Dialect::Native).await;
}

#[tokio::test]
async fn in_openais_chats() {
    holds(Dialect::OpenAi).await;
}

#[tokio::test]
async fn in_anthropics_messages() {
    holds(Dialect::Anthropic).await;
}

#[tokio::test]
async fn in_openais_responses() {
    holds(Dialect::Responses).await;
}

#[tokio::test]
async fn in_the_ai_sdks_chats() {
    holds(Dialect::AiSdk).await;
}

#[tokio::test]
async fn in_langgraphs_runs() {
    holds(Dialect::LangGraph).await;
}

/// The whole table, its rows at once.
async fn holds(dialect: Dialect) {
    let upstream = Arc::new(Upstream::start(Speech::of(TOKENS)).await);
    let program = Arc::new(Program::start(&["--upstream", &upstream.url()]));
    let rows = TABLE.map(|(manner, fate)| {
        let (upstream, program) = (Arc::clone(&upstream), Arc::clone(&program));
        tokio::spawn(async move { row(dialect, manner, fate, &upstream, &program).await })
    });
    let mut failed = Vec::new();
    for ((manner, _), row) in TABLE.iter().zip(rows) {
        if row.await.is_err() {
            failed.push(*manner);
        }
    }
    assert!(failed.is_empty(), "{dialect:?}: {failed:?}");
}

async fn row(dialect: Dialect, manner: Manner, fate: Fate, upstream: &Upstream, program: &Program) {
    match fate {
        Fate::Refused(status) => {
            let mut client = Client::connect(program, Transport::Http1).await;
            let answer = client.exchange(dialect.question(manner.model())).await;
            assert_refused(manner, status, &answer);
            let calls = upstream.calls_of(manner.model());
            assert_eq!(calls.len(), 1, "one try, and no detour");
        }
        Fate::Whole => {
            let (text, end, run) = streamed(dialect, manner, upstream, program).await;
            assert_eq!((text, end), (upstream.text(), End::Done), "{run}");
            assert_eq!(run["state"], "done", "{run}");
        }
        Fate::Fails(tokens) => {
            let (text, end, run) = streamed(dialect, manner, upstream, program).await;
            assert_eq!(text, Upstream::text_of(tokens), "{end:?}: {run}");
            let End::Failed(why) = end else {
                panic!("{end:?}: {run}")
            };
            assert_eq!(run["state"], "failed", "{run}");
            let error = run["error"].as_str().unwrap();
            assert!(!why.is_empty() && error.ends_with(&why), "{why}: {run}");
            assert_eq!(
                why.ends_with("overloaded"),
                manner == Manner::BrokenLater,
                "{why}"
            );
        }
        Fate::Cancelled => {
            let (text, end, run) = streamed(dialect, manner, upstream, program).await;
            assert!(Upstream::text_of(text.len()).starts_with(&text), "{text}");
            assert_eq!(end, End::Cancelled, "{run}");
            assert_eq!(run["state"], "cancelled", "{run}");
        }
    }
}

/// The text of a stream, its end, and what the run says of itself. An endless one is cancelled after its first token.
async fn streamed(
    dialect: Dialect,
    manner: Manner,
    upstream: &Upstream,
    program: &Program,
) -> (String, End, Value) {
    let model = manner.model();
    let mut client = Client::connect(program, Transport::Http1).await;
    let asked = Instant::now();
    let mut events = Events::of(client.send(dialect.question(model)).await.unwrap());
    if manner == Manner::SlowFirstByte {
        let patience = Duration::from_secs(3)..Manner::SLOW;
        assert!(patience.contains(&asked.elapsed()), "{:?}", asked.elapsed());
    }
    let mut seen = Vec::new();
    if manner == Manner::Endless {
        while dialect.text(&seen).is_empty() {
            seen.push(events.next().await);
        }
        let name = dialect.name_of(model, &events.headers, &seen[0]);
        let cancelled = Instant::now();
        let answer = Whole::of(program, Transport::Http1, dialect.cancel(&name)).await;
        assert!(answer.status.is_success(), "{answer:?}");
        let closed = upstream.call_of(model).await.left().await - cancelled;
        assert!(closed < Duration::from_secs(1), "{closed:?}");
    }
    seen.extend(events.rest().await);
    for unwanted in ["\r", "PROCESSING", "keep-alive"] {
        assert!(!events.text().contains(unwanted), "{}", events.text());
    }
    let run = run(program, header(&events.headers, "x-run-id")).await;
    let text = dialect.text(&seen);
    assert_eq!(run["text"], text, "{seen:?}");
    (text, dialect.end(&seen), run)
}

fn assert_refused(manner: Manner, status: StatusCode, answer: &Whole) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("x-run-id"), "", "there is no run");
    let said = answer.text();
    match manner {
        Manner::Limited => {
            assert_eq!(answer.header("retry-after"), "7", "{answer:?}");
            assert!(said.contains("slow down"), "{said}");
        }
        Manner::Broken => assert!(said.contains("out of order"), "{said}"),
        _ => assert_eq!(answer.header("location"), "", "{answer:?}"),
    }
}
