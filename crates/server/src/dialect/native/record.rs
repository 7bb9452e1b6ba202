//! What an app pushes, read: the words in which a run's readers are told, the other way round.
//!
//! | line | block | says |
//! | --- | --- | --- |
//! | `{"type":"thinking","text":"Hm"}` | `event: thinking`, `data: {"text":"Hm"}` | a piece of thought |
//! | `{"type":"answer","text":"Hel"}` | `event: answer` | a piece of the answer |
//! | `{"type":"tool","index":0,"id":"call_1","name":"look","arguments":"{"}` | `event: tool` | a piece of a call |
//! | `{"type":"progress","percent":25,"message":"…"}` | `event: progress` | how far it is, in any fields |
//! | `{"type":"usage","total_tokens":3}` | `event: usage` | token counts, in any fields |
//! | `{"type":"done","finish_reason":"stop","usage":{…},"exit_code":0}` | `event: done` | the end; all may be missing, more may be there |
//! | `{"type":"error","message":"out of paper"}` | `event: error` | a failure |

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ingest::parse;
use crate::problem::Problem;
use crate::run::{Ending, Part, Pushed, Summary};

#[derive(Debug, Deserialize)]
struct Text {
    text: String,
}

#[derive(Debug, Deserialize)]
struct Done {
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    usage: Option<Value>,
    /// Readers are told the state by us.
    #[serde(default, rename = "state")]
    _state: Option<Value>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    message: String,
}

/// Reads a line of NDJSON.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn line(line: &[u8]) -> Result<Pushed, Problem> {
    let mut fields: Map<String, Value> = parse(line)?;
    match fields.shift_remove("type") {
        Some(Value::String(name)) => pushed(&name, fields),
        Some(_) => Err(Problem::bad_request("`type` is a string")),
        None => Err(Problem::bad_request("missing field `type`")),
    }
}

/// Reads an event.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn block(name: &str, data: &str) -> Result<Pushed, Problem> {
    pushed(name, parse(data.as_bytes())?)
}

fn pushed(name: &str, fields: Map<String, Value>) -> Result<Pushed, Problem> {
    Ok(match name {
        "thinking" => Pushed::Part(Part::Thinking(read::<Text>(name, fields)?.text)),
        "answer" => Pushed::Part(Part::Answer(read::<Text>(name, fields)?.text)),
        "tool" => Pushed::Part(Part::Tool(read(name, fields)?)),
        "progress" => Pushed::Part(Part::Progress(fields)),
        "usage" => Pushed::Part(Part::Usage(Value::Object(fields))),
        "done" => {
            let done: Done = read(name, fields)?;
            Pushed::End(Ending::Done(Summary {
                finish_reason: done.finish_reason,
                usage: done.usage,
                more: done.more,
            }))
        }
        "error" => Pushed::End(Ending::failed(read::<Failure>(name, fields)?.message)),
        _ => {
            return Err(Problem::bad_request(format!(
                "{name:?} is none of thinking, answer, tool, progress, usage, done, error"
            )));
        }
    })
}

fn read<T: DeserializeOwned>(name: &str, fields: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(fields))
        .map_err(|why| Problem::bad_request(format!("{name}: {why}")))
}
