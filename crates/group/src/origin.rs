//! The origin of the values.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_limiter::ByteBudget;

use crate::{Key, Loaded, Metadata, OriginError, TraceParent};

/// The source of a group: a database, a service, a directory; groupcache's `Getter`.
///
/// A load is polled by its caller or by a task of its own, and is dropped at the group's [load
/// timeout](crate::Limits::load_timeout): an implementation must be safe to cancel at any await.
/// It must not block the thread.
#[async_trait]
pub trait Origin: Send + Sync + 'static {
    /// Loads a key: a value, or [`Loaded::absent`].
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError>;

    /// The most keys that [`load_many`](Self::load_many) takes per call. 1, the default: it is
    /// never called, and each key is a load of its own.
    fn max_batch(&self) -> usize {
        1
    }

    /// Loads several keys in one request to the source: one outcome for each load, in their order.
    /// A group calls it with at most [`max_batch`](Self::max_batch) loads that arrived together,
    /// or that waited together for a slot of
    /// [`max_origin_loads`](crate::Limits::max_origin_loads); the batch takes one slot. A key may
    /// occur twice in it, if it was removed meanwhile. A failure of one key should fail that key
    /// only; a failure of all is returned for each.
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
    /// The most bytes of value that the group accepts: an origin that detects early that a value
    /// is larger returns [`OriginError::TooLarge`] rather than read it all. (The group checks the
    /// length in any case.)
    pub max_value: u64,
    /// The metadata of a value that is still in memory but no longer fresh, if it has an entity
    /// tag or a date. An origin that can confirm it answers [`Loaded::not_modified`]; any other
    /// may ignore it.
    pub stale: Option<&'a Metadata>,
    /// The byte budget of values in transfer. An origin that reads a body reserves the bytes
    /// before it reads them, by the known length or as the buffer grows;
    /// [`OriginError::OverBudget`] means that there was no room in time.
    pub budget: Option<&'a ByteBudget>,
    /// The trace that the load belongs to, for an origin that can propagate it. The loads of a
    /// batch each have that of the request for the batch.
    pub trace: Option<TraceParent>,
    /// How long the group waits for it, counted from the call, if it has a limit: what an origin
    /// brings later is discarded. An origin can pass it on, and need not begin what it cannot
    /// finish in time.
    pub deadline: Option<Duration>,
}

impl<'a> Load<'a> {
    /// A load of a key that is not in memory.
    #[must_use]
    pub fn new(key: &'a Key, max_value: u64) -> Self {
        Self {
            key,
            max_value,
            stale: None,
            budget: None,
            trace: None,
            deadline: None,
        }
    }

    /// Adds the trace.
    #[must_use]
    pub fn traced(self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self }
    }

    /// Adds the time that the group waits.
    #[must_use]
    pub fn due_in(self, deadline: Duration) -> Self {
        Self {
            deadline: Some(deadline),
            ..self
        }
    }

    /// Adds the budget for the value's bytes.
    #[must_use]
    pub fn within(self, budget: &'a ByteBudget) -> Self {
        Self {
            budget: Some(budget),
            ..self
        }
    }

    /// Adds the validators of a value that is still in memory.
    #[must_use]
    pub fn with_stale(self, stale: &'a Metadata) -> Self {
        Self {
            stale: Some(stale),
            ..self
        }
    }
}

/// An [`Origin`] from an async closure, as
/// [`GroupBuilder::origin_fn`](crate::GroupBuilder::origin_fn) makes it.
pub struct OriginFn<F>(F);

impl<F> OriginFn<F> {
    /// An origin that calls `load` with the key. Its error can be anything that converts to a
    /// boxed error, text included: that text is for the log, and an [`OriginError`] has its own
    /// text for clients.
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
