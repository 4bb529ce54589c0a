//! The connection to one peer, which is given up where it brings no answers.
//!
//! A path may go silent for a connection that exists and still be good for a new one: a firewall
//! or a balancer has lost its state, or the peer's machine was replaced. The keep-alive of HTTP/2
//! finds out in seconds; a request that ends without any sign of the peer knows it sooner. The
//! next request makes a new connection then. Requests under way stay on theirs. A change of the TLS
//! configuration does the same.

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

/// A request that its caller gave up sooner says nothing about the path.
const TOO_SOON: Duration = Duration::from_millis(100);

/// The connection to one peer.
pub(super) struct Pool {
    endpoint: Endpoint,
    security: Security,
    /// Made on first use and not with the peer: tonic starts a task for it, which needs a runtime.
    current: Mutex<Option<Generation>>,
    /// Answers that have come, on whatever connection.
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
        // Asked under the lock, so that no thread that comes late brings back an old one.
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
        // Outside of the lock, as it may close the connection.
        drop(replaced);
        channel
    }

    /// Notes that a request leaves.
    pub(super) fn attempt(&self) -> Attempt<'_> {
        Attempt {
            pool: self,
            sent: Instant::now(),
            answers: self.answers.load(Relaxed),
            is_open: true,
        }
    }

    /// A request that was sent then has failed. A connection that was made later is not concerned.
    fn failed(&self, sent: Instant) {
        let given_up = {
            let mut current = self.current();
            let is_old = current.as_ref().is_some_and(|generation| {
                generation.born <= sent && generation.born.elapsed() >= SHORTEST_LIFE
            });
            if is_old { current.take() } else { None }
        };
        // Outside of the lock, as it may close the connection.
        drop(given_up);
    }

    fn current(&self) -> MutexGuard<'_, Option<Generation>> {
        // What foreign code runs under the lock runs before it is changed: a poisoned state is a whole one.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request without an answer as yet. Dropped, it counts as a failure if nobody has had an answer
/// since it left: its time is over, or its caller has learned by other means that the peer is
/// gone.
pub(super) struct Attempt<'a> {
    pool: &'a Pool,
    sent: Instant,
    answers: u64,
    is_open: bool,
}

impl Attempt<'_> {
    /// It has ended. A status with an error behind it was made here, of a connection that failed.
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
