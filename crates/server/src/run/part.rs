//! What a run says: one vocabulary, which every dialect spells in its own words.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One thing that a run says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    /// A piece of what the model thinks before it answers.
    Thinking(String),
    /// A piece of the answer; of a job, of its output.
    Answer(String),
    /// A piece of a call that the model wants made.
    Tool(ToolCall),
    /// How far a job is: `percent`, `message`, or whatever its producer says.
    Progress(Map<String, Value>),
    /// Token counts, as the model gives them.
    Usage(Value),
}

/// A piece of a tool call: the first of each has an id and a name, those after it more of its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToolCall {
    /// Which of the calls that are made side by side.
    #[serde(default)]
    pub(crate) index: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// JSON, in pieces.
    #[serde(default)]
    pub(crate) arguments: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    /// All of it was said.
    Done(Summary),
    /// Somebody wanted no more of it.
    Cancelled,
    /// There will be no whole answer.
    Failed {
        /// Why, for people.
        message: String,
    },
    /// Its producer was silent for too long.
    Expired,
}

/// What there is to say of an answer that is whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Summary {
    /// `stop`, `length` and so on, in the words of chat completions where they have one for it.
    pub(crate) finish_reason: Option<String>,
    /// Token counts, in the words of chat completions.
    pub(crate) usage: Option<Value>,
    /// Whatever else the producer says: a job's `exit_code`.
    pub(crate) more: Map<String, Value>,
}

/// Where a run is in its life: `open`, and then one of the others for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Open,
    Done,
    Failed,
    Cancelled,
    Expired,
}

impl Part {
    /// Puts `next` to this one's end, where the two say the same kind of thing.
    ///
    /// # Errors
    ///
    /// `next` itself, where they do not, or where the two would be longer than `limit` bytes.
    pub(crate) fn join(&mut self, next: Self, limit: usize) -> Result<(), Self> {
        match (self, next) {
            (Self::Thinking(text), Self::Thinking(more))
            | (Self::Answer(text), Self::Answer(more))
                if text.len() + more.len() <= limit =>
            {
                text.push_str(&more);
                Ok(())
            }
            (Self::Tool(call), Self::Tool(more))
                if call.index == more.index
                    && more.id.is_none()
                    && more.name.is_none()
                    && call.arguments.len() + more.arguments.len() <= limit =>
            {
                call.arguments.push_str(&more.arguments);
                Ok(())
            }
            (_, next) => Err(next),
        }
    }

    /// Whether more of the same may be joined to it.
    pub(crate) fn grows(&self) -> bool {
        matches!(self, Self::Thinking(_) | Self::Answer(_) | Self::Tool(_))
    }

    /// Whether it says nothing: it is a sign of life of its producer, and no more.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Thinking(text) | Self::Answer(text) if text.is_empty())
    }

    /// Bytes of text in it.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Thinking(text) | Self::Answer(text) => text.len(),
            Self::Tool(call) => call.arguments.len(),
            Self::Progress(_) | Self::Usage(_) => 0,
        }
    }
}

impl ToolCall {
    /// Whether this is more of the call that began with this index and id. Some upstreams repeat the id
    /// in each piece, and some give one index to all calls.
    pub(crate) fn continues(&self, index: u32, id: &str) -> bool {
        let same = |own: &str| own.is_empty() || own == id;
        self.index == index && self.id.as_deref().is_none_or(same)
    }
}

impl Ending {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
        }
    }

    pub(crate) fn state(&self) -> State {
        match self {
            Self::Done(_) => State::Done,
            Self::Cancelled => State::Cancelled,
            Self::Failed { .. } => State::Failed,
            Self::Expired => State::Expired,
        }
    }

    /// Why there is no whole answer, for people; none if there is.
    pub(crate) fn message(&self) -> Option<&str> {
        match self {
            Self::Done(_) => None,
            Self::Cancelled => Some("the run was cancelled"),
            Self::Failed { message } => Some(message),
            Self::Expired => Some("the run's producer was silent for too long"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_of_the_same_is_joined() {
        let answer = |text: &str| Part::Answer(text.to_owned());
        let mut part = answer("a");
        assert_eq!(part.join(answer("b"), 2), Ok(()));
        assert_eq!(part.join(answer("c"), 2), Err(answer("c")));
        let thinking = Part::Thinking("x".to_owned());
        assert_eq!(part.join(thinking.clone(), 9), Err(thinking));
        assert_eq!(part, answer("ab"));
    }

    #[test]
    fn a_call_is_joined_until_the_next_begins() {
        let call = |id: Option<&str>, arguments: &str| {
            Part::Tool(ToolCall {
                id: id.map(str::to_owned),
                arguments: arguments.to_owned(),
                ..ToolCall::default()
            })
        };
        let mut part = call(Some("1"), "{");
        assert_eq!(part.join(call(None, "}"), 9), Ok(()));
        assert_eq!(part, call(Some("1"), "{}"));
        let next = call(Some("2"), "");
        assert_eq!(part.join(next.clone(), 9), Err(next));
    }
}
