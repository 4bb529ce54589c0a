use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use crate::activity::Why;

/// The number of parts of the request counter.
const STRIPES: usize = 16;

/// The counters of a [`Server`](crate::Server), which can be read while it serves. Clones share
/// them.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    inner: Arc<Inner>,
}

/// A snapshot of [`Counts`]. Each counter is exact; the set is not of one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// Connections that are served now.
    pub open: usize,
    /// The limit of `open`: [`Options::max_connections`](crate::Options::max_connections).
    pub limit: usize,
    /// Connections that were served, including those that are open.
    pub accepted: u64,
    /// The number of these that had to wait because `limit` was reached.
    pub waited: u64,
    /// Connections that were asked to close to make room for another one.
    pub made_room: u64,
    /// Times that no connection could be accepted, most likely for lack of descriptors. Accepting
    /// continues after a pause.
    pub accept_failures: u64,
    /// Clients that were refused during the TLS handshake: for an invalid or missing certificate,
    /// for versions and ciphers, or for plain HTTP. One that only disconnected is not counted.
    pub handshake_failures: u64,
    /// Requests whose headers have arrived.
    pub requests: u64,
    /// Connections that were cut, by reason.
    pub cut: Cut,
}

/// Connections that a timeout has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// A handshake or a request's headers did not arrive in time.
    pub head: u64,
    /// The client did not read its response, or not fast enough.
    pub response: u64,
    /// The client did not let the connection close.
    pub closing: u64,
    /// It had sent no request, and another one needed its place.
    pub room: u64,
    /// It had sent no whole request when the server shut down, or was still busy when
    /// [`Options::drain`](crate::Options::drain) was over.
    pub shutdown: u64,
}

impl Cut {
    /// Each reason in one word, as a metric's label has it, and its count.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u64); 5] {
        [
            ("head", self.head),
            ("response", self.response),
            ("closing", self.closing),
            ("room", self.room),
            ("shutdown", self.shutdown),
        ]
    }
}

#[derive(Debug, Default)]
struct Inner {
    open: AtomicUsize,
    limit: AtomicUsize,
    accepted: AtomicU64,
    waited: AtomicU64,
    made_room: AtomicU64,
    accept_failures: AtomicU64,
    handshake_failures: AtomicU64,
    cut: [AtomicU64; 5],
    requests: [Stripe; STRIPES],
}

/// A part of a counter, in cache lines of its own: connections on other processors do not wait for
/// it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

/// Counts the requests of one connection.
#[derive(Clone)]
pub(crate) struct RequestCount {
    inner: Arc<Inner>,
    stripe: usize,
}

impl RequestCount {
    pub(crate) fn add(&self) {
        self.inner.requests[self.stripe].0.fetch_add(1, Relaxed);
    }
}

impl Counts {
    /// The counters so far.
    #[must_use]
    pub fn snapshot(&self) -> Counted {
        let inner = &self.inner;
        let [head, response, closing, room, shutdown] =
            std::array::from_fn(|n| inner.cut[n].load(Relaxed));
        Counted {
            open: inner.open.load(Relaxed),
            limit: inner.limit.load(Relaxed),
            accepted: inner.accepted.load(Relaxed),
            waited: inner.waited.load(Relaxed),
            made_room: inner.made_room.load(Relaxed),
            accept_failures: inner.accept_failures.load(Relaxed),
            handshake_failures: inner.handshake_failures.load(Relaxed),
            requests: inner.requests.iter().map(|n| n.0.load(Relaxed)).sum(),
            cut: Cut {
                head,
                response,
                closing,
                room,
                shutdown,
            },
        }
    }

    pub(crate) fn of(limit: usize) -> Self {
        let counts = Self::default();
        counts.inner.limit.store(limit, Relaxed);
        counts
    }

    pub(crate) fn opened(&self) {
        self.inner.accepted.fetch_add(1, Relaxed);
        self.inner.open.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self) {
        self.inner.open.fetch_sub(1, Relaxed);
    }

    pub(crate) fn waits(&self) {
        self.inner.waited.fetch_add(1, Relaxed);
    }

    pub(crate) fn made_room(&self) {
        self.inner.made_room.fetch_add(1, Relaxed);
    }

    pub(crate) fn accept_failed(&self) {
        self.inner.accept_failures.fetch_add(1, Relaxed);
    }

    #[cfg(feature = "tls")]
    pub(crate) fn handshake_failed(&self) {
        self.inner.handshake_failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn cut(&self, why: Why) {
        let n = match why {
            Why::Head => 0,
            Why::Response => 1,
            Why::Closing => 2,
            Why::Room => 3,
            Why::Shutdown => 4,
        };
        self.inner.cut[n].fetch_add(1, Relaxed);
    }

    /// Connections that were cut because the drain was over.
    pub(crate) fn drained(&self, cut: usize) {
        self.inner.cut[4].fetch_add(cut as u64, Relaxed);
    }

    /// For the requests of one connection.
    pub(crate) fn requests(&self) -> RequestCount {
        // Any number would do that differs between connections which are open at the same time.
        let accepted = self.inner.accepted.load(Relaxed);
        RequestCount {
            inner: Arc::clone(&self.inner),
            stripe: usize::try_from(accepted % STRIPES as u64).unwrap_or_default(),
        }
    }
}
