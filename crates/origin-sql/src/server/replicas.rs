//! Chooses the server: a replica, or the primary.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Dialect;
use super::failure::Trouble;
use super::pool::{Lease, Pool};

/// How long a replica that cannot be reached is not used.
const LEFT_ALONE: Duration = Duration::from_secs(5);

pub(super) struct Servers<D: Dialect> {
    primary: Pool<D>,
    replicas: Vec<Replica<D>>,
    next: AtomicUsize,
}

struct Replica<D: Dialect> {
    pool: Pool<D>,
    /// Until when it is not used.
    left_until: Mutex<Option<Instant>>,
}

impl<D: Dialect> Servers<D> {
    pub(super) fn new(primary: Pool<D>, replicas: Vec<Pool<D>>) -> Self {
        let replica = |pool| Replica {
            pool,
            left_until: Mutex::new(None),
        };
        Self {
            primary,
            replicas: replicas.into_iter().map(replica).collect(),
            next: AtomicUsize::new(0),
        }
    }

    pub(super) fn primary(&self) -> &Pool<D> {
        &self.primary
    }

    /// Connects to each server once. Returns a connection to the primary, or if that cannot be
    /// reached to a replica, and which server it is. It is an error if a server refuses its
    /// configuration, or if none can be reached; the error names the server.
    pub(super) async fn lease_from_any(
        &self,
        limit: Duration,
    ) -> Result<(Lease<D>, &Pool<D>), (Trouble, &str)> {
        let of_primary = (self.primary.lease(false, limit).await, &self.primary);
        let mut usable = match of_primary {
            (Err(trouble @ Trouble::Refused(_)), pool) => return Err((trouble, pool.name())),
            (lease, pool) => lease.map(|lease| (lease, pool)),
        };
        for replica in &self.replicas {
            let (name, pool) = (replica.pool.name(), &replica.pool);
            match pool.lease(false, limit).await {
                Err(trouble @ Trouble::Refused(_)) => return Err((trouble, name)),
                Err(trouble) => {
                    let reason = trouble.told::<D>(name);
                    tracing::warn!(replica = name, %reason, "a replica cannot be reached");
                    replica.leave();
                }
                Ok(lease) => match &usable {
                    Ok(_) => lease.give_back(),
                    Err(trouble) => {
                        let database = self.primary.name();
                        let reason = trouble.told::<D>(database);
                        tracing::warn!(
                            database,
                            %reason,
                            replica = name,
                            "the primary cannot be used: the query is checked on a replica"
                        );
                        usable = Ok((lease, pool));
                    }
                },
            }
        }
        usable.map_err(|trouble| (trouble, self.primary.name()))
    }

    /// Returns a connection to the next replica that can be reached, or if none can to the
    /// primary, and which server it is.
    pub(super) async fn lease(
        &self,
        fresh: bool,
        limit: Duration,
    ) -> Result<(Lease<D>, &Pool<D>), (Trouble, &str)> {
        let first = match self.replicas.len() {
            0 => 0,
            count => self.next.fetch_add(1, Relaxed) % count,
        };
        let (before, from) = self.replicas.split_at(first);
        for replica in from.iter().chain(before) {
            if !replica.may_be_asked() {
                continue;
            }
            match replica.pool.lease(fresh, limit).await {
                Ok(lease) => {
                    replica.is_there();
                    return Ok((lease, &replica.pool));
                }
                Err(Trouble::Unreachable(reason) | Trouble::Refused(reason)) => {
                    tracing::warn!(replica = replica.pool.name(), %reason, "a replica cannot be reached");
                    replica.leave();
                }
                Err(trouble) => return Err((trouble, replica.pool.name())),
            }
        }
        let lease = self.primary.lease(fresh, limit).await;
        match lease {
            Ok(lease) => Ok((lease, &self.primary)),
            Err(trouble) => Err((trouble, self.primary.name())),
        }
    }
}

impl<D: Dialect> Replica<D> {
    /// Whether it may be used. If it was not in use, one load tries it, and the others continue
    /// without it until that load has an answer.
    fn may_be_asked(&self) -> bool {
        let mut left_until = self
            .left_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *left_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                *left_until = Some(now + LEFT_ALONE);
                true
            }
        }
    }

    fn is_there(&self) {
        *self
            .left_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn leave(&self) {
        let until = Instant::now() + LEFT_ALONE;
        *self
            .left_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}
