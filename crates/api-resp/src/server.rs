//! The port: connections are accepted, bounded, timed out, and ended.

use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use gaggle_group::{ByteBudget, Groups};
use tokio::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, lookup_host};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{debug, error, info, warn};

use crate::clock::{Clock, Slot, millis};
use crate::connection::Connection;
use crate::counts::{Counters, Counts};
use crate::keys::Keyspace;
use crate::options::Options;
use crate::scratch::Pool;
use crate::session::Session;

/// How long accepting pauses when the process or the system is out of something.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest time between two looks at the connections' deadlines, and the shortest.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Connections that are cut get this long to let go.
const LET_GO: Duration = Duration::from_secs(1);

/// A bound socket for Redis' clients, listening. Serves nothing before [`serve`](Serving::serve);
/// meanwhile the backlog collects.
#[derive(Debug)]
pub struct RespServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    options: Options,
}

/// How a server's shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Connections that were open when the shutdown was signalled.
    pub open: usize,
    /// Those of them which [`Options::drain`] did not suffice for.
    pub cut: usize,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RespError {
    /// The address does not resolve, is not this host's, is in use, or needs a privilege.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// As given to [`RespServer::bind`].
        addr: String,
        /// What the system says.
        source: io::Error,
    },
    /// The group of keys that name none is not there.
    #[error("no such group: {name}")]
    NoSuchGroup {
        /// [`Options::group`].
        name: String,
    },
}

/// What all connections have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) keys: Keyspace,
    pub(crate) options: Options,
    pub(crate) times: Times,
    pub(crate) local_addr: SocketAddr,
    pub(crate) in_flight: ByteBudget,
    pub(crate) counters: Counters,
    pub(crate) clock: Clock,
    pub(crate) pool: Pool,
    stopping: AtomicBool,
}

impl Shared {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }
}

/// The options' times, in milliseconds.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) idle: u64,
    pub(crate) request: u64,
    stall: u64,
    min_rate: u64,
}

impl Times {
    fn of(options: &Options) -> Self {
        Self {
            idle: millis(options.idle_timeout),
            request: millis(options.request_timeout),
            stall: millis(options.stall_timeout),
            min_rate: options.min_rate.max(1).into(),
        }
    }

    fn long(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(1000) / self.min_rate
    }

    /// When a request that began then must be there, of which so many bytes are.
    pub(crate) fn request_ends(&self, since: u64, bytes: u64) -> u64 {
        since
            .saturating_add(self.request)
            .saturating_add(self.long(bytes))
    }

    /// When an answer of so many bytes that waits from now on must be taken.
    pub(crate) fn answer_ends(&self, now: u64, bytes: u64) -> u64 {
        now.saturating_add(self.stall)
            .saturating_add(self.long(bytes))
    }
}

/// What a port does, for as long as its [`Serving`] exists and afterwards. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Monitor(Arc<Shared>);

impl Monitor {
    /// What the port has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.counters.snapshot()
    }
}

/// A server that knows its groups and is about to serve them.
#[derive(Debug)]
pub struct Serving {
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Open {
    slot: Arc<Slot>,
    task: AbortHandle,
}

impl RespServer {
    /// Listens on the first of the addresses that `addr` resolves to and that can be bound.
    ///
    /// # Errors
    ///
    /// [`RespError::Bind`] with `addr` and the cause of the last attempt.
    pub async fn bind(
        addr: impl ToSocketAddrs + Display,
        options: Options,
    ) -> Result<Self, RespError> {
        let named = addr.to_string();
        match listen(addr, options.backlog).await {
            Ok((listener, local_addr)) => Ok(Self {
                listener,
                local_addr,
                options,
            }),
            Err(source) => Err(RespError::Bind {
                addr: named,
                source,
            }),
        }
    }

    /// The address in use; with the port that the system chose, if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Makes ready to serve these groups.
    ///
    /// # Errors
    ///
    /// [`RespError::NoSuchGroup`] if [`Options::group`] is none of them.
    pub fn groups(self, groups: &Groups) -> Result<Serving, RespError> {
        let Self {
            listener,
            local_addr,
            options,
        } = self;
        let keys = Keyspace::new(groups, options.group.as_deref())
            .map_err(|name| RespError::NoSuchGroup { name })?;
        let in_flight = groups.iter().next().map(|group| group.in_flight().clone());
        let shared = Arc::new(Shared {
            keys,
            times: Times::of(&options),
            options,
            local_addr,
            in_flight: in_flight.unwrap_or_else(ByteBudget::unlimited),
            counters: Counters::default(),
            clock: Clock::default(),
            pool: Pool::default(),
            stopping: AtomicBool::new(false),
        });
        Ok(Serving { listener, shared })
    }
}

impl Serving {
    /// The address in use.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local_addr
    }

    /// What can be read of the port from elsewhere while it serves.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor(Arc::clone(&self.shared))
    }

    /// Serves until `shutdown` completes, then drains: idle connections are closed, requests that
    /// have come are answered, and what is left after [`Options::drain`] is cut.
    ///
    /// Returns when all connections are closed. Dropping the future cuts them at once.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Drained {
        let Self { listener, shared } = self;
        let (local_addr, drain) = (shared.local_addr, shared.options.drain);
        let mut connections = Connections::new(shared);
        let mut shutdown = pin!(shutdown);
        let mut looks = connections.looks();
        // Of this moment, not of a sleep that each event would begin once more.
        let mut resume_at = None;
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                _ = looks.tick() => connections.look(),
                Some(ended) = connections.tasks.join_next_with_id() => connections.ended(ended),
                () = sleep_until(resume_at.unwrap_or_else(Instant::now)), if resume_at.is_some() => {
                    resume_at = None;
                }
                accepted = listener.accept(), if resume_at.is_none() => match accepted {
                    Ok((socket, client)) => connections.accepted(socket, client),
                    Err(error) => {
                        debug!(%error, "cannot accept a connection; going on");
                        // It stays in the backlog, and the listener readable.
                        resume_at = Some(Instant::now() + PAUSE);
                    }
                },
            }
        }
        drop(listener);
        let drained = connections.drain(drain).await;
        if drained.cut > 0 {
            warn!(%local_addr, open = drained.open, cut = drained.cut, "connections were cut");
        } else {
            info!(%local_addr, open = drained.open, "all connections are closed");
        }
        drained
    }
}

struct Connections {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
    began: Instant,
    next_id: u64,
}

impl Connections {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            tasks: JoinSet::new(),
            open: HashMap::new(),
            began: Instant::now(),
            next_id: 1,
        }
    }

    fn looks(&self) -> tokio::time::Interval {
        let options = &self.shared.options;
        let shortest = options
            .idle_timeout
            .min(options.request_timeout)
            .min(options.stall_timeout);
        let mut looks = interval((shortest / 8).clamp(LOOK_EVERY.0, LOOK_EVERY.1));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks
    }

    fn now(&self) -> u64 {
        let now = self.began.elapsed();
        self.shared.clock.set(now);
        millis(now)
    }

    fn accepted(&mut self, socket: TcpStream, client: SocketAddr) {
        let counters = &self.shared.counters;
        if self.open.len() >= self.shared.options.max_connections.max(1) {
            counters.refused.fetch_add(1, Relaxed);
            refuse(&socket);
            return;
        }
        counters.accepted.fetch_add(1, Relaxed);
        // Without it an answer may wait for the client's acknowledgement of the last one.
        let _ = socket.set_nodelay(true);
        let now = self.now();
        let slot = Arc::new(Slot::new(now.saturating_add(self.shared.times.request)));
        let access = &self.shared.options.access;
        let session = Session::new(self.next_id, client, now, access);
        self.next_id += 1;
        let (shared, of) = (Arc::clone(&self.shared), Arc::clone(&slot));
        let task = self.tasks.spawn(begin(socket, shared, of, session));
        self.open.insert(task.id(), Open { slot, task });
        self.shared.counters.open.store(self.open.len(), Relaxed);
    }

    /// Ends the connections whose time is over.
    fn look(&self) {
        let now = self.now();
        for open in self.open.values() {
            if open.slot.is_over(now) && !open.task.is_finished() {
                self.shared.counters.timed_out.fetch_add(1, Relaxed);
                open.slot.busy();
                open.task.abort();
            }
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(failure) => failure.id(),
        };
        self.open.remove(&id);
        self.shared.counters.open.store(self.open.len(), Relaxed);
        if ended.is_err_and(|failure| failure.is_panic()) {
            // The payload may hold what a client sent; the panic hook has shown where it was.
            error!("a connection of the RESP port panicked and is closed");
        }
    }

    async fn drain(mut self, drain: Duration) -> Drained {
        self.shared.stopping.store(true, Relaxed);
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.ended(ended);
        }
        let open = self.open.len();
        let _ = timeout(drain, async {
            let mut looks = self.looks();
            while !self.open.is_empty() {
                tokio::select! {
                    _ = looks.tick() => {
                        let idle = self.open.values().filter(|open| open.slot.is_idle());
                        idle.for_each(|open| open.task.abort());
                        self.look();
                    }
                    Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                }
            }
        })
        .await;
        let cut = self.open.len();
        self.tasks.abort_all();
        let _ = timeout(LET_GO, async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.ended(ended);
            }
        })
        .await;
        Drained { open, cut }
    }
}

/// Says why, as far as the socket takes that at once, and closes.
fn refuse(socket: &TcpStream) {
    let told = socket.try_write(b"-ERR max number of clients reached\r\n");
    debug!(?told, "there are too many connections to the RESP port");
}

#[cfg(not(feature = "tls"))]
async fn begin(socket: TcpStream, shared: Arc<Shared>, slot: Arc<Slot>, session: Session) {
    Connection::new(socket, shared, slot, session).serve().await;
}

/// Finds out what the client speaks, and shakes hands if that is TLS. What TLS needs is in a box
/// of its own, so that a connection without it does not carry the room.
#[cfg(feature = "tls")]
async fn begin(mut socket: TcpStream, shared: Arc<Shared>, slot: Arc<Slot>, session: Session) {
    /// The first byte of a client that speaks TLS (RFC 8446, 5.1). No request begins with it.
    const HANDSHAKE: u8 = 0x16;
    use tokio::io::AsyncWriteExt as _;
    let Some(tls) = shared.options.tls.clone() else {
        return Connection::new(socket, shared, slot, session).serve().await;
    };
    let tls = Box::pin(async move {
        let mut first = [0];
        let said = socket.peek(&mut first).await;
        if !matches!(said, Ok(1)) {
            return;
        }
        if first == [HANDSHAKE] {
            let accept = tokio_rustls::TlsAcceptor::from((tls.config)()).accept(socket);
            match accept.await {
                Ok(stream) => {
                    Box::pin(Connection::new(stream, shared, slot, session).serve()).await;
                }
                Err(error) => {
                    let client = session.client;
                    debug!(%client, %error, "a TLS handshake failed");
                }
            }
        } else if tls.accept_plain {
            Connection::new(socket, shared, slot, session).serve().await;
        } else {
            let why = b"-ERR this port speaks TLS\r\n";
            let _ = socket.write_all(why).await;
            let _ = socket.shutdown().await;
        }
    });
    tls.await;
}

async fn listen(addr: impl ToSocketAddrs, backlog: u32) -> io::Result<(TcpListener, SocketAddr)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for addr in lookup_host(addr).await? {
        match listen_on(addr, backlog) {
            Ok(listening) => return Ok(listening),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen_on(addr: SocketAddr, backlog: u32) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if addr.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // A restart need not wait for the old connections' TIME_WAIT. On Windows the option means
    // something else.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    let listener = socket.listen(backlog)?;
    let local_addr = listener.local_addr()?;
    Ok((listener, local_addr))
}
