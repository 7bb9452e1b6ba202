//! The spellings of a run: one story, told in the words of each kind of client.
//!
//! A producer tells a [`Part`] at a time. Each dialect spells it as at most one event, once, into a
//! log of its own, and all readers of that dialect share the bytes. A dialect is one file here and one
//! line in [`Dialect::ALL`]; the mapping stands in its doc comment.

mod native;
mod openai_chat;

use serde_json::Value;
use wellspring::LogOptions;
use wellspring::event::Event;

pub(crate) use openai_chat::Chunk;

/// What a producer tells of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part<'a> {
    /// The answer begins.
    Begin,
    /// A piece of the answer.
    Answer(&'a str),
    /// A chunk of an OpenAI-compatible upstream, word for word, with the piece of answer in it.
    Relayed {
        chunk: &'a str,
        answer: Option<&'a str>,
    },
    /// The answer is whole.
    Done(Summary),
    /// There will be no whole answer.
    Failed { message: &'a str },
}

/// How an answer ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Summary {
    /// `stop`, `length` and so on, as the model says it.
    pub(crate) finish_reason: Option<String>,
    /// Token counts, as the model gives them.
    pub(crate) usage: Option<Value>,
    /// Whether the chunks that say so were relayed already.
    pub(crate) relayed: bool,
}

/// What is the same in each event of a run.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) model: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// Whether the client asked for a chunk of token counts.
    pub(crate) include_usage: bool,
}

/// A spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Ours, with ids: see `native.rs`.
    Native,
    /// OpenAI's chat completions: see `openai_chat.rs`.
    OpenAiChat,
}

impl Dialect {
    pub(crate) const ALL: [Self; 2] = [Self::Native, Self::OpenAiChat];

    /// Spells one part; most parts are one event, some are several or none.
    pub(crate) fn spell(self, head: &Head, part: &Part<'_>) -> Vec<Event<'static>> {
        match self {
            Self::Native => native::spell(part),
            Self::OpenAiChat => openai_chat::spell(head, part),
        }
    }

    pub(crate) fn log_options(self) -> LogOptions {
        // openai-python tries to parse every block once it has seen an id.
        LogOptions::default().with_ids(self != Self::OpenAiChat)
    }
}
