//! HTTP/1.1: hyper parses and answers; a stream that has settled down is written without it.
//!
//! An idle stream needs next to nothing, and hyper keeps two buffers of 8 KiB for it. So hyper serves a connection until
//! the body of a [`LongLived`](crate::LongLived) response has nothing more to say for the moment. Then the socket is
//! taken back from it, and [`Lean`] writes the rest; when that ends, and the connection does not, it is hyper's again.
//! The head, and the framing with it, are hyper's own, so that there is no second opinion on them.

mod handover;
mod lean;
mod output;

use std::{
    future::poll_fn,
    mem::MaybeUninit,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, ReadBuf},
    time::Sleep,
};

use crate::{
    application::Application,
    connection::{CountedBody, EndReason, Opened, Session},
    drain::Phase,
    limits::Limits,
    shard::Shard,
    socket::Stream,
};
use handover::{Answers, Handover, Watched};
use lean::{Lean, LeanEnd};

/// Serves one connection to its end.
pub(crate) fn serve<A: Application>(
    shard: &Shard<A>,
    session: &Rc<Session<A>>,
    opened: Opened,
) -> impl Future<Output = EndReason> {
    // Boxed, for the task of a lean stream shall not carry along hyper's engine (0.6 KiB).
    let mut stage = Box::pin(converse(
        shard,
        session,
        opened.stream,
        Some(opened.head_deadline),
    ));
    async move {
        let finished = loop {
            let mut lean = match stage.await {
                Stage::Ended(reason) => return reason,
                Stage::Finished(stream) => break stream,
                Stage::Streaming(lean) => lean,
            };
            let end = poll_fn(|context| lean.poll(context, shard, session.connection())).await;
            let stream = match end {
                LeanEnd::Ended(reason) => return reason,
                LeanEnd::Finished => break lean.into_stream(),
                LeanEnd::Next => lean.into_stream(),
            };
            stage = Box::pin(converse(shard, session, stream, None));
        };
        Box::pin(linger(shard, finished)).await;
        EndReason::Finished
    }
}

/// What hyper's part came to.
enum Stage<A: Application> {
    /// The connection is over.
    Ended(EndReason),
    /// The last response is sent, and goodbye said; the peer may still be sending.
    Finished(Stream),
    /// A stream has settled down: its head is out, and all that its body had to say.
    Streaming(Lean<CountedBody<A::Body>>),
}

/// Lets hyper serve a connection, to its end or to its first settled stream.
async fn converse<A: Application>(
    shard: &Shard<A>,
    session: &Rc<Session<A>>,
    stream: Stream,
    mut head_deadline: Option<Pin<Box<Sleep>>>,
) -> Stage<A> {
    let connection = session.connection();
    let handover = Rc::new(Handover::default());
    let mut phase = Phase::Serving;
    let mut engine = engine(shard.limits()).serve_connection(
        TokioIo::new(Watched::new(stream, &handover)),
        Answers::of(session, &handover),
    );
    let ended = poll_fn(|context| {
        if shard.phase() > phase {
            phase = shard.phase();
            match phase {
                Phase::Cut => return Poll::Ready(Break::Cut(EndReason::Cut)),
                _ => Pin::new(&mut engine).graceful_shutdown(),
            }
        }
        if let Poll::Ready(result) = Pin::new(&mut engine).poll(context) {
            return Poll::Ready(Break::Ended(result));
        }
        if let Some(settled) = handover.take_settled() {
            return Poll::Ready(Break::Settled(settled));
        }
        if connection.requests() > 0 {
            head_deadline = None;
        }
        match &mut head_deadline {
            Some(deadline) => deadline
                .as_mut()
                .poll(context)
                .map(|()| Break::Cut(EndReason::HeadTimeout)),
            None => Poll::Pending,
        }
    })
    .await;
    let reason = match ended {
        Break::Settled(settled) => {
            let parts = engine.into_parts();
            let stream = parts.io.into_inner().into_inner();
            return Stage::Streaming(Lean::new(stream, settled, &parts.read_buf));
        }
        // Here the engine has said goodbye itself.
        Break::Ended(result @ Ok(())) => {
            return match EndReason::of(result, connection, phase) {
                EndReason::Finished => {
                    Stage::Finished(engine.into_parts().io.into_inner().into_inner())
                }
                reason => Stage::Ended(reason),
            };
        }
        Break::Ended(result) => EndReason::of(result, connection, phase),
        Break::Cut(reason) => reason,
    };
    // A response that is cut short must look like it: a goodbye would make one without a length seem whole.
    if connection.in_flight() == 0 {
        let mut stream = engine.into_parts().io.into_inner().into_inner();
        stream.farewell().await;
    }
    Stage::Ended(reason)
}

/// What interrupts hyper.
enum Break<B> {
    Ended(Result<(), hyper::Error>),
    Cut(EndReason),
    Settled(B),
}

/// How long a peer is listened to after the last response.
const LINGER: Duration = Duration::from_secs(5);

/// Reads on, and throws it away, until the peer has closed its side too (RFC 9112, section 9.6).
///
/// A response may come before its request is whole: an upload that is refused. A socket that is closed with unread bytes
/// is reset, and the reset overtakes the response: the peer sees a broken pipe in place of what is wrong.
async fn linger<A: Application>(shard: &Shard<A>, mut stream: Stream) {
    let mut deadline = pin!(tokio::time::sleep(LINGER));
    poll_fn(|context| {
        // From here on the clock of a drain counts, and whoever is idle must not hold it up.
        while shard.phase() == Phase::Serving && deadline.as_mut().poll(context).is_pending() {
            let heard = poll_listen(&mut stream, context, |_| ());
            match ready!(heard) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        Poll::Ready(())
    })
    .await;
}

/// Reads once, shows what came, and says how much it was. The buffer is the stack's: whoever waits owns none.
fn poll_listen(
    stream: &mut Stream,
    context: &mut Context<'_>,
    hear: impl FnOnce(&[u8]),
) -> Poll<std::io::Result<usize>> {
    let mut room = [const { MaybeUninit::uninit() }; 2048];
    let mut buffer = ReadBuf::uninit(&mut room);
    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
    hear(buffer.filled());
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Never with `pipeline_flush` (it switches back-pressure off) or `half_close` (it hides that the peer has left).
fn engine(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // Without a timer hyper ignores its timeouts.
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request_head)
        // Bounds what is queued for writing, too.
        .max_buf_size(read_ahead(limits));
    builder
}

/// How much is read before its time. hyper asks for 8 KiB at least.
fn read_ahead(limits: &Limits) -> usize {
    limits.max_head_bytes.max(8 * 1024) as usize
}
