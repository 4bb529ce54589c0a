//! The connections to one server.
//!
//! The pool is this crate's own. The driver's pool retries a refused connection until the acquire
//! timeout is over, so that a server that is down looks like one whose connections are all in use.
//! It also takes connections back in the middle of a statement.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Connection as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::failure::{Trouble, kind};
use super::{Dialect, Kind, ServerOptions, Session, password};
use crate::error::said;

/// How long a server may take to close a connection.
const GOODBYE: Duration = Duration::from_secs(1);

pub(super) struct Pool<D: Dialect> {
    shared: Arc<Shared<D>>,
}

struct Shared<D: Dialect> {
    name: String,
    address: D::Address,
    password_file: Option<PathBuf>,
    session: Session,
    max_connections: u32,
    acquire_timeout: Duration,
    idle_timeout: Duration,
    max_lifetime: Duration,
    slots: Arc<Semaphore>,
    /// The one used last is at the end.
    idle: Mutex<Vec<Idle<D>>>,
}

struct Idle<D: Dialect> {
    connection: D::Connection,
    /// After how long the server ends its statements.
    limit: Duration,
    opened: Instant,
    since: Instant,
}

/// A connection for one statement, or some. Its drop closes the connection.
pub(super) struct Lease<D: Dialect> {
    pub(super) connection: D::Connection,
    /// Whether others have used it before, so that it may be dead without notice.
    pub(super) used_before: bool,
    limit: Duration,
    opened: Instant,
    pool: Arc<Shared<D>>,
    slot: OwnedSemaphorePermit,
}

impl<D: Dialect> Pool<D> {
    pub(super) fn new(name: String, address: D::Address, options: &ServerOptions) -> Self {
        let shared = Arc::new(Shared {
            name,
            address,
            password_file: options.password_file.clone(),
            session: Session {
                connect_timeout: options.connect_timeout,
                statement_timeout: options.statement_timeout,
                read_only: options.read_only,
            },
            max_connections: options.max_connections,
            acquire_timeout: options.acquire_timeout,
            idle_timeout: options.idle_timeout,
            max_lifetime: options.max_lifetime,
            slots: Arc::new(Semaphore::new(options.max_connections as usize)),
            idle: Mutex::new(Vec::new()),
        });
        close_idle(&shared);
        Self { shared }
    }

    pub(super) fn name(&self) -> &str {
        &self.shared.name
    }

    pub(super) fn session(&self) -> Session {
        self.shared.session
    }

    /// Leases a connection: one that is idle, if possible one whose statements have this limit
    /// already, or a new one. A `fresh` one is new in any case.
    pub(super) async fn lease(&self, fresh: bool, limit: Duration) -> Result<Lease<D>, Trouble> {
        let shared = &self.shared;
        let acquired = Arc::clone(&shared.slots).acquire_owned();
        let Ok(Ok(slot)) = timeout(shared.acquire_timeout, acquired).await else {
            return Err(Trouble::AllInUse {
                waited: shared.acquire_timeout,
                connections: shared.max_connections,
            });
        };
        let lease = |connection, limit, opened, used_before| Lease {
            connection,
            used_before,
            limit,
            opened,
            pool: Arc::clone(shared),
            slot,
        };
        if !fresh && let Some(idle) = shared.take_idle(limit) {
            return Ok(lease(idle.connection, idle.limit, idle.opened, true));
        }
        let connection = shared.connect(limit).await?;
        Ok(lease(connection, limit, Instant::now(), false))
    }

    /// Closes all idle connections: one of them was dead, so others may be as well.
    pub(super) fn forget_idle(&self) {
        let idle = std::mem::take(&mut *self.shared.idle());
        for idle in idle {
            goodbye::<D>(idle.connection, None);
        }
    }
}

impl<D: Dialect> Shared<D> {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle<D>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_of_use(&self, idle: &Idle<D>) -> bool {
        idle.since.elapsed() < self.idle_timeout && idle.opened.elapsed() < self.max_lifetime
    }

    fn take_idle(&self, limit: Duration) -> Option<Idle<D>> {
        loop {
            let idle = {
                let mut idle = self.idle();
                match idle.iter().rposition(|idle| idle.limit == limit) {
                    Some(at) => idle.remove(at),
                    None => idle.pop()?,
                }
            };
            if self.is_of_use(&idle) {
                return Some(idle);
            }
            goodbye::<D>(idle.connection, None);
        }
    }

    async fn connect(&self, statement_timeout: Duration) -> Result<D::Connection, Trouble> {
        let limit = self.session.connect_timeout;
        let session = Session {
            statement_timeout,
            ..self.session
        };
        let connecting = async {
            let password = match &self.password_file {
                Some(path) => Some(password::read(path).await.map_err(Trouble::Refused)?),
                None => None,
            };
            let connected = D::connect(&self.address, session, password.as_deref()).await;
            connected.map_err(|error| self.unconnected(error))
        };
        timeout(limit, connecting).await.unwrap_or_else(|_| {
            let reason = format!("no connection within {limit:?}");
            Err(Trouble::Unreachable(reason))
        })
    }

    fn unconnected(&self, error: sqlx::Error) -> Trouble {
        if kind::<D>(&error) == Kind::Busy {
            return Trouble::Failed(error);
        }
        let refuses = error.as_database_error().is_some_and(D::refuses);
        let reason = said(&error);
        if refuses {
            Trouble::Refused(reason)
        } else {
            Trouble::Unreachable(reason)
        }
    }
}

impl<D: Dialect> Lease<D> {
    /// Makes the server end the next statements after that time.
    pub(super) async fn limit(&mut self, limit: Duration) -> Result<(), sqlx::Error> {
        if self.limit != limit {
            D::limit(&mut self.connection, limit).await?;
            self.limit = limit;
        }
        Ok(())
    }

    /// Returns the connection to the pool. It must not be in the middle of a statement.
    pub(super) fn give_back(self) {
        let Self {
            connection,
            limit,
            opened,
            pool,
            slot,
            ..
        } = self;
        pool.idle().push(Idle {
            connection,
            limit,
            opened,
            since: Instant::now(),
        });
        // The slot is released after that, so that its next owner finds the connection.
        drop(slot);
    }

    /// Closes a connection, and keeps its slot until the server has ended its statement.
    pub(super) async fn abandon(self, ends_within: Duration) {
        let Self {
            connection, slot, ..
        } = self;
        drop(connection);
        tokio::time::sleep(ends_within).await;
        drop(slot);
    }

    /// Closes a connection that may be in the middle of a statement.
    pub(super) fn close(self) {
        goodbye::<D>(self.connection, Some(self.slot));
    }
}

impl<D: Dialect> Drop for Shared<D> {
    fn drop(&mut self) {
        for idle in std::mem::take(&mut *self.idle()) {
            goodbye::<D>(idle.connection, None);
        }
    }
}

/// Ends the session on the server, and closes the connection.
fn goodbye<D: Dialect>(connection: D::Connection, slot: Option<OwnedSemaphorePermit>) {
    // Outside of a runtime it is closed without a message to the server.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            // A failure does not matter: the connection is closed anyway.
            let _ = timeout(GOODBYE, connection.close()).await;
            drop(slot);
        });
    }
}

/// Regularly closes connections that are idle for too long, until the pool is dropped.
fn close_idle<D: Dialect>(shared: &Arc<Shared<D>>) {
    let pool = Arc::downgrade(shared);
    let every = shared.idle_timeout.min(shared.max_lifetime);
    let every = every.clamp(Duration::from_millis(100), Duration::from_secs(60));
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            let Some(pool) = pool.upgrade() else {
                return;
            };
            let mut of_no_use = Vec::new();
            {
                let mut idle = pool.idle();
                for one in std::mem::take(&mut *idle) {
                    let list = if pool.is_of_use(&one) {
                        &mut *idle
                    } else {
                        &mut of_no_use
                    };
                    list.push(one);
                }
            }
            for idle in of_no_use {
                goodbye::<D>(idle.connection, None);
            }
        }
    });
}
