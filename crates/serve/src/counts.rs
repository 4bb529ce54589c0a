use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use crate::activity::Why;

/// How many parts the count of requests has.
const STRIPES: usize = 16;

/// What a [`Server`](crate::Server) counts, to be read while it serves: a handle, of which all
/// clones are one.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    inner: Arc<Inner>,
}

/// A snapshot of [`Counts`]. Each counter is exact; the set is not one instant's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// Connections that are served now.
    pub open: usize,
    /// The most that may be: [`Options::max_connections`](crate::Options::max_connections).
    pub limit: usize,
    /// Connections that were served, with those that are.
    pub accepted: u64,
    /// Those of them that had to wait, as `limit` was reached.
    pub waited: u64,
    /// Connections that were asked to close as another one needed their place.
    pub made_room: u64,
    /// Times that no connection could be accepted: out of descriptors, most likely. Accepting goes
    /// on after a pause.
    pub accept_failures: u64,
    /// Clients that were refused during the TLS handshake: for their certificate or the lack of
    /// it, for versions and ciphers, or for plain HTTP. One that just went away is not counted.
    pub handshake_failures: u64,
    /// Requests whose headers have arrived.
    pub requests: u64,
    /// Connections that were cut, by why.
    pub cut: Cut,
}

/// Connections that a clock has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// A handshake or a request's headers did not arrive in time.
    pub head: u64,
    /// The client did not take its response, or not fast enough.
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
    /// Each reason in a word, as a metric's label has it, and how many.
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

/// A part of a count, in cache lines of its own: connections on other processors do not wait for
/// it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

/// One connection's way to count its requests.
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
    /// What has been counted so far.
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

    /// Connections that were cut as the drain was over.
    pub(crate) fn drained(&self, cut: usize) {
        self.inner.cut[4].fetch_add(cut as u64, Relaxed);
    }

    /// For the requests of one connection.
    pub(crate) fn requests(&self) -> RequestCount {
        // As good as any number that differs between connections that are open at one time.
        let accepted = self.inner.accepted.load(Relaxed);
        RequestCount {
            inner: Arc::clone(&self.inner),
            stripe: usize::try_from(accepted % STRIPES as u64).unwrap_or_default(),
        }
    }
}
