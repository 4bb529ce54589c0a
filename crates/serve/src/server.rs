use std::{
    convert::Infallible, fmt::Display, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
};

use axum::body::Body;
use hyper::{Request, Response};
use tokio::{
    net::{TcpListener, TcpSocket, ToSocketAddrs, lookup_host},
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tower::Service;
use tracing::{info, warn};

use crate::{
    accept::{self, Acceptor},
    connection::Shared,
    connections::Connections,
    counts::Counts,
    options::Options,
};

/// How often a server has the runtime's clock ring, for nobody.
///
/// tokio wakes the thread that waits for I/O whenever a timer is set that is to ring before all
/// others, so that it waits no longer than that: a system call, another thread awake, and work
/// moved there that had better stayed. Requests that set timers pay that for each of them, and the
/// more the less there is to do. With this one always near, those of a request are not the first
/// to ring.
const PULSE: Duration = Duration::from_millis(50);

/// A bound socket, listening. Serves nothing before [`serve`](Self::serve); meanwhile the backlog
/// collects.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    counts: Counts,
    options: Options,
}

/// How a server's shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Connections that were open when the shutdown was signalled: also those that were idle, or
    /// waited in the backlog.
    pub open: usize,
    /// Those of them which [`Options::drain`] did not suffice for.
    pub cut: usize,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address does not resolve, is not this host's, is in use, or needs a privilege.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// As given to [`Server::bind`].
        addr: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Server {
    /// Listens on the first of the addresses that `addr` resolves to and that can be bound.
    ///
    /// # Errors
    ///
    /// [`ServeError::Bind`] with `addr` and the cause of the last attempt.
    pub async fn bind(
        addr: impl ToSocketAddrs + Display,
        options: Options,
    ) -> Result<Self, ServeError> {
        let named = addr.to_string();
        match listen(addr, options.backlog).await {
            Ok((listener, local_addr)) => Ok(Self {
                listener,
                local_addr,
                counts: Counts::of(options.max_connections.max(1)),
                options,
            }),
            Err(source) => Err(ServeError::Bind {
                addr: named,
                source,
            }),
        }
    }

    /// Serves on a socket that listens already: one that the program has bound itself, or was
    /// given by its supervisor. How long its backlog is has been decided; [`Options::backlog`]
    /// counts for nothing.
    ///
    /// # Errors
    ///
    /// [`ServeError::Bind`] if the system does not tell its address.
    pub fn on(listener: TcpListener, options: Options) -> Result<Self, ServeError> {
        match listener.local_addr() {
            Ok(local_addr) => Ok(Self {
                listener,
                local_addr,
                counts: Counts::of(options.max_connections.max(1)),
                options,
            }),
            Err(source) => Err(ServeError::Bind {
                addr: "the listener that was given".to_owned(),
                source,
            }),
        }
    }

    /// The address in use; with the port that the system chose, if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What this server counts, to be read while it serves.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Serves `service`, an [`axum::Router`] for example, until `shutdown` completes, then drains:
    /// what waits in the backlog is accepted and nothing after it, idle connections are closed,
    /// running requests finish, as do those that arrive within 250 ms on an HTTP/1.1 connection,
    /// and what is left after [`Options::drain`] is cut.
    ///
    /// Returns when all connections are closed. Dropping the future cuts them at once.
    ///
    /// A service of another kind spares the router's part of a request. It is cloned for each
    /// request, so a clone should be cheap; and unlike the router it is called for `HEAD` as it
    /// is, and has to leave the body away itself.
    pub async fn serve<S>(self, service: S, shutdown: impl Future<Output = ()> + Send) -> Drained
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
    {
        let Self {
            listener,
            local_addr,
            counts,
            options,
        } = self;
        let drain = options.drain;
        let shared = Arc::new(Shared {
            http: options.http(),
            service,
            options,
            counts: counts.clone(),
            #[cfg(feature = "tls")]
            refusals: crate::tls::Refusals::default(),
        });
        let (stop, stopping) = watch::channel(false);
        let mut connections = Connections::new(shared, stopping);
        let mut acceptor = Acceptor::default();
        // The one that waits for room.
        let mut next = None;
        // Whether room is needed, and may be found by another look.
        let mut unfinished = false;
        let mut shutdown = pin!(shutdown);
        let mut pulse = interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = pulse.tick() => {}
                () = &mut shutdown => break,
                ended = connections.changed(unfinished) => if ended {
                    acceptor.resume();
                    unfinished = false;
                },
                accepted = acceptor.next(|| listener.accept()), if next.is_none() => match accepted {
                    Some(accepted) => {
                        if connections.room() == 0 {
                            counts.waits();
                        }
                        next = Some(accepted);
                    }
                    // Out of descriptors, most likely. The system asks for one before it looks for
                    // a connection, so that one may be freed for nobody.
                    None => {
                        counts.accept_failed();
                        unfinished = true;
                    }
                },
            }
            if connections.room() > 0
                && let Some((socket, client)) = next.take()
            {
                connections.serve(socket, client);
                unfinished = false;
            }
            if next.is_some() || unfinished {
                unfinished = connections.make_room();
            }
        }
        let _ = stop.send(true);
        for (socket, client) in next
            .into_iter()
            .chain(accept::backlog(listener, connections.room()))
        {
            connections.serve(socket, client);
        }
        let drained = connections.drain(drain).await;
        counts.drained(drained.cut);
        if drained.cut > 0 {
            warn!(%local_addr, open = drained.open, cut = drained.cut, ?drain, "connections were cut");
        } else {
            info!(%local_addr, open = drained.open, "all connections are closed");
        }
        drained
    }
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
