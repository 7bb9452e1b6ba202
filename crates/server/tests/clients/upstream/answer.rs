//! One answer, from its status to its last byte.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Frame;
use tokio::sync::mpsc;

use super::format::{Format, Telling};
use super::{Line, Manner, Speech, token, whole};

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Body(mpsc::Receiver<Result<Bytes, Break>>);

/// The body breaks: hyper closes the connection without the last chunk.
#[derive(Debug, thiserror::Error)]
#[error("broken on purpose")]
pub(super) struct Break;

/// Whoever asked has hung up.
struct Gone;

/// Writes a [`Body`].
struct Pen {
    body: mpsc::Sender<Result<Bytes, Break>>,
    crlf: bool,
    line: Line,
}

/// Answers in this manner; a stream's rest is told by a task of its own.
pub(super) async fn begin(
    format: Format,
    manner: Manner,
    speech: Speech,
    line: Line,
) -> Response<Body> {
    let refusal = |status: StatusCode, message: &str| {
        line.told();
        whole(status, &format.refusal(message))
    };
    match manner {
        Manner::SlowFirstByte => tokio::time::sleep(Manner::SLOW).await,
        Manner::Limited => {
            let mut refusal = refusal(StatusCode::TOO_MANY_REQUESTS, "slow down");
            refusal
                .headers_mut()
                .insert("retry-after", "7".parse().unwrap());
            return refusal;
        }
        Manner::Broken => return refusal(StatusCode::INTERNAL_SERVER_ERROR, "out of order"),
        Manner::Redirect => {
            let mut moved = refusal(StatusCode::TEMPORARY_REDIRECT, "moved");
            let here = line.0.path.parse().unwrap();
            moved.headers_mut().insert("location", here);
            return moved;
        }
        _ => {}
    }
    let (body, read) = mpsc::channel(1);
    let pen = Pen {
        body,
        crlf: manner == Manner::Crlf,
        line,
    };
    tokio::spawn(async move { drop(tell(Telling::new(format), manner, speech, pen).await) });
    Response::builder()
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("cache-control", "no-cache")
        .body(Body(read))
        .unwrap()
}

async fn tell(
    mut telling: Telling,
    manner: Manner,
    mut speech: Speech,
    pen: Pen,
) -> Result<(), Gone> {
    pen.write(telling.opening()).await?;
    let tokens = if manner == Manner::Endless {
        usize::MAX
    } else {
        speech.tokens
    };
    for place in 0..tokens {
        if manner != Manner::Endless {
            speech.allow(place).await;
        }
        match manner {
            Manner::Comments => {
                pen.write(": OPENROUTER PROCESSING\n\n".to_owned()).await?;
                pen.write(": keep-alive\n".to_owned()).await?;
            }
            Manner::BrokenLater if place == 1 => {
                pen.write(telling.error("overloaded")).await?;
                pen.line.told();
                return Ok(());
            }
            Manner::Garbage if place == 1 => pen.write(telling.garbage()).await?,
            Manner::LongLine if place == 1 => pen.write_long(&telling.token("long")).await?,
            Manner::Cut if place == tokens / 2 => {
                let mut half = telling.token(&token(place));
                half.truncate(half.floor_char_boundary(half.len() / 2));
                pen.write(half).await?;
                return pen.break_off().await;
            }
            _ => {}
        }
        pen.write(telling.token(&token(place))).await?;
        pen.pause(speech.every).await?;
    }
    pen.write(telling.closing()).await?;
    if manner != Manner::Unterminated {
        pen.write(telling.end()).await?;
    }
    pen.line.told();
    Ok(())
}

impl Pen {
    async fn write(&self, mut text: String) -> Result<(), Gone> {
        if self.crlf {
            text = text.replace('\n', "\r\n");
        }
        self.body.send(Ok(text.into())).await.map_err(|_| Gone)
    }

    /// Writes an event with the word `long` in the place of [`Manner::LONG`] bytes: piece by piece, as the test's own
    /// thread has more to do than to escape them.
    async fn write_long(&self, event: &str) -> Result<(), Gone> {
        let (before, after) = event.split_once("long").expect("the word is in it");
        self.write(before.to_owned()).await?;
        let piece = Bytes::from(vec![b'x'; 100_000]);
        for _ in 0..Manner::LONG / piece.len() {
            self.body.send(Ok(piece.clone())).await.map_err(|_| Gone)?;
        }
        self.write(after.to_owned()).await
    }

    async fn pause(&self, time: Duration) -> Result<(), Gone> {
        tokio::select! {
            () = self.body.closed() => Err(Gone),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    async fn break_off(self) -> Result<(), Gone> {
        self.line.told();
        self.body.send(Err(Break)).await.map_err(|_| Gone)
    }
}

impl Body {
    /// All of it at once.
    pub(super) fn whole(text: String) -> Self {
        let (body, read) = mpsc::channel(1);
        body.try_send(Ok(text.into()))
            .expect("there is room for one");
        Self(read)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Break;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Break>>> {
        self.0
            .poll_recv(context)
            .map(|next| next.map(|data| data.map(Frame::data)))
    }
}
