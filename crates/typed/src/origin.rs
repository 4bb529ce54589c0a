//! The origin of typed values, and its adapter for the group.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use gaggle_group::{
    Field, Hint, Key, Load, Loaded, Metadata, Origin, OriginError, OriginFault, async_trait,
};

use crate::error::Unwritten;
use crate::key::read_exactly;
use crate::{Codec, FromKey};

/// The source from which a typed group loads. An async closure is one: see
/// [`TypedBuilder::origin_fn`](crate::TypedBuilder::origin_fn).
///
/// As with [`Origin`], a load runs in a task of its own on the node that owns the key. It is
/// dropped at the group's load timeout and must be safe to cancel at any await.
#[async_trait]
pub trait TypedOrigin<K: Send + 'static, V: Send + 'static>: Send + Sync + 'static {
    /// Loads a key: a value, or `None` for "no such key".
    async fn load(&self, key: K) -> Result<Option<Found<V>>, OriginError>;

    /// The most keys that [`load_many`](Self::load_many) takes per call. 1, the default: it is
    /// never called.
    fn max_batch(&self) -> usize {
        1
    }

    /// Loads several different keys in one request to the source: one outcome for each, in their
    /// order. The default loads one after the other.
    async fn load_many(&self, keys: Vec<K>) -> Vec<Result<Option<Found<V>>, OriginError>> {
        let mut outcomes = Vec::with_capacity(keys.len());
        for key in keys {
            outcomes.push(self.load(key).await);
        }
        outcomes
    }
}

/// A value that an origin has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found<V> {
    /// The value.
    pub value: V,
    /// How long it may be served, if the origin says so.
    pub freshness: Hint,
    /// What a front door sends with the value. Without a content type it gets the codec's.
    pub metadata: Metadata,
}

impl<V> Found<V> {
    /// A value whose freshness the group decides.
    pub fn new(value: V) -> Self {
        Self {
            value,
            freshness: Hint::default(),
            metadata: Metadata::default(),
        }
    }

    /// Sets its freshness.
    #[must_use]
    pub fn with_freshness(self, freshness: Hint) -> Self {
        Self { freshness, ..self }
    }

    /// Sets the metadata that a front door sends.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }
}

impl<V> From<V> for Found<V> {
    fn from(value: V) -> Self {
        Self::new(value)
    }
}

/// The metadata of a value that a codec has encoded.
pub(crate) fn described<V>(codec: &impl Codec<V>, metadata: Metadata) -> Metadata {
    match codec.content_type() {
        Some(kind) if metadata.get(Field::ContentType).is_none() => {
            metadata.with(Field::ContentType, kind)
        }
        _ => metadata,
    }
}

/// An origin of bytes over a typed one.
pub(crate) struct Written<K: Send + 'static, V: Send + 'static, C> {
    pub(crate) origin: Arc<dyn TypedOrigin<K, V>>,
    pub(crate) codec: C,
}

type Outcome<T> = Result<T, OriginError>;

impl<K: FromKey + Send + 'static, V: Send + 'static, C: Codec<V>> Written<K, V, C> {
    fn read(&self, key: &[u8]) -> Outcome<K> {
        read_exactly(key).map_err(|bad| OriginError::failed(bad).known_as(OriginFault::Key))
    }

    fn write(&self, found: Outcome<Option<Found<V>>>) -> Outcome<Loaded> {
        let Some(found) = found? else {
            return Ok(Loaded::absent());
        };
        let bytes = self.codec.encode(&found.value).map_err(|source| {
            let codec = self.codec.name();
            OriginError::failed(Unwritten { codec, source }).known_as(OriginFault::Unusable)
        })?;
        Ok(Loaded::value(bytes)
            .with_freshness(found.freshness)
            .with_metadata(described(&self.codec, found.metadata)))
    }
}

#[async_trait]
impl<K, V, C> Origin for Written<K, V, C>
where
    K: FromKey + Send + 'static,
    V: Send + 'static,
    C: Codec<V>,
{
    async fn load(&self, load: Load<'_>) -> Outcome<Loaded> {
        let key = self.read(load.key)?;
        let found = self.origin.load(key).await;
        self.write(found)
    }

    fn max_batch(&self) -> usize {
        self.origin.max_batch()
    }

    async fn load_many(&self, loads: &[Load<'_>]) -> Vec<Outcome<Loaded>> {
        // A key may occur twice among the loads.
        let mut outcomes: HashMap<Key, Outcome<Loaded>> = HashMap::with_capacity(loads.len());
        let (mut asked, mut keys) = (Vec::new(), Vec::new());
        for load in loads {
            if outcomes.contains_key(load.key) {
                continue;
            }
            let outcome = match self.read(load.key) {
                Ok(key) => {
                    keys.push(key);
                    asked.push(load.key.clone());
                    Err(
                        OriginError::failed("the origin gave fewer outcomes than it was asked for")
                            .known_as(OriginFault::Unusable),
                    )
                }
                Err(refused) => Err(refused),
            };
            outcomes.insert(load.key.clone(), outcome);
        }
        if !keys.is_empty() {
            let found = self.origin.load_many(keys).await;
            for (key, found) in asked.into_iter().zip(found) {
                outcomes.insert(key, self.write(found));
            }
        }
        let of = |load: &Load<'_>| {
            // Every key has an outcome.
            let outcome = outcomes.get(load.key).cloned();
            outcome.unwrap_or_else(|| Ok(Loaded::absent()))
        };
        loads.iter().map(of).collect()
    }
}

/// An async closure for one key.
pub(crate) struct One<F, V>(pub(crate) F, pub(crate) PhantomData<fn() -> V>);

#[async_trait]
impl<K, V, R, F, Fut, E> TypedOrigin<K, V> for One<F, R>
where
    K: Send + 'static,
    V: Send + 'static,
    R: Into<Found<V>> + 'static,
    F: Fn(K) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Option<R>, E>> + Send,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn load(&self, key: K) -> Outcome<Option<Found<V>>> {
        let found = (self.0)(key).await.map_err(OriginError::failed)?;
        Ok(found.map(Into::into))
    }
}

/// An async closure for many keys.
pub(crate) struct Many<F> {
    pub(crate) load: F,
    pub(crate) max: usize,
}

#[async_trait]
impl<K, V, F, Fut, E> TypedOrigin<K, V> for Many<F>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Send + 'static,
    F: Fn(Vec<K>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<HashMap<K, V>, E>> + Send,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn load(&self, key: K) -> Outcome<Option<Found<V>>> {
        let found = (self.load)(vec![key.clone()]).await;
        let mut found = found.map_err(OriginError::failed)?;
        Ok(found.remove(&key).map(Found::new))
    }

    fn max_batch(&self) -> usize {
        self.max
    }

    async fn load_many(&self, keys: Vec<K>) -> Vec<Outcome<Option<Found<V>>>> {
        match (self.load)(keys.clone()).await.map_err(OriginError::failed) {
            Ok(mut found) => {
                let found = keys.iter().map(|key| found.remove(key).map(Found::new));
                found.map(Ok).collect()
            }
            Err(failure) => keys.iter().map(|_| Err(failure.clone())).collect(),
        }
    }
}
