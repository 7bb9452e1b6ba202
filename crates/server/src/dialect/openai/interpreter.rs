//! An upstream's chunks, read.

use serde::Deserialize;
use serde_json::Value;

use crate::dialect::{Heard, Interpreter, Misheard};
use crate::run::{Part, Summary, ToolCall};

/// What has been read of the end so far.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    summary: Summary,
}

/// What we need to know of a chunk; the rest is passed on unread.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chunk {
    choices: Vec<Choice>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<String>,
    /// DeepSeek, vLLM, llama.cpp.
    reasoning_content: Option<String>,
    /// OpenRouter.
    reasoning: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Call {
    index: u32,
    id: Option<String>,
    function: Function,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

impl Interpreter for Chunks {
    fn read(&mut self, _: &str, data: &str, parts: &mut Vec<Part>) -> Result<Heard, Misheard> {
        if data == "[DONE]" {
            return Ok(Heard::End(std::mem::take(&mut self.summary)));
        }
        let chunk: Chunk = serde_json::from_str(data)?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return if error.is_object() {
                Ok(Heard::Failed(words(&error)))
            } else {
                // TGI's are strings, of which SDKs make "an error occurred": ours are told instead.
                Err(Misheard::Told(words(&error)))
            };
        }
        if let Some(usage) = chunk.usage.filter(|usage| !usage.is_null()) {
            self.summary.usage = Some(usage);
        }
        // Of several choices, the first.
        let Some(choice) = chunk.choices.into_iter().next() else {
            return Ok(Heard::More);
        };
        if let Some(reason) = choice.finish_reason {
            self.summary.finish_reason = Some(reason);
        }
        let delta = choice.delta;
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        let thinking = said(delta.reasoning_content).or_else(|| said(delta.reasoning));
        parts.extend(thinking.map(Part::Thinking));
        parts.extend(said(delta.content).map(Part::Answer));
        let calls = delta.tool_calls.into_iter().flatten();
        parts.extend(calls.map(|call| {
            Part::Tool(ToolCall {
                index: call.index,
                id: call.id,
                name: call.function.name,
                arguments: call.function.arguments.unwrap_or_default(),
            })
        }));
        Ok(Heard::More)
    }
}

/// Whether clients are told of a failure by this chunk, in a shape that they understand.
pub(super) fn tells_of_failure(data: &str) -> bool {
    // Hardly any chunk has the word, and so hardly any is read twice.
    data.contains("\"error\"")
        && serde_json::from_str::<Chunk>(data)
            .is_ok_and(|chunk| chunk.error.is_some_and(|error| error.is_object()))
}

/// The upstream's own error, in words. Some send an object, some a string.
fn words(error: &Value) -> String {
    let message = error.get("message").unwrap_or(error);
    message
        .as_str()
        .map_or_else(|| message.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(data: &str) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        let heard = Chunks::default().read("message", data, &mut parts);
        heard.map(|_| parts).map_err(|error| error.to_string())
    }

    #[test]
    fn a_chunk_is_thought_answer_and_calls() {
        let chunk = json!({ "choices": [{ "delta": {
            "reasoning": "hm", "content": "x",
            "tool_calls": [{ "index": 1, "id": "c", "function": { "name": "f", "arguments": "{" } }],
        } }], "x_unknown": 1 });
        let call = ToolCall {
            index: 1,
            id: Some("c".to_owned()),
            name: Some("f".to_owned()),
            arguments: "{".to_owned(),
        };
        assert_eq!(
            read(&chunk.to_string()).unwrap(),
            [
                Part::Thinking("hm".to_owned()),
                Part::Answer("x".to_owned()),
                Part::Tool(call),
            ]
        );
        for silent in [
            r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[],"usage":{"total_tokens":3}}"#,
            r#"{"error":null,"choices":[]}"#,
        ] {
            assert_eq!(read(silent).unwrap(), []);
        }
    }

    #[test]
    fn the_end_knows_why_and_how_many() {
        let mut chunks = Chunks::default();
        let mut parts = Vec::new();
        for data in [
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"total_tokens":3}}"#,
        ] {
            assert_eq!(
                chunks.read("message", data, &mut parts).unwrap(),
                Heard::More
            );
        }
        let Heard::End(summary) = chunks.read("message", "[DONE]", &mut parts).unwrap() else {
            panic!("that was the terminator");
        };
        assert_eq!(summary.finish_reason.as_deref(), Some("stop"));
        assert_eq!(summary.usage, Some(json!({ "total_tokens": 3 })));
    }

    #[test]
    fn an_upstreams_error_is_found_in_either_shape() {
        for (chunk, message) in [
            (r#"{"error":{"message":"no","type":"t"}}"#, "no"),
            (r#"{"error":{"code":3}}"#, r#"{"code":3}"#),
        ] {
            let heard = Chunks::default().read("message", chunk, &mut Vec::new());
            assert_eq!(heard.unwrap(), Heard::Failed(message.to_owned()));
            assert!(tells_of_failure(chunk));
        }
        let string = r#"{"error":"no","error_type":"generation"}"#;
        assert_eq!(read(string).unwrap_err(), "no");
        assert!(!tells_of_failure(string));
        assert!(!tells_of_failure(
            r#"{"choices":[{"delta":{"content":"\"error\""}}]}"#
        ));
        assert!(read("<html>").unwrap_err().contains("not JSON"));
    }
}
