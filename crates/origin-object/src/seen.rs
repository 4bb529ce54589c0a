//! What the client saw of the answers to the requests for one object, which the store's own errors
//! lack.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Travels with each request for an object, through the store to the client. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Head>>);

/// The last request, and the head of the last answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Whether the object has been requested. Credentials are fetched before.
    pub(crate) asked: bool,
    /// `None` if no answer has arrived.
    pub(crate) status: Option<u16>,
    /// The service's error code, such as `NoSuchBucket`.
    pub(crate) code: Option<String>,
    /// The `Cache-Control`.
    pub(crate) cache_control: Option<String>,
}

impl Seen {
    pub(crate) fn head(&self) -> Head {
        self.lock().clone()
    }

    #[cfg(feature = "cloud")]
    pub(crate) fn begin(&self) {
        self.lock().asked = true;
    }

    #[cfg(feature = "cloud")]
    pub(crate) fn record(&self, head: Head) {
        *self.lock() = head;
    }

    fn lock(&self) -> MutexGuard<'_, Head> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
