//! An upstream's stream, told in a run.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wellspring::event::Decoder;

use super::{Reply, Streaming, Upstream, UpstreamError, Whole};
use crate::dialect::{Heard, Interpreter, Language};
use crate::run::{Ending, Part, Producer, Stopped};

/// The longest event.
const EVENT: usize = 1024 * 1024;
/// The longest silence within an answer: models think for minutes, dead peers for ever.
const SILENCE: Duration = Duration::from_secs(600);

/// Asks the upstream and feeds the run with its stream, to its end or the run's.
///
/// A refusal goes to `verdict` while somebody waits for it there, and ends the run in any case. The
/// upstream's comments are swallowed: the run's readers have heartbeats of their own. `called` is told
/// what the upstream calls the answer.
pub(crate) async fn relay(
    upstream: Upstream,
    language: &'static Language,
    headers: HeaderMap,
    body: Bytes,
    producer: Producer,
    verdict: oneshot::Sender<Result<(), Result<Whole, UpstreamError>>>,
    called: impl Fn(&str) + Send,
) {
    // In a box, which is gone when the answer begins: what it takes to ask is more than to listen.
    let asking = Box::pin(async move { upstream.ask(language, &headers, body).await });
    let reply = match producer.wait(asking).await {
        Ok(reply) => reply,
        Err(Stopped) => return,
    };
    let streaming = match reply {
        Ok(Reply::Stream(streaming)) => streaming,
        Ok(Reply::Whole(whole)) => {
            let said: String = String::from_utf8_lossy(&whole.body)
                .chars()
                .take(1000)
                .collect();
            let refused = UpstreamError::Refused(format!("{}: {said}", whole.status));
            producer.finish(&Ending::failed(refused.to_string()));
            let _ = verdict.send(Err(Ok(whole)));
            return;
        }
        Err(error) => {
            producer.finish(&Ending::failed(error.to_string()));
            let _ = verdict.send(Err(Err(error)));
            return;
        }
    };
    let _ = verdict.send(Ok(()));
    match follow(streaming, language, &producer, called).await {
        Ok(Ok(ending)) => producer.finish(&ending),
        Ok(Err(error)) => producer.finish(&Ending::failed(error.to_string())),
        Err(Stopped) => {}
    }
}

async fn follow(
    mut streaming: Streaming,
    language: &Language,
    producer: &Producer,
    called: impl Fn(&str),
) -> Result<Result<Ending, UpstreamError>, Stopped> {
    let mut telling = Telling {
        producer,
        decoder: Decoder::with_limit(EVENT),
        interpreter: (language.interpreter)(),
        parts: Vec::new(),
        called: Some(called),
    };
    loop {
        let frame = tokio::time::timeout(SILENCE, streaming.body.frame());
        let frame = match producer.wait(frame).await? {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Ok(Err(UpstreamError::Broken(error.to_string()))),
            Ok(None) => return Ok(Err(UpstreamError::Truncated)),
            Err(_) => return Ok(Err(UpstreamError::Silent(SILENCE))),
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        match telling.tell(&data) {
            Ok(None) => {}
            Ok(Some(ending)) => return Ok(Ok(ending)),
            Err(error) => return Ok(Err(error)),
        }
    }
}

struct Telling<'a, F> {
    producer: &'a Producer,
    decoder: Decoder,
    interpreter: Box<dyn Interpreter>,
    parts: Vec<Part>,
    called: Option<F>,
}

impl<F: Fn(&str)> Telling<'_, F> {
    /// Tells what these bytes say, and how the answer ended if they end it.
    fn tell(&mut self, mut data: &[u8]) -> Result<Option<Ending>, UpstreamError> {
        while let Some(message) = self.decoder.decode(&mut data)? {
            let heard =
                self.interpreter
                    .read(message.event_type(), message.data(), &mut self.parts)?;
            // Before it is passed on: who reads it may ask by it at once.
            if let Some(name) = self.interpreter.name()
                && let Some(called) = self.called.take()
            {
                called(name);
            }
            self.producer.repeat(message.event_type(), message.data());
            for part in self.parts.drain(..) {
                self.producer.say(part);
            }
            match heard {
                Heard::More => {}
                Heard::End(summary) => return Ok(Some(Ending::Done(summary))),
                Heard::Failed(message) => return Ok(Some(Ending::failed(message))),
            }
        }
        Ok(None)
    }
}
