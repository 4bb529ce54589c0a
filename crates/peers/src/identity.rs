//! This node's identity.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gaggle_group::Instance;

/// This node's name in the ring, and the base URL by which it is reached. Both are empty while
/// they are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Me {
    pub(crate) name: Arc<str>,
    pub(crate) address: Arc<str>,
}

impl Me {
    pub(crate) fn is_known(&self) -> bool {
        !self.name.is_empty()
    }
}

/// A new run of a node.
pub(crate) fn instance() -> Instance {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let started = since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    Instance {
        started,
        // 0 stands for an unknown instance.
        id: fastrand::u64(1..),
    }
}
