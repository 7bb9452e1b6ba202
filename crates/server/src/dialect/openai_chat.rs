//! OpenAI's chat completions, as chunks.
//!
//! | part | on the wire |
//! | --- | --- |
//! | the beginning | a chunk with `delta.role` and empty content |
//! | a piece of the answer | a chunk with `delta.content` |
//! | an upstream's chunk | that chunk, byte for byte, with whatever fields we do not know |
//! | the end | a chunk with `finish_reason`, a chunk with `usage` if it was asked for, `[DONE]` |
//! | a failure | `{"error":{…}}`, then `[DONE]` |
//!
//! No `event:`, no `id:`, no `retry:`; one `data:` line an event. Each of these has a client that
//! breaks on it.

use serde::Deserialize;
use serde_json::{Value, json};
use wellspring::event::Event;

use super::{Head, Part, Summary};

/// What we need to know of an upstream's chunk; the rest is relayed unread.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Chunk {
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
}

impl Chunk {
    /// The piece of answer in it, if there is one. Of several choices, the first.
    pub(crate) fn answer(&self) -> Option<&str> {
        let content = self.choices.first()?.delta.content.as_deref()?;
        (!content.is_empty()).then_some(content)
    }

    /// What it says of the end.
    pub(crate) fn summarise(&self, summary: &mut Summary) {
        if let Some(reason) = self
            .choices
            .first()
            .and_then(|choice| choice.finish_reason.as_ref())
        {
            summary.finish_reason = Some(reason.clone());
        }
        if let Some(usage) = self.usage.as_ref().filter(|usage| !usage.is_null()) {
            summary.usage = Some(usage.clone());
        }
    }

    /// The upstream's own error in the stream, in words. Some send an object, some a string.
    pub(crate) fn error(&self) -> Option<String> {
        let error = self.error.as_ref().filter(|error| !error.is_null())?;
        let message = error.get("message").unwrap_or(error);
        Some(
            message
                .as_str()
                .map_or_else(|| message.to_string(), str::to_owned),
        )
    }
}

pub(super) fn spell(head: &Head, part: &Part<'_>) -> Vec<Event<'static>> {
    let chunk = |choices: Value, usage: Option<&Value>| {
        let mut chunk = json!({
            "id": head.id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
            "choices": choices,
        });
        if head.include_usage {
            chunk["usage"] = usage.cloned().unwrap_or_default();
        }
        Event::new(chunk.to_string())
    };
    let delta = |delta: Value, finish_reason: Option<&str>| {
        chunk(
            json!([{ "index": 0, "delta": delta, "finish_reason": finish_reason }]),
            None,
        )
    };
    let done = || Event::new("[DONE]");
    match part {
        Part::Begin => vec![delta(json!({ "role": "assistant", "content": "" }), None)],
        Part::Answer(text) => vec![delta(json!({ "content": text }), None)],
        Part::Relayed { chunk, .. } => vec![Event::new((*chunk).to_owned())],
        Part::Done(summary) if summary.relayed => vec![done()],
        Part::Done(summary) => {
            let mut events = vec![delta(json!({}), summary.finish_reason.as_deref())];
            if head.include_usage {
                events.push(chunk(json!([]), summary.usage.as_ref()));
            }
            events.push(done());
            events
        }
        Part::Failed { message } => {
            let error = json!({ "error": {
                "message": message, "type": "server_error", "param": null, "code": null,
            }});
            vec![Event::new(error.to_string()), done()]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            id: "chatcmpl-1".to_owned(),
            model: "m".to_owned(),
            created: 1,
            include_usage: true,
        }
    }

    fn data(part: &Part<'_>) -> Vec<String> {
        spell(&head(), part)
            .iter()
            .map(|event| event.data().to_owned())
            .collect()
    }

    #[test]
    fn an_answer_is_chunks_and_done() {
        let begin: Value = serde_json::from_str(&data(&Part::Begin)[0]).unwrap();
        assert_eq!(
            begin["choices"][0]["delta"],
            json!({ "role": "assistant", "content": "" })
        );
        assert_eq!(begin["usage"], Value::Null);
        let done = data(&Part::Done(Summary {
            finish_reason: Some("stop".to_owned()),
            usage: Some(json!({ "total_tokens": 3 })),
            relayed: false,
        }));
        let last: Value = serde_json::from_str(&done[0]).unwrap();
        assert_eq!(last["choices"][0]["finish_reason"], "stop");
        let usage: Value = serde_json::from_str(&done[1]).unwrap();
        assert_eq!(
            (&usage["choices"], &usage["usage"]["total_tokens"]),
            (&json!([]), &json!(3))
        );
        assert_eq!(done[2], "[DONE]");
    }

    #[test]
    fn a_relayed_chunk_keeps_every_byte() {
        let chunk = r#"{"choices":[{"delta":{"content":"x"} }],  "x_unknown": 1.00}"#;
        let part = Part::Relayed {
            chunk,
            answer: Some("x"),
        };
        assert_eq!(data(&part), [chunk]);
        let parsed: Chunk = serde_json::from_str(chunk).unwrap();
        assert_eq!(parsed.answer(), Some("x"));
    }

    #[test]
    fn an_upstreams_error_is_found_in_either_shape() {
        for (chunk, message) in [
            (r#"{"error":{"message":"no","type":"t"}}"#, "no"),
            (r#"{"error":"no","error_type":"generation"}"#, "no"),
            (r#"{"error":{"code":3}}"#, r#"{"code":3}"#),
        ] {
            let chunk: Chunk = serde_json::from_str(chunk).unwrap();
            assert_eq!(chunk.error().as_deref(), Some(message));
        }
        let fine: Chunk = serde_json::from_str(r#"{"error":null,"choices":[]}"#).unwrap();
        assert_eq!(fine.error(), None);
    }

    #[test]
    fn a_failure_is_told_and_ended() {
        let failed = data(&Part::Failed { message: "gone" });
        let error: Value = serde_json::from_str(&failed[0]).unwrap();
        assert_eq!(error["error"]["message"], "gone");
        assert_eq!(failed[1], "[DONE]");
    }
}
