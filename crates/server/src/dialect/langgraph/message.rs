//! Messages as LangChain has them, and as chat completions do.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// `{"type":"human","content":"…","id":"…"}`, with whatever else its client keeps in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Message(Map<String, Value>);

impl Message {
    /// Reads a message in any of the shapes that LangChain takes: an object with a `type` or a `role`,
    /// a pair of a role and a text, or a text.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        let (role, mut message) = match value {
            Value::String(_) => ("human", with_content(value)),
            Value::Array(pair) => match &pair[..] {
                [Value::String(role), content] => (role.as_str(), with_content(content)),
                _ => return Err("a message in an array is a role and a text".to_owned()),
            },
            Value::Object(message) => {
                let role = message.get("type").or_else(|| message.get("role"));
                let role = role.and_then(Value::as_str);
                let role = role.ok_or("a message has a `type` or a `role`")?;
                (role, message.clone())
            }
            _ => return Err("a message is an object".to_owned()),
        };
        let kind = match role {
            "human" | "user" => "human",
            "ai" | "assistant" | "AIMessageChunk" => "ai",
            "system" | "developer" => "system",
            "tool" => "tool",
            other => return Err(format!("there is no message of type {other:?}")),
        };
        message.remove("role");
        message.insert("type".to_owned(), json!(kind));
        message.entry("content").or_insert_with(|| json!(""));
        Ok(Self(message))
    }

    /// A message of the model, `ai`, or a piece of one, `AIMessageChunk`.
    pub(super) fn of_model(kind: &str, id: &str, content: &str) -> Self {
        let mut message = Self(Map::new());
        message.set("type", json!(kind));
        message.set("id", json!(id));
        message.set("content", json!(content));
        message
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// The same, for a chat completion request.
    pub(super) fn to_completion(&self) -> Value {
        let member = |name: &str| self.0.get(name).cloned().unwrap_or_default();
        let content = member("content");
        match self.0.get("type").and_then(Value::as_str) {
            Some("system") => json!({ "role": "system", "content": content }),
            Some("tool") => {
                json!({ "role": "tool", "tool_call_id": member("tool_call_id"), "content": content })
            }
            Some("ai") => {
                let mut message = json!({ "role": "assistant", "content": content });
                let calls = member("tool_calls");
                let calls = calls.as_array().filter(|calls| !calls.is_empty());
                if let Some(calls) = calls {
                    message["tool_calls"] = calls.iter().map(call_to_completion).collect();
                }
                message
            }
            _ => json!({ "role": "user", "content": content }),
        }
    }

    fn id(&self) -> Option<&str> {
        self.0.get("id")?.as_str()
    }
}

/// Adds messages to a thread, as its graph does: one with the id of an earlier one takes its place.
/// Those that come without an id are given one, from their place.
pub(super) fn add(thread: &mut Vec<Message>, messages: Vec<Message>) {
    for mut message in messages {
        let known = message.id().and_then(|id| {
            let mut thread = thread.iter();
            thread.position(|known| known.id() == Some(id))
        });
        if let Some(known) = known {
            thread[known] = message;
            continue;
        }
        if message.id().is_none() {
            message.set("id", json!(format!("message-{}", thread.len())));
        }
        thread.push(message);
    }
}

fn with_content(content: &Value) -> Map<String, Value> {
    [("content".to_owned(), content.clone())]
        .into_iter()
        .collect()
}

fn call_to_completion(call: &Value) -> Value {
    let arguments = call["args"].to_string();
    json!({
        "id": call["id"],
        "type": "function",
        "function": { "name": call["name"], "arguments": arguments },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_a_message_is_read() {
        let hello = json!({ "role": "user", "content": "Hello" });
        for shape in [
            json!("Hello"),
            json!(["human", "Hello"]),
            json!({ "type": "human", "content": "Hello" }),
            json!({ "role": "user", "content": "Hello" }),
        ] {
            let message = Message::read(&shape).unwrap();
            assert_eq!(message.to_completion(), hello, "{shape}");
            assert_eq!(message.0["type"], "human");
        }
        for wrong in [
            json!(1),
            json!(["human"]),
            json!({ "content": "" }),
            json!({ "type": "remove" }),
        ] {
            assert!(Message::read(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn calls_and_their_results_are_told_in_the_upstreams_words() {
        let ai = json!({ "type": "ai", "content": "", "tool_calls": [
            { "name": "look", "args": { "at": "Rome" }, "id": "a", "type": "tool_call" },
        ] });
        let tool = json!({ "type": "tool", "content": "a town", "tool_call_id": "a" });
        assert_eq!(
            Message::read(&ai).unwrap().to_completion(),
            json!({ "role": "assistant", "content": "", "tool_calls": [
                { "id": "a", "type": "function",
                  "function": { "name": "look", "arguments": r#"{"at":"Rome"}"# } },
            ] })
        );
        assert_eq!(
            Message::read(&tool).unwrap().to_completion(),
            json!({ "role": "tool", "tool_call_id": "a", "content": "a town" })
        );
    }

    #[test]
    fn a_message_is_added_or_takes_the_place_of_another() {
        let read = |value: Value| Message::read(&value).unwrap();
        let mut thread = Vec::new();
        add(&mut thread, vec![read(json!("one")), read(json!("two"))]);
        let ids: Vec<_> = thread.iter().filter_map(Message::id).collect();
        assert_eq!(ids, ["message-0", "message-1"]);
        let again = json!({ "type": "human", "content": "three", "id": "message-0" });
        add(&mut thread, vec![read(again)]);
        assert_eq!(thread.len(), 2);
        assert_eq!(thread[0].0["content"], "three");
    }
}
