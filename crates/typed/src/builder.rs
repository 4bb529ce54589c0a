//! The builder of a typed group.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{BuildError, GroupBuilder, Origin};

use crate::origin::{Many, One, Written};
use crate::{Codec, Found, FromKey, Json, OnMismatch, TypedGroup, TypedOptions, TypedOrigin};

/// Collects what a typed group needs; [`TypedGroup::builder`] starts it.
#[must_use]
pub struct TypedBuilder<K, V, C = Json>
where
    K: Send + 'static,
    V: Send + 'static,
{
    group: GroupBuilder,
    origin: Option<From<K, V>>,
    codec: C,
    options: TypedOptions,
}

enum From<K: Send + 'static, V: Send + 'static> {
    Typed(Arc<dyn TypedOrigin<K, V>>),
    Bytes(Arc<dyn Origin>),
}

impl<K: Send + 'static, V: Send + 'static> TypedBuilder<K, V> {
    /// Starts from a builder that has some settings already, such as those that a test's cluster
    /// gives to its nodes.
    pub fn over(group: GroupBuilder) -> Self {
        Self {
            group,
            origin: None,
            codec: Json,
            options: TypedOptions::default(),
        }
    }
}

impl<K, V, C> TypedBuilder<K, V, C>
where
    K: FromKey + Send + 'static,
    V: Send + Sync + 'static,
{
    /// Encodes values with another codec. Default [`Json`].
    pub fn codec<D>(self, codec: D) -> TypedBuilder<K, V, D> {
        TypedBuilder {
            group: self.group,
            origin: self.origin,
            codec,
            options: self.options,
        }
    }

    /// Loads values with an async closure: `Ok(Some(value))`, `Ok(None)` for "no such key", or an
    /// error. It runs on the node that owns the key.
    pub fn origin_fn<F, Fut, E>(self, load: F) -> Self
    where
        F: Fn(K) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<V>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        self.origin(One(load, PhantomData::<fn() -> V>))
    }

    /// Like [`origin_fn`](Self::origin_fn); the closure also returns how long each value may be
    /// served.
    pub fn origin_found_fn<F, Fut, E>(self, load: F) -> Self
    where
        F: Fn(K) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<Found<V>>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        self.origin(One(load, PhantomData::<fn() -> Found<V>>))
    }

    /// Loads values with an async closure that takes up to `max` different keys per call, such as
    /// a query with `WHERE id = ANY($1)`. A key that is not in its result does not exist. Loads
    /// that arrive together are one call, such as those of [`get_many`](TypedGroup::get_many).
    pub fn origin_batch_fn<F, Fut, E>(self, max: usize, load: F) -> Self
    where
        K: Clone + Eq + Hash + Sync,
        F: Fn(Vec<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HashMap<K, V>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        self.origin(Many { load, max })
    }

    /// The origin of the values.
    pub fn origin(mut self, origin: impl TypedOrigin<K, V>) -> Self {
        self.origin = Some(From::Typed(Arc::new(origin)));
        self
    }

    /// An origin of bytes, which are already in the codec's form: an HTTP service that answers
    /// JSON, for example. It gets the bytes of keys.
    pub fn origin_of_bytes(mut self, origin: impl Origin) -> Self {
        self.origin = Some(From::Bytes(Arc::new(origin)));
        self
    }

    /// The bytes that the group's caches may hold. Default 64 MiB.
    pub fn capacity(self, bytes: u64) -> Self {
        self.group(|group| group.capacity(bytes))
    }

    /// How long a value may be served after its load. Default: without end.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.group(|group| group.ttl(Some(ttl)))
    }

    /// Changes any other setting of the group.
    pub fn group(mut self, change: impl FnOnce(GroupBuilder) -> GroupBuilder) -> Self {
        self.group = change(self.group);
        self
    }

    /// Keeps values decoded in up to `bytes` of memory, in addition to the group's own, so that a
    /// hit does not decode its value again. See [`TypedOptions::keep_decoded`].
    pub fn keep_decoded(mut self, bytes: u64) -> Self {
        self.options.keep_decoded = bytes;
        self
    }

    /// What happens to a value that cannot be decoded. Default [`OnMismatch::Reload`].
    pub fn on_mismatch(mut self, rule: OnMismatch) -> Self {
        self.options.on_mismatch = rule;
        self
    }

    /// The builder of the group of bytes, with the origin, for callers that build the group
    /// elsewhere. [`TypedGroup::over`] is the typed view of the result.
    pub fn into_group(self) -> GroupBuilder
    where
        C: Codec<V>,
    {
        let codec = self.codec;
        match self.origin {
            Some(From::Typed(origin)) => self.group.origin(Written { origin, codec }),
            Some(From::Bytes(origin)) => self.group.origin_arc(origin),
            // The group reports that it is missing.
            None => self.group,
        }
    }

    /// The group.
    ///
    /// # Errors
    ///
    /// As for [`GroupBuilder::build`].
    pub fn build(self) -> Result<TypedGroup<K, V, C>, BuildError>
    where
        C: Codec<V> + Clone,
    {
        let (codec, options) = (self.codec.clone(), self.options);
        let group = self.into_group().build()?;
        Ok(TypedGroup::over(group, codec, options))
    }
}

impl<K: Send + 'static, V: Send + 'static, C> std::fmt::Debug for TypedBuilder<K, V, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypedBuilder")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
