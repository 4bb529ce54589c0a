//! The typed view of a group.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use gaggle_group::{Entry, Error, Freshness, Group, Metadata, Removal};

use crate::kept::Kept;
use crate::origin::described;
use crate::reloads::Reloads;
use crate::{Codec, FromKey, Json, ToKey, TypedAnswer, TypedBuilder, TypedError};

mod inner;

/// A group whose keys and values have types. A cheap-clone handle; all clones are one group.
///
/// Keys are given as the key type or as what it borrows as, such as `str` for `String`.
pub struct TypedGroup<K, V, C = Json> {
    inner: Arc<Inner<V, C>>,
    key: PhantomData<fn(K) -> K>,
}

struct Inner<V, C> {
    group: Group,
    codec: C,
    kept: Option<Kept<V>>,
    on_mismatch: OnMismatch,
    reloads: Reloads,
    decoded: AtomicU64,
    reloaded: AtomicU64,
}

/// How a typed group treats decoded values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TypedOptions {
    /// How many bytes decoded values may take, in addition to the group's own, including the
    /// encoded bytes. A decoded value is charged its encoded bytes and its type's size. Default 0:
    /// each hit is decoded.
    pub keep_decoded: u64,
    /// What happens to a value that cannot be decoded.
    pub on_mismatch: OnMismatch,
}

/// What happens to a value that cannot be decoded, as after a release that has changed its type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMismatch {
    /// It is removed on every node and loaded again, once for a get. A node removes a key for that
    /// reason at most once in ten seconds, and at most 1,024 keys in that time.
    #[default]
    Reload,
    /// The get fails.
    Fail,
}

/// What a typed group has done so far, in addition to the [statistics](Group::stats) of its group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypedStats {
    /// Values decoded.
    pub decoded: u64,
    /// Hits that used a kept value and decoded nothing.
    pub kept_hits: u64,
    /// Values kept decoded now.
    pub kept_entries: usize,
    /// The bytes they are charged.
    pub kept_bytes: u64,
    /// Values that were removed and loaded again because they could not be decoded.
    pub reloaded: u64,
}

impl<K: Send + 'static, V: Send + 'static> TypedGroup<K, V> {
    /// Starts a group of that name, with values in JSON; [`TypedBuilder::codec`] changes that.
    pub fn builder(name: impl Into<String>) -> TypedBuilder<K, V> {
        TypedBuilder::over(Group::builder(name))
    }
}

impl<K, V, C> TypedGroup<K, V, C> {
    /// The group itself: bytes, statistics, settings, and what a cluster shares.
    pub fn group(&self) -> &Group {
        &self.inner.group
    }
}

impl<K, V, C> TypedGroup<K, V, C>
where
    K: FromKey,
    V: Send + Sync + 'static,
    C: Codec<V>,
{
    /// A typed view of a group whose values are in the codec's form, and whose keys are written as
    /// `K` writes them.
    pub fn over(group: Group, codec: C, options: TypedOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                group,
                codec,
                kept: (options.keep_decoded > 0).then(|| Kept::new(options.keep_decoded)),
                on_mismatch: options.on_mismatch,
                reloads: Reloads::default(),
                decoded: AtomicU64::new(0),
                reloaded: AtomicU64::new(0),
            }),
            key: PhantomData,
        }
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// A [not-found](TypedError::is_not_found) error if the origin has no such key; otherwise why
    /// there is no value.
    pub async fn get<Q>(&self, key: &Q) -> Result<Arc<V>, TypedError>
    where
        K: Borrow<Q>,
        Q: ToKey + ?Sized,
    {
        let value = self.inner.lookup(&key.to_key()).await?.value;
        value.ok_or_else(|| {
            let group = Arc::clone(self.group().name());
            Error::NotFound { group }.into()
        })
    }

    /// The value of `key`, or `None` if the origin has no such key.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub async fn find<Q>(&self, key: &Q) -> Result<Option<Arc<V>>, TypedError>
    where
        K: Borrow<Q>,
        Q: ToKey + ?Sized,
    {
        Ok(self.inner.lookup(&key.to_key()).await?.value)
    }

    /// The value of `key` or its absence, how long it may be served, and its source.
    ///
    /// # Errors
    ///
    /// As for [`find`](Self::find).
    pub async fn lookup<Q>(&self, key: &Q) -> Result<TypedAnswer<V>, TypedError>
    where
        K: Borrow<Q>,
        Q: ToKey + ?Sized,
    {
        self.inner.lookup(&key.to_key()).await
    }

    /// The answer for `key` if it is in memory, may be served and can be decoded: synchronous,
    /// without I/O or waiting.
    pub fn cached<Q>(&self, key: &Q) -> Option<TypedAnswer<V>>
    where
        K: Borrow<Q>,
        Q: ToKey + ?Sized,
    {
        let key = key.to_key();
        let hit = self.group().cached(&key)?;
        // If it cannot be decoded, a get loads it again.
        self.inner.decode(&key, hit).ok()
    }

    /// The values of many keys, in their order; `None` if the origin has no such key. Each fails
    /// by itself. The caller bounds their number.
    pub async fn get_many<Q>(&self, keys: &[Q]) -> Vec<Result<Option<Arc<V>>, TypedError>>
    where
        K: Borrow<Q>,
        Q: ToKey,
    {
        let keys: Vec<Cow<'_, [u8]>> = keys.iter().map(ToKey::to_key).collect();
        let answers = self.inner.lookup_many(&keys).await;
        answers
            .into_iter()
            .map(|answer| answer.map(|answer| answer.value))
            .collect()
    }

    /// Gives the owner of `key` a value to keep, for as long as the group's
    /// [policy](gaggle_group::FreshnessPolicy) says, and removes the key on every other node.
    ///
    /// # Errors
    ///
    /// If the codec cannot encode the value, and otherwise as for [`Group::put`].
    pub async fn put<Q>(&self, key: &Q, value: &V) -> Result<Removal, TypedError>
    where
        K: Borrow<Q>,
        Q: ToKey + ?Sized,
    {
        let policy = self.group().freshness();
        let freshness = Freshness::until(policy.ttl)
            .stale_while_revalidate(policy.stale_while_revalidate)
            .stale_if_error(policy.stale_if_error);
        self.put_for(key, value, freshness).await
    }

    /// Like [`put`](Self::put), with this ttl.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put).
    pub async fn put_for<Q>(
        &self,
        key: &Q,
        value: &V,
        freshness: Freshness,
    ) -> Result<Removal, TypedError>
    where
        K: Borrow<Q>,
        Q: ToKey + ?Sized,
    {
        let (inner, key) = (&self.inner, key.to_key());
        let bytes = inner.encode(&key, value)?;
        let entry = Entry::value(bytes)
            .with_freshness(freshness)
            .with_metadata(described(&inner.codec, Metadata::default()));
        Ok(inner.group.put(&key, entry).await?)
    }

    /// Removes `key` on every node.
    pub async fn remove<Q>(&self, key: &Q) -> Removal
    where
        K: Borrow<Q>,
        Q: ToKey + ?Sized,
    {
        self.inner.remove_many(&[key.to_key()]).await
    }

    /// Removes all of these keys on every node.
    pub async fn remove_many<Q>(&self, keys: &[Q]) -> Removal
    where
        K: Borrow<Q>,
        Q: ToKey,
    {
        let keys: Vec<Cow<'_, [u8]>> = keys.iter().map(ToKey::to_key).collect();
        self.inner.remove_many(&keys).await
    }

    /// The counters so far.
    pub fn stats(&self) -> TypedStats {
        let inner = &self.inner;
        let mut stats = TypedStats {
            decoded: inner.decoded.load(Relaxed),
            reloaded: inner.reloaded.load(Relaxed),
            ..TypedStats::default()
        };
        if let Some(kept) = &inner.kept {
            stats.kept_hits = kept.hits();
            stats.kept_entries = kept.len();
            stats.kept_bytes = kept.bytes();
        }
        stats
    }
}

impl<K, V, C> Clone for TypedGroup<K, V, C> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            key: PhantomData,
        }
    }
}

impl<K, V, C> fmt::Debug for TypedGroup<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedGroup")
            .field("name", self.group().name())
            .finish_non_exhaustive()
    }
}

/// The group of bytes that a cluster shares.
impl<K, V, C> From<&TypedGroup<K, V, C>> for Group {
    fn from(typed: &TypedGroup<K, V, C>) -> Self {
        typed.group().clone()
    }
}
