//! Where values come from.

use std::future::Future;

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_limiter::ByteBudget;

use crate::{Key, Loaded, Metadata, OriginError};

/// What a group loads from: a database, a service, a directory; groupcache's `Getter`.
///
/// A load is polled by its caller or by a task of its own, and is dropped at the group's
/// [load timeout](crate::Limits::load_timeout): an implementation must be safe to cancel at any await. It must not
/// block the thread.
#[async_trait]
pub trait Origin: Send + Sync + 'static {
    /// Loads what there is of a key: a value, or [`Loaded::absent`].
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError>;

    /// The most keys that [`load_many`](Self::load_many) takes at once. 1, the default: it is never called, and each key is a
    /// load of its own.
    fn max_batch(&self) -> usize {
        1
    }

    /// Loads several keys in one request to the source: one outcome for each load, in their order. A group calls it with at
    /// most [`max_batch`](Self::max_batch) loads that came together, or that waited together for a slot of
    /// [`max_origin_loads`](crate::Limits::max_origin_loads), of which it takes one. A
    /// key may be among them twice, where it was removed meanwhile. What fails for one key should fail for that key alone;
    /// what fails for all is told for each.
    ///
    /// The default loads one after the other.
    async fn load_many(&self, loads: &[Load<'_>]) -> Vec<Result<Loaded, OriginError>> {
        let mut outcomes = Vec::with_capacity(loads.len());
        for load in loads {
            outcomes.push(self.load(*load).await);
        }
        outcomes
    }
}

/// One load.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Load<'a> {
    /// The key.
    pub key: &'a Key,
    /// The most bytes of value that the group will take: an origin that can tell early that a value is larger returns
    /// [`OriginError::TooLarge`] rather than read it all. (The group checks the length in any case.)
    pub max_value: u64,
    /// What is known of a value that is still here but no longer fresh, if it has an entity tag or a date. An origin that
    /// can tell that it is still right answers [`Loaded::not_modified`]; any other may pass it over.
    pub stale: Option<&'a Metadata>,
    /// What the bytes of values under way draw on. An origin that reads a body reserves what it is about to read, as the
    /// length is known or as the buffer grows; [`OriginError::OverBudget`] says that there was no room in time.
    pub budget: Option<&'a ByteBudget>,
}

impl<'a> Load<'a> {
    /// A load of a key of which nothing is known.
    #[must_use]
    pub fn new(key: &'a Key, max_value: u64) -> Self {
        Self {
            key,
            max_value,
            stale: None,
            budget: None,
        }
    }

    /// The same with a budget for the bytes that come.
    #[must_use]
    pub fn within(self, budget: &'a ByteBudget) -> Self {
        Self {
            budget: Some(budget),
            ..self
        }
    }

    /// The same where a value with these validators is still here.
    #[must_use]
    pub fn with_stale(self, stale: &'a Metadata) -> Self {
        Self {
            stale: Some(stale),
            ..self
        }
    }
}

/// An [`Origin`] from an async closure, as [`GroupBuilder::origin_fn`](crate::GroupBuilder::origin_fn) makes it.
pub struct OriginFn<F>(F);

impl<F> OriginFn<F> {
    /// An origin that calls `load` with the key. Its error can be anything that makes a boxed error, text included: that
    /// text is for the log, and an [`OriginError`] says itself what clients are told.
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
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let found = (self.0)(load.key.clone())
            .await
            .map_err(OriginError::failed)?;
        Ok(found.map_or_else(Loaded::absent, Into::into))
    }
}
