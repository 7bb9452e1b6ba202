//! Clients that do not behave, beside the subscribers who do: what they take from the others is what is asked.
//!
//! Each has a connection of its own with little room in its kernel, so that what it does not read soon waits at the
//! server. Their number is given, and they end with the run.

use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderMap;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::client::{ConnectError, Connector, Dialling, Opened, Seat, Stream, Taken};
use crate::subscriber::{check, subscription};
use crate::target::Target;

/// What the kernel holds for them, and the window of their HTTP/2 streams.
const ROOM: u32 = 4 << 10;

/// How long a stream must be silent in the end to be called open: what is still under way on a loopback arrives sooner.
const SILENCE: Duration = Duration::from_millis(300);

/// How long the end is looked for in all.
const SEARCH: Duration = Duration::from_secs(2);

/// How many of each there are. Default: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hostiles {
    /// Readers that take so many bytes a second.
    pub slow: Option<(usize, NonZeroU32)>,
    /// Readers that open a stream and never read it.
    pub never: usize,
    /// Clients that open a stream and then stop answering altogether: no reads, and no answers to pings or settings.
    pub half_open: usize,
}

/// A way not to behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Conduct {
    /// Reads so many bytes a second.
    Slow(NonZeroU32),
    /// Never reads.
    Never,
    /// Does not even answer.
    HalfOpen,
}

/// What became of all clients of one conduct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Misconduct {
    /// What they did.
    pub conduct: Conduct,
    /// How many tried.
    pub clients: usize,
    /// Whose stream was opened.
    pub opened: usize,
    /// Whose stream the server ended before the run did, in whatever way.
    pub ended_by_server: usize,
    /// Bytes of their streams that they took while they misbehaved.
    pub taken: u64,
}

/// The hostile clients of a run, alive.
pub(crate) struct Gang {
    tasks: JoinSet<(Conduct, bool, u64)>,
    over: watch::Sender<()>,
    ledger: Vec<Misconduct>,
}

impl Hostiles {
    /// How many there are in all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.slow.map_or(0, |(count, _)| count) + self.never + self.half_open
    }

    fn conducts(&self) -> impl Iterator<Item = (Conduct, usize)> {
        let slow = self.slow.map(|(count, rate)| (Conduct::Slow(rate), count));
        let others = [
            (Conduct::Never, self.never),
            (Conduct::HalfOpen, self.half_open),
        ];
        slow.into_iter()
            .chain(others)
            .filter(|&(_, count)| count > 0)
    }
}

impl Gang {
    /// Opens their streams and lets them misbehave.
    pub(crate) async fn assemble(
        hostiles: &Hostiles,
        target: &Target,
        headers: &HeaderMap,
        dialling: &Dialling,
    ) -> Result<Self, ConnectError> {
        let mut gang = Self {
            tasks: JoinSet::new(),
            over: watch::channel(()).0,
            ledger: Vec::new(),
        };
        if hostiles.count() == 0 {
            return Ok(gang);
        }
        let dialling = Dialling {
            receive_buffer: Some(ROOM),
            ..dialling.clone()
        };
        let connector = Connector::resolve(target.clone(), dialling).await?;
        for (conduct, clients) in hostiles.conducts() {
            let mut opening = JoinSet::new();
            for seat in Seat::arrange(&connector, clients, 1) {
                let request = subscription(target, headers, "");
                opening.spawn(async move { seat.open(request).await });
            }
            let opened: Vec<Opened> = opening
                .join_all()
                .await
                .into_iter()
                .filter_map(Result::ok)
                .filter(|opened| check(&opened.head).is_ok())
                .collect();
            gang.ledger.push(Misconduct {
                conduct,
                clients,
                opened: opened.len(),
                ended_by_server: 0,
                taken: 0,
            });
            for Opened { stream, .. } in opened {
                let over = gang.over.subscribe();
                gang.tasks.spawn(async move {
                    let (ended, taken) = conduct.follow(stream, over).await;
                    (conduct, ended, taken)
                });
            }
        }
        Ok(gang)
    }

    /// Ends it, and says what came of it.
    pub(crate) async fn dissolve(self) -> Vec<Misconduct> {
        drop(self.over);
        let mut ledger = self.ledger;
        for (conduct, ended, taken) in self.tasks.join_all().await {
            for misconduct in ledger
                .iter_mut()
                .filter(|misconduct| misconduct.conduct == conduct)
            {
                misconduct.ended_by_server += usize::from(ended);
                misconduct.taken += taken;
            }
        }
        ledger
    }
}

impl Conduct {
    /// Whether the server ended the stream before it was `over`, and how many bytes were taken until then.
    async fn follow(self, mut stream: Stream, mut over: watch::Receiver<()>) -> (bool, u64) {
        let mut taken = 0;
        let over = async move {
            // It is over when the sender is dropped.
            while over.changed().await.is_ok() {}
        };
        let ended = match self {
            Self::Slow(rate) => tokio::select! {
                () = crawl(&mut stream, rate, &mut taken) => true,
                () = over => false,
            },
            Self::Never => {
                over.await;
                false
            }
            Self::HalfOpen => {
                stream.line().freeze();
                over.await;
                stream.line().thaw();
                false
            }
        };
        (ended || is_ended(&mut stream).await, taken)
    }
}

/// Reads until the stream ends, a piece at a time and then none until the piece is paid for.
async fn crawl(stream: &mut Stream, rate: NonZeroU32, taken: &mut u64) {
    loop {
        let before = *taken;
        let read = stream
            .read(|chunk| {
                *taken += chunk.len() as u64;
                None::<()>
            })
            .await;
        if !matches!(read, Ok(Taken::All)) {
            return;
        }
        let bytes = (*taken - before) as f64;
        tokio::time::sleep(Duration::from_secs_f64(bytes / f64::from(rate.get()))).await;
    }
}

/// Whether the end of the stream is behind what still arrives.
async fn is_ended(stream: &mut Stream) -> bool {
    let deadline = Instant::now() + SEARCH;
    while Instant::now() < deadline {
        match timeout(SILENCE, stream.read(|_| None::<()>)).await {
            Ok(Ok(Taken::Ended) | Err(_)) => return true,
            Ok(Ok(_)) => {}
            Err(_) => return false,
        }
    }
    false
}

impl std::fmt::Display for Conduct {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Slow(rate) => write!(out, "readers of {rate} bytes/s"),
            Self::Never => out.write_str("readers who never read"),
            Self::HalfOpen => out.write_str("half-open clients"),
        }
    }
}
