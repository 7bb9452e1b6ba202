//! From a list of addresses to a running front end, and to its end.

use std::{
    fmt, io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, oneshot, watch};

use crate::{
    application::Application,
    connection::Scheme,
    drain::Drained,
    limits::Limits,
    listener::{self, BindError, Listener},
    shard::{self, Command, ShardHandle},
    tls::{Tls, Watch},
};

/// The front end: where it begins. See the [crate's example](crate).
#[derive(Debug)]
pub struct Front;

impl Front {
    /// Starts with no listeners, one shard per core, and the default [`Limits`].
    pub fn builder() -> Builder {
        Builder {
            listeners: Vec::new(),
            dual_stack: false,
            shards: None,
            on_shard_start: Arc::new(|_| {}),
            limits: Limits::default(),
        }
    }
}

/// What a front end shall be.
#[must_use]
pub struct Builder {
    listeners: Vec<(SocketAddr, Option<Tls>)>,
    dual_stack: bool,
    shards: Option<NonZeroUsize>,
    on_shard_start: Arc<dyn Fn(usize) + Send + Sync>,
    limits: Limits,
}

impl Builder {
    /// Listens for plain text: HTTP/1.1, and HTTP/2 with prior knowledge (RFC 9113, section 3.3). May be called again.
    ///
    /// Port 0 picks a free one.
    pub fn plain(mut self, address: SocketAddr) -> Self {
        self.listeners.push((address, None));
        self
    }

    /// Listens for TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 by ALPN. May be called again.
    ///
    /// Port 0 picks a free one.
    pub fn tls(mut self, address: SocketAddr, tls: Tls) -> Self {
        self.listeners.push((address, Some(tls)));
        self
    }

    /// Lets an IPv6 wildcard address take IPv4 connections, too. Default: an IPv6 listener is IPv6 only, so that
    /// `0.0.0.0` and `[::]` can be listened on side by side.
    pub fn dual_stack(mut self, dual_stack: bool) -> Self {
        self.dual_stack = dual_stack;
        self
    }

    /// How many cores serve connections. Default: as many as this process may use.
    pub fn shards(mut self, shards: NonZeroUsize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Runs on each core's thread, inside its runtime, before it serves; told the shard's index, from 0.
    pub fn on_shard_start(mut self, run: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.on_shard_start = Arc::new(run);
        self
    }

    /// What peers may take their time for. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens the listeners. Clients can connect from now on; they are served from [`Bound::serve`] on.
    ///
    /// # Errors
    ///
    /// When a listener cannot be opened: its port is taken, not permitted, or the address is not this machine's.
    pub fn bind(self) -> Result<Bound, BindError> {
        let listeners = self
            .listeners
            .into_iter()
            .map(|(address, tls)| Listener::bind(address, tls, self.dual_stack))
            .collect::<Result<_, _>>()?;
        let shards = self
            .shards
            .unwrap_or_else(|| thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));
        Ok(Bound {
            listeners,
            shards,
            on_shard_start: self.on_shard_start,
            limits: self.limits,
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Builder")
            .field("listeners", &self.listeners)
            .field("shards", &self.shards)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A front end whose listeners are open.
#[must_use = "nothing is served before `serve`"]
pub struct Bound {
    listeners: Vec<Listener>,
    shards: NonZeroUsize,
    on_shard_start: Arc<dyn Fn(usize) + Send + Sync>,
    limits: Limits,
}

impl Bound {
    /// Where it listens, in the order asked for, with the real ports.
    #[must_use]
    pub fn addresses(&self) -> Vec<(Scheme, SocketAddr)> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Starts the cores and accepts connections.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a thread or an event queue: out of file descriptors, or of processes.
    pub fn serve<A: Application>(self, application: Arc<A>) -> io::Result<Running> {
        let addresses = self.addresses();
        let start = move |index, ended| {
            let application = Arc::clone(&application);
            let on_start = Arc::clone(&self.on_shard_start);
            shard::start(index, application, self.limits.clone(), on_start, ended)
        };
        let mut shards = Vec::new();
        let mut ends = Vec::new();
        for index in 0..self.shards.get() {
            let (ended, end) = oneshot::channel();
            shards.push(start(index, ended)?);
            ends.push(end);
        }
        let watch = Watch::start(self.listeners.iter().filter_map(Listener::tls).cloned())?;
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let to = shards.clone();
        let listeners = self.listeners;
        thread::Builder::new()
            .name("acceptor".to_owned())
            .spawn(move || runtime.block_on(listener::accept(listeners, to, stopped)))?;
        Ok(Running {
            addresses,
            shards,
            stop,
            end: Mutex::new(End {
                awaited: ends,
                drained: Drained::default(),
            }),
            _watch: watch,
        })
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Bound")
            .field("addresses", &self.addresses())
            .field("shards", &self.shards)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A front end at work. Dropping it [cuts](Self::cut) it.
#[must_use = "dropping it ends it"]
pub struct Running {
    addresses: Vec<(Scheme, SocketAddr)>,
    shards: Vec<ShardHandle>,
    stop: watch::Sender<bool>,
    end: Mutex<End>,
    _watch: Watch,
}

/// The shards that have not ended yet, and the account of those that have.
struct End {
    awaited: Vec<oneshot::Receiver<Drained>>,
    drained: Drained,
}

impl Running {
    /// Where it listens, as [`Bound::addresses`].
    #[must_use]
    pub fn addresses(&self) -> &[(Scheme, SocketAddr)] {
        &self.addresses
    }

    /// How many connections each shard has now.
    #[must_use]
    pub fn connections(&self) -> Vec<usize> {
        self.shards.iter().map(ShardHandle::load).collect()
    }

    /// Sends everybody away in good order: closes the listeners, tells HTTP/2 peers so (GOAWAY, RFC 9113, section
    /// 6.8), ends each HTTP/1.1 connection with the response under way, and cuts what is left after `deadline`.
    ///
    /// A response that does not end by itself is the application's to end; tell it before. Resolves when the last
    /// connection is gone and [`Application::disconnect`] has returned for it.
    ///
    /// # Cancel safety
    ///
    /// The drain goes on when the future is dropped; call [`ended`](Self::ended) to wait for it again. A second call
    /// can only bring the deadline forward.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let at = Instant::now() + deadline;
        self.command(|| Command::Drain(at.into()));
        self.ended().await
    }

    /// Ends everything now: what is under way is cut. Returns at once; [`ended`](Self::ended) waits for it.
    pub fn cut(&self) {
        self.command(|| Command::Cut);
    }

    /// Waits for the end of a [`drain`](Self::drain) or [`cut`](Self::cut).
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub async fn ended(&self) -> Drained {
        let mut end = self.end.lock().await;
        while let Some(shard) = end.awaited.last_mut() {
            let drained = shard.await.unwrap_or_default();
            end.awaited.pop();
            end.drained += drained;
        }
        end.drained
    }

    fn command(&self, command: impl Fn() -> Command) {
        self.stop.send_replace(true);
        for shard in &self.shards {
            shard.command(command());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cut();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Running")
            .field("addresses", &self.addresses)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
