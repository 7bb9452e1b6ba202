//! HTTP/1.1, by hyper.

use std::{
    pin::{Pin, pin},
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, ReadBuf};

use crate::{
    application::Application,
    connection::{EndReason, Opened, Requests, Session},
    drain::Phase,
    limits::Limits,
    shard::Shard,
    socket::Stream,
};

/// Serves one connection to its end.
pub(crate) async fn serve<A: Application>(
    shard: &Shard<A>,
    session: &Rc<Session<A>>,
    opened: Opened,
) -> EndReason {
    let connection = session.connection();
    let mut head_deadline = Some(opened.head_deadline);
    let mut phase = Phase::Serving;
    let mut engine =
        engine(shard.limits()).serve_connection(TokioIo::new(opened.stream), Requests::of(session));
    let ended = std::future::poll_fn(|context| {
        if shard.phase() > phase {
            phase = shard.phase();
            match phase {
                Phase::Cut => return Poll::Ready(Err(EndReason::Cut)),
                _ => Pin::new(&mut engine).graceful_shutdown(),
            }
        }
        if let Poll::Ready(result) = Pin::new(&mut engine).poll(context) {
            return Poll::Ready(Ok(result));
        }
        if connection.requests() > 0 {
            head_deadline = None;
        }
        match &mut head_deadline {
            Some(deadline) => deadline
                .as_mut()
                .poll(context)
                .map(|()| Err(EndReason::HeadTimeout)),
            None => Poll::Pending,
        }
    })
    .await;
    let reason = match ended {
        // Here the engine has said goodbye itself.
        Ok(result @ Ok(())) => {
            let reason = EndReason::of(result, connection, phase);
            if reason == EndReason::Finished {
                linger(shard, engine.into_parts().io.into_inner()).await;
            }
            return reason;
        }
        Ok(result) => EndReason::of(result, connection, phase),
        Err(reason) => reason,
    };
    // A response that is cut short must look like it: a goodbye would make one without a length seem whole.
    if connection.in_flight() == 0 {
        engine.into_parts().io.into_inner().farewell().await;
    }
    reason
}

/// How long a peer is listened to after the last response.
const LINGER: Duration = Duration::from_secs(5);

/// Reads on, and throws it away, until the peer has closed its side too (RFC 9112, section 9.6).
///
/// A response may come before its request is whole: an upload that is refused. A socket that is closed with unread bytes
/// is reset, and the reset overtakes the response: the peer sees a broken pipe in place of what is wrong.
async fn linger<A: Application>(shard: &Shard<A>, mut stream: Stream) {
    let mut deadline = pin!(tokio::time::sleep(LINGER));
    let mut room = [0; 4096];
    std::future::poll_fn(|context| {
        // From here on the clock of a drain counts, and whoever is idle must not hold it up.
        while shard.phase() == Phase::Serving && deadline.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut room);
            match ready!(Pin::new(&mut stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(())
    })
    .await;
}

/// Never with `pipeline_flush` (it switches back-pressure off) or `half_close` (it hides that the peer has left).
fn engine(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // Without a timer hyper ignores its timeouts.
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request_head)
        // hyper asks for 8 KiB at least. Bounds what is read ahead and what is queued for writing, too.
        .max_buf_size(limits.max_head_bytes.max(8 * 1024) as usize);
    builder
}
