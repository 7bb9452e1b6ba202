//! A run as it is asked for, and the chat completion request that is made of it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::message::Message;
use crate::dialect::misread;
use crate::run::OnDisconnect;

/// `POST …/runs/stream`, as far as it concerns a graph of one model.
#[derive(Debug, Deserialize)]
pub(super) struct RunRequest {
    pub(super) assistant_id: String,
    #[serde(default)]
    input: Option<Input>,
    #[serde(default)]
    stream_mode: Option<Modes>,
    #[serde(default)]
    on_disconnect: Option<Disconnect>,
    #[serde(default)]
    multitask_strategy: Option<String>,
    #[serde(default)]
    config: Option<Config>,
    #[serde(default)]
    context: Option<Map<String, Value>>,
}

/// What a client wants to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    Values,
    Updates,
    Messages,
    MessagesTuple,
    Custom,
    /// `events`, `debug`, `tasks`, `checkpoints`: there is nothing of that kind.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Input {
    #[serde(default)]
    messages: Value,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Modes {
    One(Mode),
    Several(Vec<Mode>),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Disconnect {
    Cancel,
    Continue,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    configurable: Option<Map<String, Value>>,
}

impl RunRequest {
    /// What the upstream is told of the request's `context` and `config.configurable`; the rest of
    /// these is the app's own.
    const SETTINGS: [&str; 7] = [
        "model",
        "temperature",
        "top_p",
        "max_tokens",
        "reasoning_effort",
        "tools",
        "tool_choice",
    ];
    /// How long a client may be gone that wants its run cancelled when it leaves, in seconds. Its SDK
    /// takes up to 5 s for the first two times that it tries to come back.
    const PATIENCE: u32 = 10;

    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|why| misread("run of LangGraph", &why))
    }

    /// What is said in it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(super) fn messages(&self) -> Result<Vec<Message>, String> {
        match self.input.as_ref().map(|input| &input.messages) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(messages)) => messages.iter().map(Message::read).collect(),
            Some(message) => Ok(vec![Message::read(message)?]),
        }
    }

    pub(super) fn modes(&self) -> Vec<Mode> {
        match &self.stream_mode {
            None => vec![Mode::Values],
            Some(Modes::One(mode)) => vec![*mode],
            Some(Modes::Several(modes)) => modes.clone(),
        }
    }

    pub(super) fn on_disconnect(&self) -> Option<OnDisconnect> {
        Some(match self.on_disconnect? {
            Disconnect::Cancel => OnDisconnect::CancelAfter(Self::PATIENCE),
            Disconnect::Continue => OnDisconnect::Continue,
        })
    }

    /// Whether an open run of the thread is to make room for this one.
    pub(super) fn interrupts(&self) -> bool {
        self.multitask_strategy.as_deref() == Some("interrupt")
    }

    /// The chat completion request that says these messages.
    pub(super) fn to_completion(&self, messages: &[Message]) -> Value {
        let mut completion = Map::new();
        completion.insert("model".to_owned(), json!(self.assistant_id));
        let configurable = self.config.as_ref().and_then(|it| it.configurable.as_ref());
        for settings in [configurable, self.context.as_ref()].into_iter().flatten() {
            for name in Self::SETTINGS {
                if let Some(value) = settings.get(name) {
                    completion.insert(name.to_owned(), value.clone());
                }
            }
        }
        let messages = messages.iter().map(Message::to_completion).collect();
        completion.insert("messages".to_owned(), messages);
        completion.insert("stream".to_owned(), json!(true));
        Value::Object(completion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_becomes_a_completion_request() {
        let run = json!({
            "assistant_id": "agent", "stream_resumable": true, "on_disconnect": "cancel",
            "stream_mode": ["messages-tuple", "events"],
            "input": { "messages": { "role": "user", "content": "Hello" }, "more": 1 },
            "config": { "configurable": { "model": "a", "user_id": "secret" } },
            "context": { "model": "b", "temperature": 0.5 },
        });
        let run = RunRequest::read(run.to_string().as_bytes()).unwrap();
        assert_eq!(run.modes(), [Mode::MessagesTuple, Mode::Other]);
        assert_eq!(run.on_disconnect(), Some(OnDisconnect::CancelAfter(10)));
        assert_eq!(
            run.to_completion(&run.messages().unwrap()),
            json!({
                "model": "b", "temperature": 0.5, "stream": true,
                "messages": [{ "role": "user", "content": "Hello" }],
            })
        );
    }

    #[test]
    fn what_is_not_said_is_what_a_langgraph_server_takes_it_for() {
        let run = RunRequest::read(br#"{"assistant_id":"agent","input":null}"#).unwrap();
        assert_eq!(run.modes(), [Mode::Values]);
        assert_eq!(run.messages(), Ok(vec![]));
        assert_eq!(run.on_disconnect(), None);
        assert!(!run.interrupts());
        assert_eq!(run.to_completion(&[])["model"], "agent");
        assert!(
            RunRequest::read(b"{}")
                .unwrap_err()
                .contains("assistant_id")
        );
    }
}
