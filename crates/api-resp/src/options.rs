//! The bounds of the port, and what its clients may do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The bounds of a [`RespServer`](crate::RespServer), and who may do what there.
#[derive(Debug, Clone)]
pub struct Options {
    /// The group of keys that name none. `None`: the only group, where there is exactly one.
    pub group: Option<String>,
    /// What clients must prove. Default: nothing, and they may read and write.
    pub access: Access,
    /// TLS on the port. Default: none.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::Tls>,
    /// Connections served at a time, at least 1. One more is told so and closed, as Redis does.
    /// Default: 10,000.
    pub max_connections: usize,
    /// Connections that the kernel may hold before they are accepted. Default: 1,024.
    pub backlog: u32,
    /// The most arguments of a request, its name included. Default: 10,000.
    pub max_arguments: usize,
    /// The most bytes of a request. Beyond 64 KiB a request also draws on the budget of bytes in
    /// flight. Default: 64 MiB.
    pub max_request: usize,
    /// The most bytes of answers that wait for a client which still sends requests. From 64 KiB on
    /// they draw on the budget of bytes in flight, and requests wait where there is no room.
    /// Default: 1 MiB.
    pub max_output: usize,
    /// The most keys of one connection that are loaded at a time: of an `MGET`, or of the gets
    /// that follow each other in a pipeline. 0 is taken as 1. Default: 128.
    pub batch_loads: usize,
    /// How long a connection is kept without a request. Default: 5 minutes.
    pub idle_timeout: Duration,
    /// How long a handshake may take, and a client may take to authenticate, and to send the rest
    /// of a request that it has begun. Default: 10 s.
    pub request_timeout: Duration,
    /// How long a client may leave answers waiting. Default: 30 s.
    pub stall_timeout: Duration,
    /// A request or an answer may take so much longer than these times as its bytes take at so
    /// many a second. Default: 16 KiB.
    pub min_rate: u32,
    /// From the shutdown signal until the connections that are left are cut. Default: 10 s.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            group: None,
            access: Access::open(Rights::Write),
            #[cfg(feature = "tls")]
            tls: None,
            max_connections: 10_000,
            backlog: 1_024,
            max_arguments: 10_000,
            max_request: 64 << 20,
            max_output: 1 << 20,
            batch_loads: 128,
            idle_timeout: Duration::from_secs(300),
            request_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            min_rate: 16 << 10,
            drain: Duration::from_secs(10),
        }
    }
}

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rights {
    /// Get values.
    Read,
    /// Get, put and remove values.
    Write,
}

/// What a client may do, and until when. [`Rights`] alone are for as long as it is connected.
#[derive(Debug)]
pub struct Grant {
    pub(crate) rights: Rights,
    pub(crate) withdrawn: Option<Withdrawn>,
}

/// Whether rights have ended.
pub(crate) struct Withdrawn(Box<dyn Fn() -> bool + Send + Sync>);

impl Withdrawn {
    #[inline]
    pub(crate) fn is_so(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl Grant {
    /// These rights, until the client's connection ends or it sends `RESET`.
    #[must_use]
    pub fn new(rights: Rights) -> Self {
        Self {
            rights,
            withdrawn: None,
        }
    }

    /// At the latest until `withdrawn` returns `true`: the client then has the rights of one that
    /// has given no password. It is called before commands that were read together, and when one
    /// of them has waited, on the runtime's threads: it must be as cheap as the load of an atomic.
    #[must_use]
    pub fn until(mut self, withdrawn: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.withdrawn = Some(Withdrawn(Box::new(withdrawn)));
        self
    }
}

impl From<Rights> for Grant {
    fn from(rights: Rights) -> Self {
        Self::new(rights)
    }
}

/// Checks a password, for `AUTH` and `HELLO`.
type Check = Arc<dyn Fn(&[u8]) -> Option<Grant> + Send + Sync>;

/// What clients must prove, and may do then.
#[derive(Clone)]
pub struct Access {
    pub(crate) open: Option<Rights>,
    pub(crate) check: Option<Check>,
}

impl Access {
    /// Nothing has to be proven: the port is for this machine alone, or clients have shown a
    /// certificate when they connected.
    #[must_use]
    pub fn open(rights: Rights) -> Self {
        Self {
            open: Some(rights),
            check: None,
        }
    }

    /// A client must send a password by `AUTH` or `HELLO`, which `check` turns into [`Rights`], or
    /// into a [`Grant`] of them that can end. It is called on the runtime's threads and must not
    /// block; it should compare in constant time. The user is `default`, or not named.
    #[must_use]
    pub fn password<G: Into<Grant>>(
        check: impl Fn(&[u8]) -> Option<G> + Send + Sync + 'static,
    ) -> Self {
        Self {
            open: None,
            check: Some(Arc::new(move |given: &[u8]| check(given).map(Into::into))),
        }
    }

    /// What a client may do without a password: read, for example, as at the front door over HTTP.
    /// Default: authenticate.
    #[must_use]
    pub fn anonymous(mut self, rights: Rights) -> Self {
        self.open = Some(rights);
        self
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("open", &self.open)
            .field("password", &self.check.is_some())
            .finish()
    }
}
