//! The connection to one peer, which is dropped if it gets no answers.
//!
//! A network path may go silent for an existing connection and still work for a new one: a
//! firewall or a balancer has lost its state, or the peer's machine was replaced. The keep-alive
//! of HTTP/2 detects that within seconds; a request that ends without an answer shows it sooner.
//! The next request then makes a new connection. Requests in flight stay on theirs. A change of
//! the TLS configuration does the same.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::outcome::no_room;
use super::security::{Config, Security};

/// The shortest time from one connection to the next: a peer that fails each request must not cost
/// a connection for each.
const SHORTEST_LIFE: Duration = Duration::from_millis(500);

/// A request that its caller dropped sooner says nothing about the path.
const TOO_SOON: Duration = Duration::from_millis(100);

/// The connection to one peer.
pub(super) struct Pool {
    endpoint: Endpoint,
    security: Security,
    /// Made on first use and not with the peer: tonic starts a task for it, which needs a runtime.
    current: Mutex<Option<Generation>>,
    /// Counts answers on any connection.
    answers: AtomicU64,
}

struct Generation {
    channel: Channel,
    born: Instant,
    config: Config,
}

impl Pool {
    pub(super) fn new(endpoint: Endpoint, security: Security) -> Self {
        Self {
            endpoint,
            security,
            current: Mutex::new(None),
            answers: AtomicU64::new(0),
        }
    }

    /// The channel for the next request.
    pub(super) fn channel(&self) -> Channel {
        let mut current = self.current();
        // Read under the lock, so that a late thread does not restore an old one.
        let config = self.security.config();
        match &*current {
            Some(generation) if generation.config.is(&config) => return generation.channel.clone(),
            _ => {}
        }
        let channel = config.channel(&self.endpoint);
        let replaced = current.replace(Generation {
            channel: channel.clone(),
            born: Instant::now(),
            config,
        });
        drop(current);
        // Outside of the lock, since it may close the connection.
        drop(replaced);
        channel
    }

    /// Records that a request is sent.
    pub(super) fn attempt(&self) -> Attempt<'_> {
        Attempt {
            pool: self,
            sent: Instant::now(),
            answers: self.answers.load(Relaxed),
            is_open: true,
        }
    }

    /// A request that was sent at that time has failed. It does not affect a connection that was
    /// made later.
    fn failed(&self, sent: Instant) {
        let given_up = {
            let mut current = self.current();
            let is_old = current.as_ref().is_some_and(|generation| {
                generation.born <= sent && generation.born.elapsed() >= SHORTEST_LIFE
            });
            if is_old { current.take() } else { None }
        };
        // Outside of the lock, since it may close the connection.
        drop(given_up);
    }

    fn current(&self) -> MutexGuard<'_, Option<Generation>> {
        // Foreign code under the lock runs before the state changes, so a poisoned state is
        // consistent.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that has no answer yet. If it is dropped, it counts as a failure if no request has
/// had an answer since it was sent: its deadline has passed, or its caller has learned otherwise
/// that the peer is down.
pub(super) struct Attempt<'a> {
    pool: &'a Pool,
    sent: Instant,
    answers: u64,
    is_open: bool,
}

impl Attempt<'_> {
    /// It has ended. A status with a source was made here, for a connection that failed.
    pub(super) fn ended<T>(mut self, answer: &Result<T, Status>) {
        self.is_open = false;
        match answer {
            Err(status) if status.source().is_some() && no_room(status).is_none() => {
                self.pool.failed(self.sent);
            }
            _ => {
                self.pool.answers.fetch_add(1, Relaxed);
            }
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let is_silent = self.pool.answers.load(Relaxed) == self.answers;
        if self.is_open && is_silent && self.sent.elapsed() >= TOO_SOON {
            self.pool.failed(self.sent);
        }
    }
}
