//! One answer: a body that writes a stamped token whenever one is due.

use std::convert::Infallible;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body::{Body, Frame};
use serde_json::json;
use tokio::time::{Instant, Sleep};

use super::{Model, Moment};
use crate::stamp::{RunId, Stamp, system_time};

/// Behind this comes the text of a chunk. In a string, such as the model's name, its quotes would be escaped.
const TEXT: &str = "\"content\":\"";

/// An answer under way.
pub(super) struct Answer {
    run: RunId,
    rate: f64,
    tokens: u64,
    stamp: Moment,
    state: State,
    /// When token 0 is due, on two clocks. The later ones keep their distance from it, whatever happens to those
    /// before them.
    begin: Instant,
    begin_of_system: Duration,
    timer: Pin<Box<Sleep>>,
    /// A chunk of text, before and behind the text.
    around: [String; 2],
    /// The chunk that says who speaks, and what ends the answer.
    frame: [String; 2],
}

/// What comes next.
#[derive(Clone, Copy)]
enum State {
    Role,
    Token(u64),
    Over,
}

impl Answer {
    /// Begins now, and at a random place within the time of a token: answers that were asked for at once do not beat
    /// together, as those of many users would not.
    pub(super) fn start(name: &str, model: Model, tokens: NonZeroU64) -> Self {
        let (run, rate) = (RunId::random(), model.rate.get());
        let created = SystemTime::now().duration_since(UNIX_EPOCH);
        let created = created.unwrap_or_default().as_secs();
        let chunk = |delta: serde_json::Value, finish: Option<&str>| {
            let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
            let chunk = json!({
                "id": format!("chatcmpl-{run}"),
                "object": "chat.completion.chunk",
                "created": created,
                "model": name,
                "choices": [choice],
            });
            format!("data: {chunk}\n\n")
        };
        let text = chunk(json!({ "content": "" }), None);
        let at = text.find(TEXT).map_or(0, |at| at + TEXT.len());
        let (before, behind) = text.split_at(at);
        let place = Duration::from_secs_f64(rand::random::<f64>() / rate);
        let begin = Instant::now() + place;
        Self {
            run,
            rate,
            tokens: tokens.get(),
            stamp: model.stamp,
            state: State::Role,
            begin,
            begin_of_system: system_time() + place,
            timer: Box::pin(tokio::time::sleep_until(begin)),
            around: [before.to_owned(), behind.to_owned()],
            frame: [
                chunk(json!({ "role": "assistant", "content": "" }), None),
                chunk(json!({}), Some("stop")) + "data: [DONE]\n\n",
            ],
        }
    }

    /// How long after the first token this one is due.
    fn after(&self, sequence: u64) -> Duration {
        Duration::from_secs_f64(sequence as f64 / self.rate)
    }

    fn token(&self, sequence: u64) -> Bytes {
        let [before, behind] = &self.around;
        let mut chunk = Vec::with_capacity(before.len() + behind.len() + 64);
        chunk.extend_from_slice(before.as_bytes());
        Stamp {
            run: self.run,
            sequence,
            due: match self.stamp {
                Moment::Due => self.begin_of_system + self.after(sequence),
                Moment::Written => system_time(),
            },
        }
        .write(0, &mut chunk);
        chunk.extend_from_slice(behind.as_bytes());
        Bytes::from(chunk)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let (data, next) = match this.state {
            State::Role => (Bytes::from(this.frame[0].clone()), State::Token(0)),
            State::Token(sequence) if sequence == this.tokens => {
                (Bytes::from(this.frame[1].clone()), State::Over)
            }
            State::Token(sequence) => {
                ready!(this.timer.as_mut().poll(context));
                let token = this.token(sequence);
                let next = this.begin + this.after(sequence + 1);
                this.timer.as_mut().reset(next);
                (token, State::Token(sequence + 1))
            }
            State::Over => return Poll::Ready(None),
        };
        this.state = next;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}
