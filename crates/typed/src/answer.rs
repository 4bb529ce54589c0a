//! What a typed get brings.

use std::sync::Arc;

use gaggle_group::{Freshness, Metadata, Source};

/// The answer to a typed get: what there is of the key, and how it was obtained.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypedAnswer<V> {
    /// The value; `None` where the origin has no such key.
    pub value: Option<Arc<V>>,
    /// How much longer it may be served.
    pub freshness: Freshness,
    /// What the origin said of the value.
    pub metadata: Metadata,
    /// Where it came from.
    pub source: Source,
    /// Whether this caller waited on a load that another caller had started.
    pub collapsed: bool,
    /// Whether the value is served because loading it again failed.
    pub failed_over: bool,
}

impl<V> Clone for TypedAnswer<V> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            metadata: self.metadata.clone(),
            ..*self
        }
    }
}
