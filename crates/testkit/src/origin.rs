//! An origin that a test can look into.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gaggle_group::{Key, Load, Loaded, Origin, OriginError, async_trait};
use tokio::sync::watch;

/// Answers `value of KEY` for every key that does not begin with `absent`, and counts its loads. A cheap-clone handle.
#[derive(Clone)]
pub struct CountingOrigin {
    inner: Arc<Inner>,
}

struct Inner {
    loads: Mutex<HashMap<Key, u64>>,
    failing: AtomicBool,
    gate: watch::Sender<bool>,
}

impl Default for CountingOrigin {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                loads: Mutex::default(),
                failing: AtomicBool::new(false),
                gate: watch::Sender::new(true),
            }),
        }
    }
}

impl CountingOrigin {
    /// The value that it has for `key`.
    pub fn value_of(key: &[u8]) -> Bytes {
        [b"value of ", key].concat().into()
    }

    /// How often `key` has been asked for.
    pub fn loads_of(&self, key: impl AsRef<[u8]>) -> u64 {
        self.loads().get(key.as_ref()).copied().unwrap_or(0)
    }

    /// Loads of any key.
    pub fn total_loads(&self) -> u64 {
        self.loads().values().sum()
    }

    /// The most loads of any one key.
    pub fn most_loads(&self) -> u64 {
        self.loads().values().copied().max().unwrap_or(0)
    }

    /// From now on every load fails, or none does.
    pub fn set_failing(&self, failing: bool) {
        self.inner.failing.store(failing, SeqCst);
    }

    /// From now on loads are counted and then wait, or go on.
    pub fn set_open(&self, open: bool) {
        self.inner.gate.send_replace(open);
    }

    fn loads(&self) -> std::sync::MutexGuard<'_, HashMap<Key, u64>> {
        self.inner
            .loads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Origin for CountingOrigin {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let key = load.key;
        *self.loads().entry(key.clone()).or_insert(0) += 1;
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = self.inner.gate.subscribe().wait_for(|open| *open).await;
        if self.inner.failing.load(SeqCst) {
            return Err(OriginError::failed("the origin is down"));
        }
        if key.starts_with(b"absent") {
            return Ok(Loaded::absent());
        }
        Ok(Self::value_of(key).into())
    }
}
