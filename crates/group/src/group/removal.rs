//! Removing keys, here and on every node.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::flight::exactly;
use super::{Group, Inner};
use crate::removal::log::{Log, MAX_BYTES, MAX_CARRIED, Noted};
use crate::stats::RemovalKind;
use crate::tiers::Tier;
use crate::{
    Cached, Entry, Error, Key, Known, News, Notice, Peer, PeerError, Put, RemovalId, Scope,
};

/// The result of a removal.
#[derive(Debug, Clone, Default)]
#[must_use = "a removal may have missed nodes"]
#[non_exhaustive]
pub struct Removal {
    /// The nodes that have dropped their copies.
    pub removed: Vec<Arc<str>>,
    /// The nodes that could not be notified. Each learns of the removal within a second of being
    /// in contact with any node that knows it; until then it serves copies of others' keys for at
    /// most the group's `hot_ttl`, and its own keys.
    pub missed: Vec<Missed>,
}

/// A node that a removal did not reach.
#[derive(Debug, Clone)]
pub struct Missed {
    /// The node's name.
    pub peer: Arc<str>,
    /// The reason.
    pub error: PeerError,
}

impl Removal {
    fn note(&mut self, peer: &str, done: Result<(), PeerError>) {
        match done {
            Ok(()) => self.removed.push(peer.into()),
            Err(error) => self.missed.push(Missed {
                peer: peer.into(),
                error,
            }),
        }
    }
}

/// A new identity: random, and a different one after each restart.
pub(super) fn new_log() -> Mutex<Log> {
    // The keys of a `RandomState` are the operating system's random bytes.
    Mutex::new(Log::new(RandomState::new().hash_one(0_u8)))
}

impl Group {
    /// Removes `key` on every node. Once the future has been polled, the removal is completed even
    /// if it is dropped.
    pub async fn remove(&self, key: impl AsRef<[u8]>) -> Removal {
        self.remove_many(&[key]).await
    }

    /// Removes all of these keys on every node, in one message to each. If they are too many to be
    /// remembered (4 MiB, of which each key takes its length and 96 bytes), the whole group is
    /// removed.
    pub async fn remove_many(&self, keys: &[impl AsRef<[u8]>]) -> Removal {
        let bytes: usize = keys.iter().map(|key| key.as_ref().len() + 96).sum();
        if bytes > MAX_BYTES / 4 {
            // More than could be remembered key by key. It is always correct to remove more.
            return self.remove_group().await;
        }
        let keys = keys.iter().map(|key| Key::copy_from_slice(key.as_ref()));
        self.remove_scope(Scope::Keys(keys.collect())).await
    }

    /// Removes every key of the group on every node.
    pub async fn remove_group(&self) -> Removal {
        self.remove_scope(Scope::Group).await
    }

    async fn remove_scope(&self, scope: Scope) -> Removal {
        let inner = &self.inner;
        let began = Instant::now();
        inner.counters.issued.issued(match &scope {
            Scope::Keys(_) => RemovalKind::Keys,
            Scope::Group => RemovalKind::Group,
        });
        let id = inner.log().issue();
        let notice = Notice { id, scope };
        inner.apply(&notice);
        inner.tell(notice, None, began).await
    }

    /// Gives the owner of `key` a value to keep, and removes the key on every other node: no load
    /// that began before brings an older value back.
    ///
    /// # Errors
    ///
    /// If the key or the value is over a limit, and nothing is changed; or [`Error::Owner`] if the
    /// owner could not be given the value, and the key is removed on every node that could be
    /// notified.
    pub async fn put(&self, key: impl AsRef<[u8]>, entry: Entry) -> Result<Removal, Error> {
        let inner = Arc::clone(&self.inner);
        let key = Key::copy_from_slice(key.as_ref());
        inner.check_key(&key)?;
        inner.check_entry(&entry)?;
        finish(async move { inner.put(key, entry).await }).await
    }

    /// Applies a removal that another node has issued, and returns whether it was news. Called by
    /// a transport's server.
    pub fn apply(&self, notice: &Notice) -> bool {
        self.inner.apply(notice)
    }

    /// Keeps a value that a put on another node has sent, as the key's owner. Called by a
    /// transport's server.
    ///
    /// # Errors
    ///
    /// If the key or the value is over a limit.
    pub fn accept(
        &self,
        key: impl AsRef<[u8]>,
        entry: &Entry,
        removal: RemovalId,
    ) -> Result<(), Error> {
        let inner = &self.inner;
        let key = Key::copy_from_slice(key.as_ref());
        inner.check_key(&key)?;
        inner.check_entry(entry)?;
        let notice = Notice {
            id: removal,
            scope: Scope::Keys([key.clone()].into()),
        };
        inner.keep_put(&notice, &key, entry);
        Ok(())
    }

    /// The removals that this node knows and the requester does not. `follower` is the requester's
    /// name: it is notified of removals from now on. Called by a transport's server.
    pub fn news(&self, known: &Known, follower: Option<&str>) -> News {
        if let Some(name) = follower {
            self.inner.router().followed_by(name);
        }
        let mut news = self.inner.log().news(known);
        news.followers = self.inner.router().followers();
        news
    }

    /// Drops this node's copies of `key`, and prevents running loads from bringing the old value
    /// back. Returns whether there was a copy. No other node is notified: that is
    /// [`remove`](Self::remove).
    pub fn forget(&self, key: impl AsRef<[u8]>) -> bool {
        self.inner.drop_key(key.as_ref())
    }
}

/// Runs to its end, whether or not the caller waits for it.
async fn finish<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(failure) => match failure.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: no caller waits any more.
            Err(_) => std::future::pending().await,
        },
    }
}

impl Inner {
    pub(super) fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a removal and drops what it names, if it is news.
    pub(super) fn apply(&self, notice: &Notice) -> bool {
        // First: a fetch that begins from now on carries it to the peer.
        let noted = self.log().note(notice, self.clock.now());
        if noted == Noted::Known {
            return false;
        }
        self.counters.removals.fetch_add(1, Relaxed);
        match &notice.scope {
            Scope::Keys(keys) => {
                for key in keys.iter() {
                    self.drop_key(key);
                }
            }
            Scope::Group => {
                self.counters.group_removals.fetch_add(1, Relaxed);
                self.drop_all();
            }
        }
        self.log().applied(notice);
        true
    }

    /// Applies removals that arrived with a request for a key.
    pub(super) fn apply_to(&self, key: &[u8], removals: &[RemovalId]) {
        if removals.is_empty() {
            return;
        }
        let key = Key::copy_from_slice(key);
        let news: Vec<RemovalId> = {
            let (mut log, now) = (self.log(), self.clock.now());
            let carried = removals.iter().take(MAX_CARRIED).copied();
            let news = carried.filter(|id| log.fence(&key, *id, now) == Noted::Apply);
            news.collect()
        };
        if news.is_empty() {
            return;
        }
        self.counters.removals.fetch_add(1, Relaxed);
        self.drop_key(&key);
        let mut log = self.log();
        for id in news {
            log.fence_applied(&key, id);
        }
    }

    /// Detaches the key's flights, empties the caches, and detaches flights again.
    ///
    /// The first time, because a flight commits only while it is attached (see `keep`): one that
    /// has committed is found in the caches, and no other commits. Again, because a flight may
    /// have begun in between and have found the old value in a cache; it has nothing to commit,
    /// but a caller that joins it after the removal would get that value.
    fn drop_key(&self, key: &[u8]) -> bool {
        self.detach(key);
        let was_there = self.tiers.remove(key);
        self.detach(key);
        self.failures.over(key);
        was_there
    }

    /// Loads first: a fetch whose peer fails joins a load. In the other order a fetch could begin
    /// after fetches are detached, join a load that is about to be detached, and pass the old
    /// value that the load has found to callers that join the fetch later.
    fn detach(&self, key: &[u8]) {
        self.loads.forget(key);
        self.fetches.forget(key);
    }

    /// Like [`drop_key`](Self::drop_key), for all keys.
    fn drop_all(&self) {
        let detach_all = || {
            self.loads.forget_all();
            self.fetches.forget_all();
        };
        detach_all();
        self.tiers.clear();
        detach_all();
    }

    /// Drops everything, because removals may have been missed that no node lists any more.
    pub(super) fn drop_unvouched(&self) {
        self.counters.unvouched_drops.fetch_add(1, Relaxed);
        self.drop_all();
    }

    /// Applies a removal and keeps the value that was put. Detached again after that, as a load
    /// may have begun in between: it must not overwrite the value.
    fn keep_put(&self, notice: &Notice, key: &Key, entry: &Entry) {
        // Already known if this node learnt of it another way, or is notified twice.
        self.apply(notice);
        // The giver may have another ring.
        let mine = self.router().is_mine(key);
        let (tier, freshness) = if mine {
            (Tier::Main, entry.freshness)
        } else {
            (
                Tier::Hot,
                entry.freshness.at_most(self.settings().freshness.hot_ttl),
            )
        };
        let value = entry.value.clone().map(exactly);
        let cached =
            Cached::new(value.unwrap_or_default(), freshness).with_metadata(entry.metadata.clone());
        let ahead = self.settings().freshness.ahead(freshness.ttl);
        {
            // If this node is notified twice, the key may have been removed in between. Under the
            // lock, so that a removal is either noted before and seen here, or empties the caches
            // after the insertion.
            let mut log = self.log();
            if !log.take_put(key, notice.id) {
                return;
            }
            if entry.value.is_some() {
                self.tiers.insert(tier, key, cached, ahead);
            } else {
                self.tiers.insert_absence(key, cached);
            }
        }
        self.detach(key);
    }

    async fn put(self: Arc<Self>, key: Key, entry: Entry) -> Result<Removal, Error> {
        let began = Instant::now();
        self.counters.issued.issued(RemovalKind::Put);
        let router = self.router();
        let owner = router.owner(&key);
        let notice = Notice {
            id: self.log().issue(),
            scope: Scope::Keys([key.clone()].into()),
        };
        if owner.is_self {
            self.keep_put(&notice, &key, &entry);
            return Ok(self.tell(notice, None, began).await);
        }
        self.apply(&notice);
        let mut peers = router.peers().into_iter();
        let given = match peers.find(|peer| peer.name() == &*owner.name) {
            Some(peer) => {
                let put = Put {
                    group: &self.name,
                    key: &key,
                    entry: &entry,
                    removal: notice.id,
                };
                self.in_time(&*peer, peer.put(put)).await
            }
            None => Err(PeerError::Unavailable {
                peer: Arc::clone(&owner.name),
                reason: "it is no longer a member".into(),
            }),
        };
        let told = given.is_ok().then_some(&*owner.name);
        let mut removal = self.tell(notice, told, began).await;
        match given {
            Ok(()) => {
                removal.removed.push(owner.name);
                Ok(removal)
            }
            Err(source) => Err(Error::Owner {
                group: self.name.clone(),
                source,
            }),
        }
    }

    /// Notifies every other node but `except` of a removal that began at `began` and has been
    /// applied here. All of it is completed even if the caller is dropped.
    async fn tell(
        self: &Arc<Self>,
        notice: Notice,
        except: Option<&str>,
        began: Instant,
    ) -> Removal {
        let router = self.router();
        let mut removal = Removal::default();
        let me = router.members().into_iter().find(|member| member.is_self);
        removal.removed.extend(me.map(|me| me.name));
        if router.listeners().is_empty() {
            self.counters.issued.ended(0, began.elapsed());
            return removal;
        }
        let inner = Arc::clone(self);
        let except = except.map(ToOwned::to_owned);
        let told = finish(async move {
            if !inner.has_followed.load(Relaxed) {
                // This node has just started: the others know the nodes that are not members.
                inner.follow_once(&mut BTreeMap::new()).await;
            }
            let mut listeners = router.listeners();
            listeners.retain(|peer| Some(peer.name()) != except.as_deref());
            let tell = async |peer: &Arc<dyn Peer>| {
                if !peer.is_up() {
                    return Err(PeerError::Unavailable {
                        peer: peer.name().into(),
                        reason: "it is down".into(),
                    });
                }
                inner
                    .in_time(&**peer, peer.remove(&inner.name, &notice))
                    .await
            };
            let done = join_all(listeners.iter().map(tell)).await;
            let missed = done.iter().filter(|done| done.is_err()).count();
            inner.counters.issued.ended(missed, began.elapsed());
            let names = listeners.iter().map(|peer| Arc::<str>::from(peer.name()));
            names.zip(done).collect::<Vec<_>>()
        })
        .await;
        for (peer, done) in told {
            removal.note(&peer, done);
        }
        removal
    }

    async fn in_time<T>(
        &self,
        peer: &dyn Peer,
        request: impl Future<Output = Result<T, PeerError>>,
    ) -> Result<T, PeerError> {
        within(self.settings().limits.removal_timeout, peer, request).await
    }
}

pub(super) async fn within<T>(
    limit: Duration,
    peer: &dyn Peer,
    request: impl Future<Output = Result<T, PeerError>>,
) -> Result<T, PeerError> {
    timeout(limit, request).await.unwrap_or_else(|_| {
        Err(PeerError::Unavailable {
            peer: peer.name().into(),
            reason: format!("no answer within {limit:?}").into(),
        })
    })
}
