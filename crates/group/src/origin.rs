//! Where values come from.

use std::future::Future;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Key, Loaded, OriginError};

/// What a group loads from: a database, a service, a directory; groupcache's `Getter`.
///
/// A load runs in a task of its own and is dropped at the group's
/// [load timeout](crate::Limits::load_timeout): an implementation must be safe to cancel at any await. It must not
/// block the thread.
#[async_trait]
pub trait Origin: Send + Sync + 'static {
    /// Loads the value of `key`. `Ok(None)` says that there is no such key.
    ///
    /// `max_value` is the most bytes that the group will take: an origin that can tell early that a value is larger
    /// returns [`OriginError::TooLarge`] rather than read it all. (The group checks the length in any case.)
    async fn load(&self, key: &Key, max_value: u64) -> Result<Option<Loaded>, OriginError>;
}

/// An [`Origin`] from an async closure, as [`GroupBuilder::origin_fn`](crate::GroupBuilder::origin_fn) makes it.
pub struct OriginFn<F>(F);

impl<F> OriginFn<F> {
    /// An origin that calls `load` with the key. Its error can be anything that makes a boxed error, text included.
    pub fn new<Fut, V, E>(load: F) -> Self
    where
        F: Fn(Bytes) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<V>, E>> + Send,
        V: Into<Loaded>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self(load)
    }
}

#[async_trait]
impl<F, Fut, V, E> Origin for OriginFn<F>
where
    F: Fn(Bytes) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Option<V>, E>> + Send,
    V: Into<Loaded>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn load(&self, key: &Key, _max_value: u64) -> Result<Option<Loaded>, OriginError> {
        let found = (self.0)(key.clone()).await.map_err(OriginError::failed)?;
        Ok(found.map(Into::into))
    }
}
