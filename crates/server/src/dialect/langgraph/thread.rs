//! Threads: what their last run was asked and answered.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Asked, LangGraph};
use crate::answer::{self, Answer};
use crate::call::Call;
use crate::dialect::{Dialect, Opening};
use crate::run::{Run, State, now};
use crate::runs::Owner;

/// What a client calls a thread: up to 128 letters, digits, `_`, `-` and `.`, as it stands in paths and headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ThreadId(String);

/// `POST /threads`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Creation {
    thread_id: Option<ThreadId>,
    metadata: Value,
}

impl ThreadId {
    const LONGEST: usize = 128;

    /// A name that no other thread has: a UUID of version 4 (RFC 9562, section 5.4).
    fn random() -> Self {
        let bits = rand::rng().random::<u128>();
        let bits = bits & !(0xf << 76) | 0x4 << 76;
        let bits = bits & !(0x3 << 62) | 0x2 << 62;
        let hex = format!("{bits:032x}");
        Self(format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        ))
    }
}

impl TryFrom<String> for ThreadId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let fits = (1..=Self::LONGEST).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if fits {
            Ok(Self(text))
        } else {
            Err("a thread's id is 1 to 128 letters, digits, _, - and .")
        }
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `POST /threads`: a thread is kept with its first run; until then there is only its name.
pub(super) fn create(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        match serde_json::from_slice::<Creation>(&call.body) {
            Ok(creation) => {
                let id = creation.thread_id.unwrap_or_else(ThreadId::random);
                let run = last_run(&call, &id);
                let mut thread = describe(&id, run.as_deref());
                thread["metadata"] = creation.metadata;
                answer::json(StatusCode::OK, &thread)
            }
            Err(why) => LangGraph.refuse(StatusCode::UNPROCESSABLE_ENTITY, &why.to_string()),
        }
    })
}

pub(super) fn get(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move { tell(&call, describe) })
}

/// `GET /threads/{t}/state`
pub(super) fn state(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move { tell(&call, checkpoint) })
}

/// `POST /threads/{t}/history`: only the last state is kept.
pub(super) fn history(call: Call<'_>) -> Opening<'_> {
    Box::pin(async move {
        tell(&call, |id, run| {
            run.map(|run| checkpoint(id, Some(run)))
                .into_iter()
                .collect()
        })
    })
}

/// The thread that the path names.
pub(super) fn named(call: &Call<'_>) -> Result<ThreadId, &'static str> {
    let name = call.params.first().cloned().unwrap_or_default();
    ThreadId::try_from(name)
}

/// The last run of the sender's thread of this name.
pub(super) fn last_run(call: &Call<'_>, id: &ThreadId) -> Option<Arc<Run>> {
    let owner = Owner::of(call.request);
    call.runs().called(&LangGraph, owner, &id.0)
}

/// What a run leaves behind in its thread: `{"messages":[…]}`.
pub(super) fn values(run: &Run) -> Value {
    let whole = run.whole(&LangGraph).ok().flatten();
    whole
        .and_then(|whole| serde_json::from_str(&whole).ok())
        .unwrap_or_else(|| json!({}))
}

/// When it began and when it last changed, in the form that JavaScript reads (RFC 3339).
pub(super) fn times(run: Option<&Run>) -> [String; 2] {
    let Some(run) = run else {
        return [timestamp(now()), timestamp(now())];
    };
    let ended = run.ended().map_or(0, |ended| ended.as_secs());
    [timestamp(run.head().created), timestamp(now() - ended)]
}

/// Answers with what there is to tell of the thread that the path names.
fn tell(call: &Call<'_>, what: impl FnOnce(&ThreadId, Option<&Run>) -> Value) -> Answer {
    match named(call) {
        Ok(id) => {
            let run = last_run(call, &id);
            answer::json(StatusCode::OK, &what(&id, run.as_deref()))
        }
        Err(why) => LangGraph.refuse(StatusCode::UNPROCESSABLE_ENTITY, why),
    }
}

fn describe(id: &ThreadId, run: Option<&Run>) -> Value {
    let [created, updated] = times(run);
    let status = match run.map(Run::state) {
        None | Some(State::Done) => "idle",
        Some(State::Open) => "busy",
        Some(State::Cancelled) => "interrupted",
        Some(State::Failed | State::Expired) => "error",
    };
    json!({
        "thread_id": id,
        "created_at": created,
        "updated_at": updated,
        "metadata": {},
        "status": status,
        "values": run.map_or_else(|| json!({}), values),
        "interrupts": {},
    })
}

fn checkpoint(id: &ThreadId, run: Option<&Run>) -> Value {
    let [_, updated] = times(run);
    let asked = run.and_then(|run| run.head().conversation::<Asked>());
    json!({
        "values": run.map_or_else(|| json!({}), values),
        "next": [],
        "tasks": [],
        "metadata": { "assistant_id": asked.map(|asked| &asked.assistant) },
        "created_at": run.map(|_| updated),
        "checkpoint": run.map(|run| json!({
            "thread_id": id, "checkpoint_ns": "", "checkpoint_id": &**run.id(),
        })),
        "parent_checkpoint": null,
    })
}

/// Seconds since 1970, by the calendar: days are counted from the 1st of March, so that a leap day is
/// the last of its year, and 400 years are 146,097 days.
fn timestamp(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (era * 400 + year, month + 3),
        _ => (era * 400 + year + 1, month - 9),
    };
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_the_calendar() {
        for (seconds, told) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(seconds), told);
        }
    }

    #[test]
    fn a_threads_name_fits_into_a_path() {
        let id = ThreadId::random();
        assert_eq!(ThreadId::try_from(id.0.clone()), Ok(id.clone()));
        assert_eq!((&id.0[14..15], id.0.len()), ("4", 36), "{id}");
        for wrong in ["", "a/b", "ü", "a\nb", &"x".repeat(129)] {
            assert!(ThreadId::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
