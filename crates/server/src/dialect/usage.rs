//! Token counts. Each API has words of its own for them; a run keeps them in those of chat completions.

use serde_json::{Value, json};

/// What a model counted, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// All of the prompt.
    pub(super) input: u64,
    /// How much of the prompt was in a cache.
    pub(super) cached: u64,
    /// All that the model wrote.
    pub(super) output: u64,
    /// How much of what it wrote was thought.
    pub(super) reasoning: u64,
}

impl Usage {
    /// Reads counts in anybody's words: an app that feeds a run may use any.
    pub(super) fn read(counts: &Value) -> Self {
        let one_of = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| counts.pointer(name)?.as_u64());
            found.unwrap_or_default()
        };
        // Anthropic's `input_tokens` leave out what is cached; nobody else has these two.
        let read = one_of(["/cache_read_input_tokens", ""]);
        let written = one_of(["/cache_creation_input_tokens", ""]);
        let cached = one_of([
            "/prompt_tokens_details/cached_tokens",
            "/input_tokens_details/cached_tokens",
        ]);
        Self {
            input: one_of(["/prompt_tokens", "/input_tokens"])
                .saturating_add(read)
                .saturating_add(written),
            cached: cached.max(read),
            output: one_of(["/completion_tokens", "/output_tokens"]),
            reasoning: one_of([
                "/completion_tokens_details/reasoning_tokens",
                "/output_tokens_details/reasoning_tokens",
            ]),
        }
    }

    pub(super) fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// The words in which a run keeps them.
    pub(super) fn to_chat(self) -> Value {
        json!({
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.total(),
            "prompt_tokens_details": { "cached_tokens": self.cached },
            "completion_tokens_details": { "reasoning_tokens": self.reasoning },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_counts_are_read_in_all_words() {
        let usage = Usage {
            input: 10,
            cached: 4,
            output: 5,
            reasoning: 2,
        };
        for counts in [
            usage.to_chat(),
            json!({
                "input_tokens": 10, "input_tokens_details": { "cached_tokens": 4 },
                "output_tokens": 5, "output_tokens_details": { "reasoning_tokens": 2 },
                "total_tokens": 15,
            }),
        ] {
            assert_eq!(Usage::read(&counts), usage, "{counts}");
        }
        let anthropic = json!({
            "input_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 3,
            "output_tokens": 5,
        });
        let unknown = Usage {
            reasoning: 0,
            ..usage
        };
        assert_eq!(Usage::read(&anthropic), unknown);
        for nothing in [json!(null), json!({ "input_tokens": "many" })] {
            assert_eq!(Usage::read(&nothing), Usage::default());
        }
    }
}
