//! The result of a typed get.

use std::sync::Arc;

use gaggle_group::{Freshness, Metadata, Source};

/// The answer to a typed get: the value or its absence, and how it was obtained.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypedAnswer<V> {
    /// The value; `None` if the origin has no such key.
    pub value: Option<Arc<V>>,
    /// How much longer it may be served.
    pub freshness: Freshness,
    /// The origin's metadata of the value.
    pub metadata: Metadata,
    /// Its source.
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
