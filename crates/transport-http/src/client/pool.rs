//! The connections to one peer, which are dropped together when one of them fails.
//!
//! A network path may go silent for existing connections and still work for new ones: a firewall
//! or a balancer has lost its state, or the peer's machine was replaced. Each connection would
//! have to fail by itself, and the pool would return the next dead one each time. So a failure
//! replaces the pool: the next request makes a new connection. Requests in flight stay on theirs.
//! A change of the TLS configuration replaces the pool in the same way.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{redirect, retry};
use tokio::time::Instant;

use super::ClientOptions;
use super::send::{Client, Config, Security};

/// The shortest time from one pool to the next: a peer that fails each request must not cost a
/// connection for each.
const SHORTEST_LIFE: Duration = Duration::from_millis(500);

/// A request that its caller dropped sooner says nothing about the path.
const TOO_SOON: Duration = Duration::from_millis(100);

/// The connections to one peer.
pub(super) struct Pool {
    security: Security,
    current: Mutex<Option<Generation>>,
    /// Counts answers that have begun or continued, on any connection.
    answers: AtomicU64,
}

struct Generation {
    client: Client,
    born: Instant,
    config: Config,
}

impl Pool {
    /// For the peer of that name at that base URL.
    pub(super) fn new(options: &ClientOptions, name: &str, base_url: &str) -> Self {
        Self {
            security: Security::new(options, name, base_url),
            current: Mutex::default(),
            answers: AtomicU64::new(0),
        }
    }

    /// The client for the next request.
    pub(super) fn client(&self, options: &ClientOptions) -> Result<Client, reqwest::Error> {
        let mut current = self.current();
        // Read under the lock, so that a late thread does not restore an old one.
        let config = self.security.config();
        match &*current {
            Some(generation) if generation.config.is(&config) => {
                return Ok(generation.client.clone());
            }
            _ => {}
        }
        let client = config.client(options)?;
        let replaced = current.replace(Generation {
            client: client.clone(),
            born: Instant::now(),
            config,
        });
        drop(current);
        // Outside of the lock, since it closes connections.
        drop(replaced);
        Ok(client)
    }

    /// Records that a request is sent, with the deadline of its answer.
    pub(super) fn attempt(&self, until: Option<Instant>) -> Attempt<'_> {
        Attempt {
            pool: self,
            sent: Instant::now(),
            until,
            answers: self.answers.load(Relaxed),
            is_open: true,
        }
    }

    /// An answer has begun or continued.
    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Relaxed);
    }

    /// A request that was sent at that time has failed. It does not affect connections that were
    /// made later.
    pub(super) fn failed(&self, sent: Instant) {
        let given_up = {
            let mut current = self.current();
            let is_old = current.as_ref().is_some_and(|generation| {
                generation.born <= sent && generation.born.elapsed() >= SHORTEST_LIFE
            });
            if is_old { current.take() } else { None }
        };
        // Outside of the lock, since it closes connections.
        drop(given_up);
    }

    fn current(&self) -> MutexGuard<'_, Option<Generation>> {
        // Foreign code under the lock runs before the state changes, so a poisoned state is
        // consistent.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that has no answer yet. If it is dropped, it may count as a failure if no other
/// request has had an answer since it was sent: its deadline has passed, or its caller has learned
/// otherwise that the peer is down.
pub(super) struct Attempt<'a> {
    pool: &'a Pool,
    sent: Instant,
    until: Option<Instant>,
    answers: u64,
    is_open: bool,
}

impl Attempt<'_> {
    /// An answer begins.
    pub(super) fn answered(mut self) -> Instant {
        self.is_open = false;
        self.pool.answered();
        self.sent
    }

    /// It ends without an answer; `is_dead` if that says something about existing connections.
    pub(super) fn failed(mut self, is_dead: bool) {
        self.is_open = false;
        if is_dead {
            self.pool.failed(self.sent);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let is_late = self.until.is_some_and(|until| Instant::now() >= until);
        // If other requests had answers, the key is slow, and the peer is not silent.
        let is_silent = self.pool.answers.load(Relaxed) == self.answers;
        if is_silent && (is_late || self.sent.elapsed() >= TOO_SOON) {
            self.pool.failed(self.sent);
        }
    }
}

/// A client for plain HTTP with no connections yet.
pub(super) fn new_client(options: &ClientOptions) -> Result<reqwest::Client, reqwest::Error> {
    let client = reqwest::Client::builder()
        .http1_only()
        // A proxy of the environment is not used between peers.
        .no_proxy()
        // A redirect is not an answer. Go's ServeMux sends 301 for keys with `//` or `/../`: to
        // another key.
        .redirect(redirect::Policy::none())
        .referer(false)
        // Retries are for streams of HTTP/2, and each request would be copied for one.
        .retry(retry::never().max_retries_per_request(0))
        .tcp_nodelay(true)
        .connect_timeout(options.connect_timeout)
        .pool_max_idle_per_host(options.idle_per_peer)
        .pool_idle_timeout(options.idle_timeout);
    // If a request is lost on the network, the kernel notices before the deadline.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let client = client.tcp_user_timeout(options.unacknowledged_timeout);
    client.build()
}
