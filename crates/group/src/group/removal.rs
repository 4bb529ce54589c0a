//! Removing keys, here and on every node.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::flight::exactly;
use super::{Group, Inner, spans};
use crate::removal::log::{GAP_KEPT_FOR, Log, MAX_BYTES, MAX_CARRIED, Noted};
use crate::stats::RemovalKind;
use crate::tiers::Tier;
use crate::{
    Cached, Entry, Error, Key, Known, News, Notice, Peer, PeerError, Put, RemovalId, Scope,
    TraceParent,
};

/// Within what time a put has to reach its owner for its removal to keep its number.
const PUT_IN_TIME: Duration = GAP_KEPT_FOR.checked_div(3).unwrap();

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

    /// Like [`apply`](Self::apply), for a removal that may belong to a trace: if it does, the
    /// trace goes on.
    pub fn apply_traced(&self, notice: &Notice, trace: Option<TraceParent>) -> bool {
        let span = spans::apply(&self.inner, notice, trace.as_ref());
        span.in_scope(|| self.inner.apply(notice))
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

    /// Like [`accept`](Self::accept), for a put that may belong to a trace: if it does, the trace
    /// goes on.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub fn accept_traced(
        &self,
        key: impl AsRef<[u8]>,
        entry: &Entry,
        removal: RemovalId,
        trace: Option<TraceParent>,
    ) -> Result<(), Error> {
        let key = key.as_ref();
        let span = spans::accept(&self.inner, key, trace.as_ref());
        span.in_scope(|| self.accept(key, entry, removal))
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

/// Runs to its end, whether or not the caller waits for it, in the caller's span.
async fn finish<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work.in_current_span()).await {
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
                    let log = self.log();
                    self.drop_older(&log, key, notice.id);
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
        let mut log = self.log();
        for id in news {
            self.drop_older(&log, &key, id);
            log.fence_applied(&key, id);
        }
    }

    /// Drops a key that a removal names, unless a put has replaced its value since the removal was
    /// noted: what is in memory is newer then. Under the log's lock, so that no put comes in
    /// between.
    fn drop_older(&self, log: &Log, key: &Key, removal: RemovalId) {
        if !log.is_replaced(key, removal) {
            self.drop_key(key);
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

    /// Applies the removal of a put, and keeps its value if no later removal has removed the key.
    fn keep_put(&self, notice: &Notice, key: &Key, entry: &Entry) {
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
        // In one step: a removal that another thread applies, or the value of another put, comes
        // either before all of it, and is replaced, or after all of it, and has precedence.
        let mut log = self.log();
        // Already known if this node learnt of it another way, or is notified twice.
        let is_news = log.note(notice, self.clock.now()) == Noted::Apply;
        if log.take_put(key, notice.id) {
            self.drop_key(key);
            if entry.value.is_some() {
                self.tiers.insert(tier, key, cached, ahead);
            } else {
                self.tiers.insert_absence(key, cached);
            }
            // Again, as a load may have begun in between: it must not overwrite the value.
            self.detach(key);
        } else if is_news {
            self.drop_older(&log, key, notice.id);
        }
        if is_news {
            self.counters.removals.fetch_add(1, Relaxed);
            log.applied(notice);
        }
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
        // The owner first. A node that applied the removal before would bring what the owner has
        // until then, or what it loads, and keep that as a copy: nothing would remove it again.
        let mut peers = router.peers().into_iter();
        let given = match peers.find(|peer| peer.name() == &*owner.name) {
            Some(peer) => {
                let giving = async {
                    let put = Put::new(&self.name, &key, &entry, notice.id);
                    let given = peer.put(put.traced(self.outgoing()));
                    noted(self.in_time(&*peer, given).await)
                };
                giving.instrument(spans::put(&self, &key, &*peer)).await
            }
            None => Err(PeerError::Unavailable {
                peer: Arc::clone(&owner.name),
                reason: "it is no longer a member".into(),
            }),
        };
        let mut told = given.is_ok().then_some(&*owner.name);
        let notice = if began.elapsed() < PUT_IN_TIME {
            notice
        } else {
            // Nodes may have stopped waiting for its number, and ignore it. Another removes more
            // than it must: the owner's value, too.
            told = None;
            Notice {
                id: self.log().issue(),
                ..notice
            }
        };
        self.apply(&notice);
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
                let telling = async {
                    let told = peer.remove_traced(&inner.name, &notice, inner.outgoing());
                    noted(inner.in_time(&**peer, told).await)
                };
                let span = spans::remove(&inner, &notice, &**peer);
                telling.instrument(span).await
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

/// The result of a request to a peer, of which a failure is recorded in the current span.
fn noted(done: Result<(), PeerError>) -> Result<(), PeerError> {
    done.inspect_err(spans::peer_failed)
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
