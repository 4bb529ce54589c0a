//! A TCP proxy whose faults are switched at run time.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

mod connection;

/// The most concurrent connections of a proxy; more wait in the listener's backlog.
const MOST_CONNECTIONS: usize = 4096;

/// The pause after a connection that could not be accepted.
const RETRY: Duration = Duration::from_millis(10);

/// The fault that a proxy applies to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Forwards everything.
    #[default]
    Pass,
    /// Forwards each chunk that much later, in each direction. The delay adds latency and leaves
    /// the throughput as it is.
    Delay(Duration),
    /// Resets the connection (RST) once it has forwarded that many bytes of the answer since the
    /// fault was set. With 0 it does so at once.
    ResetAfter(u64),
    /// Closes the connection in an orderly way (FIN) after that many bytes of the answer. With 0
    /// it does so at once.
    TruncateAfter(u64),
    /// Reads and forwards nothing, and leaves the connection open. The kernel still accepts new
    /// connections. Data in transit continues when the fault ends, as after a path that lost its
    /// packets.
    Blackhole,
    /// Closes the listener: a new connection is refused. An established one is reset.
    Refuse,
    /// Forwards that many bytes per second in each direction.
    Rate(u64),
    /// Closes the connection (FIN) once nothing has been forwarded for that long.
    CloseIdle(Duration),
}

/// The connections that a fault is set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Existing and future connections.
    All,
    /// Existing connections.
    Established,
    /// Future connections.
    New,
}

/// What a proxy has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// Connections open at present.
    pub open: u64,
    /// Bytes forwarded to the upstream.
    pub requested: u64,
    /// Bytes forwarded to clients.
    pub answered: u64,
}

/// A TCP proxy in front of one address. It ends, and resets its connections, when it is dropped.
///
/// ```
/// use gaggle_testkit::{Fault, Proxy, Scope};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let proxy = Proxy::start(upstream.local_addr()?).await?;
/// proxy.set(Scope::New, Fault::Refuse).await?;
/// assert!(tokio::net::TcpStream::connect(proxy.addr()).await.is_err());
/// # Ok(()) }
/// ```
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// A fault and the number of the call that set it: setting the same fault once more counts from
/// the start.
#[derive(Debug, Clone, Copy, Default)]
struct Rule {
    fault: Fault,
    number: u64,
}

struct Shared {
    upstream: SocketAddr,
    /// The rule for new connections.
    new: watch::Sender<Rule>,
    /// The number of the last rule that the listener follows, and why it could not.
    followed: watch::Sender<(u64, Option<io::ErrorKind>)>,
    established: Mutex<Established>,
    counts: Counts,
}

#[derive(Default)]
struct Established {
    next: u64,
    rules: HashMap<u64, watch::Sender<Rule>>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    requested: AtomicU64,
    answered: AtomicU64,
}

impl Proxy {
    /// Starts a proxy on a free port of the upstream's IP address. It forwards everything. Needs a
    /// tokio runtime.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        Self::start_on((upstream.ip(), 0).into(), upstream).await
    }

    /// As [`start`](Self::start), on that address.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn start_on(addr: SocketAddr, upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            new: watch::Sender::default(),
            followed: watch::Sender::default(),
            established: Mutex::default(),
            counts: Counts::default(),
        });
        let accepting = tokio::spawn(accept(Arc::clone(&shared), listener, addr));
        Ok(Self {
            addr,
            shared,
            accepting,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets a fault in place of the one before. When it returns, no connection that begins
    /// afterwards escapes it.
    ///
    /// # Errors
    ///
    /// If a listener that was closed by [`Fault::Refuse`] cannot be opened again.
    pub async fn set(&self, scope: Scope, fault: Fault) -> io::Result<()> {
        let number = self.shared.set(scope, fault);
        let mut followed = self.shared.followed.subscribe();
        // An error would mean that the sender is dropped, and `self` holds it.
        match followed.wait_for(|(seen, _)| *seen >= number).await {
            Ok(at) => at.1.map_or(Ok(()), |kind| Err(kind.into())),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Ends every fault.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub async fn pass(&self) -> io::Result<()> {
        self.set(Scope::All, Fault::Pass).await
    }

    /// What it has seen so far.
    pub fn counters(&self) -> Counters {
        let counts = &self.shared.counts;
        Counters {
            connections: counts.connections.load(Relaxed),
            open: self.shared.established().rules.len() as u64,
            requested: counts.requested.load(Relaxed),
            answered: counts.answered.load(Relaxed),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    /// The number of the rule.
    fn set(&self, scope: Scope, fault: Fault) -> u64 {
        // The lock is held throughout, so that a connection that is just being accepted is of one
        // kind.
        let established = self.established();
        let number = self.new.borrow().number + 1;
        if scope != Scope::New {
            for rule in established.rules.values() {
                rule.send_replace(Rule { fault, number });
            }
        }
        self.new.send_modify(|rule| {
            rule.number = number;
            if scope != Scope::Established {
                rule.fault = fault;
            }
        });
        number
    }

    fn established(&self) -> MutexGuard<'_, Established> {
        self.established
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection, under the rule for new ones.
    fn admit(self: &Arc<Self>) -> (Admitted, watch::Receiver<Rule>) {
        self.counts.connections.fetch_add(1, Relaxed);
        let mut established = self.established();
        let number = established.next;
        established.next += 1;
        let (rule, seen) = watch::channel(*self.new.borrow());
        established.rules.insert(number, rule);
        let shared = Arc::clone(self);
        (Admitted { shared, number }, seen)
    }
}

/// A connection in the table, for as long as it lives.
struct Admitted {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.shared.established().rules.remove(&self.number);
    }
}

/// Accepts until the proxy is dropped, which ends the connections as well.
async fn accept(shared: Arc<Shared>, listener: TcpListener, addr: SocketAddr) {
    let mut rules = shared.new.subscribe();
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        let rule = *rules.borrow_and_update();
        let mut failed = None;
        if rule.fault == Fault::Refuse {
            listener = None;
        } else if listener.is_none() {
            match TcpListener::bind(addr).await {
                Ok(bound) => listener = Some(bound),
                Err(failure) => failed = Some(failure.kind()),
            }
        }
        shared.followed.send_replace((rule.number, failed));
        tokio::select! {
            biased;
            changed = rules.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(_) = connections.join_next() => {}
            accepted = next(listener.as_ref()), if connections.len() < MOST_CONNECTIONS => {
                if let Ok(client) = accepted {
                    let (admitted, rules) = shared.admit();
                    connections.spawn(connection::carry(client, admitted, rules));
                } else {
                    // The error is about that one connection, or the process has no free
                    // descriptors: the next one may succeed.
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(client, _)| client),
        None => std::future::pending().await,
    }
}
