//! The demo's answers as runs, typed at its own pace.

use rand::RngExt;
use serde_json::{Map, Value, json};

use super::{Answer, Thinking};
use crate::run::{Ending, Part, Producer, Summary};

/// What the demo is asked, whichever dialect asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// The last thing that the user said.
    pub(crate) text: String,
    /// How many words the whole conversation has: of a prompt the demo counts the words.
    pub(crate) words: usize,
    /// The longest answer, in tokens, if the request says.
    pub(crate) most: Option<u32>,
}

impl Prompt {
    fn thinking(&self) -> Thinking {
        Thinking::new(&self.text, rand::rng().random())
    }

    fn answer(&self) -> Answer {
        Answer::new(&self.text, self.most, rand::rng().random())
    }

    fn summary(&self, answer: &Answer, tokens: usize) -> Summary {
        Summary {
            finish_reason: Some(answer.finish_reason().as_str().to_owned()),
            usage: Some(json!({
                "prompt_tokens": self.words,
                "completion_tokens": tokens,
                "total_tokens": self.words + tokens,
            })),
            more: Map::new(),
        }
    }
}

/// Types a thought and the answer into a run.
pub(crate) async fn answer(prompt: Prompt, producer: Producer) {
    for token in prompt.thinking() {
        let typed = producer.wait(tokio::time::sleep(token.pause)).await;
        if typed.is_err() {
            return;
        }
        producer.say(Part::Thinking(token.text));
    }
    let mut answer = prompt.answer();
    let mut tokens = 0;
    for token in answer.by_ref() {
        let typed = producer.wait(tokio::time::sleep(token.pause)).await;
        if typed.is_err() {
            return;
        }
        producer.say(Part::Answer(token.text));
        tokens += 1;
    }
    let summary = prompt.summary(&answer, tokens);
    producer.finish(&Ending::Done(summary));
}

/// The whole answer at once, its finish reason and its token counts.
pub(crate) fn answer_whole(prompt: &Prompt) -> (String, String, Value) {
    let mut answer = prompt.answer();
    let mut tokens = 0;
    let text = answer
        .by_ref()
        .inspect(|_| tokens += 1)
        .map(|token| token.text)
        .collect();
    let summary = prompt.summary(&answer, tokens);
    (
        text,
        summary.finish_reason.unwrap_or_default(),
        summary.usage.unwrap_or_default(),
    )
}
