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

/// The interval of a timer of the server that no task needs.
///
/// tokio wakes the thread that waits for I/O whenever a timer is set that is due before all
/// others, so that the thread waits no longer than that. This costs a system call, wakes another
/// thread, and moves work there that should have stayed. Requests that set timers would pay that
/// for each of them, and more often the less there is to do. While this timer is always due soon,
/// the timers of requests are not the earliest.
const PULSE: Duration = Duration::from_millis(50);

/// A bound socket that listens. It serves nothing before [`serve`](Self::serve); until then
/// connections wait in the backlog.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    counts: Counts,
    options: Options,
}

/// The result of a server's shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Connections that were open when the shutdown was signalled, including those that were idle
    /// or waited in the backlog.
    pub open: usize,
    /// The number of these that were cut when [`Options::drain`] had passed.
    pub cut: usize,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address does not resolve, is not this host's, is in use, or needs a privilege.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address given to [`Server::bind`].
        addr: String,
        /// The system's error.
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
    /// given by its supervisor. Its backlog is already set: [`Options::backlog`] has no effect.
    ///
    /// # Errors
    ///
    /// [`ServeError::Bind`] if the system does not return its address.
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

    /// The address in use, with the port that the system chose if it was 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The counters of this server, which can be read while it serves.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Serves `service`, an [`axum::Router`] for example, until `shutdown` completes, then drains:
    /// connections in the backlog are accepted, and none after that; idle connections are closed;
    /// running requests finish, as do those that arrive within 250 ms on an HTTP/1.1 connection;
    /// connections that are left after [`Options::drain`] are cut.
    ///
    /// Returns when all connections are closed. Dropping the future cuts them immediately.
    ///
    /// A service of another kind saves the router's part of a request. It is cloned for each
    /// request, so a clone should be cheap. If it is ready, it is called by the task of the
    /// connection, which other requests of the connection wait for on HTTP/2: what takes time
    /// belongs into its future. Unlike the router, it gets `HEAD` requests unchanged, and has to
    /// omit the body itself.
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
        // The connection that waits for room.
        let mut next = None;
        // Whether room is needed, and another check may find it.
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
                    // Most likely there is no free descriptor. The system takes one before it
                    // looks for a connection, so one may be freed although none waits.
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
