//! The removals that a node knows.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use self::issuer::Issuer;
use super::notice::{Known, News, Notice, RemovalId, Scope};
use crate::Key;

mod issuer;

/// Removals by their issuers, and by the keys that they removed.
///
/// **Issuers.** Every node keeps the removals of all issuers, so that a node that missed one
/// learns it from any node that has it, its issuer or another. One number for each issuer
/// summarises what a node knows.
///
/// **Fences.** For each key, the removals that this node has applied to it. They travel with the
/// node's fetches of the key: a peer that does not know one of them applies it before it answers.
/// A node therefore never gets a value that is older than a removal it knows, whatever the order
/// in which nodes are notified.
///
/// **Bounds.** At most [`MAX_NOTICES`] removals and [`MAX_BYTES`] of their keys, none older than
/// [`KEPT_FOR`]. A dropped removal leaves its number behind: a node that knows the issuer, and has
/// not reached that number by then, drops all its entries.
pub(crate) struct Log {
    me: u64,
    issued: u64,
    issuers: BTreeMap<u64, Issuer>,
    fences: HashMap<Key, Vec<Fence>>,
    group_fences: Vec<Fence>,
    /// Removals that are noted, while values they remove may still be in memory.
    applying: HashSet<RemovalId>,
    /// Counts fences, to tell which came first.
    fenced: u64,
    /// In the order in which they were learnt.
    order: VecDeque<Learnt>,
    bytes: usize,
    /// When removals were last forgotten for lack of room.
    crowded: Option<Duration>,
}

/// A removal that has been noted for a key, or the group.
#[derive(Clone, Copy)]
struct Fence {
    id: RemovalId,
    order: u64,
    at: Duration,
    /// Whether its values have been dropped from memory.
    applied: bool,
    /// Whether the value of a put has been kept.
    taken: bool,
}

/// What to do with a removal that is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is news, or not known to have been applied completely: it has to be applied.
    Apply,
    /// It has been applied.
    Known,
}

/// The removals that travel with a fetch.
pub(crate) struct Carried {
    pub(crate) ids: Vec<RemovalId>,
    /// Whether there are more recent ones than can travel: the fetched value must not be kept.
    pub(crate) incomplete: bool,
}

/// When a removal was learnt, and its only known key if it arrived with a fetch.
struct Learnt {
    at: Duration,
    id: RemovalId,
    key: Option<Key>,
}

/// The most removals that are kept.
pub(crate) const MAX_NOTICES: usize = 1 << 16;
/// The most bytes of their keys.
pub(crate) const MAX_BYTES: usize = 16 << 20;
/// How long a removal is kept.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(600);
/// The most identities that are remembered; each restart of a node has a new one.
const MAX_ISSUERS: usize = 4_096;
/// The most removals that travel with a fetch, the latest of the key and of the group.
pub(crate) const MAX_CARRIED: usize = 8;
/// The most removals that are kept for a key, and for the group.
const MAX_FENCES: usize = 32;
/// For how long some node may not have been notified of a removal, though its issuer still tries.
const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// For how long a missing number is requested. Its issuer has left by then, or would have sent it.
pub(crate) const GAP_KEPT_FOR: Duration = Duration::from_secs(30);
/// A key's handles in the log and in the table of fences, in bytes.
const KEY_OVERHEAD: usize = 96;
/// The most removals of one answer to a follower.
const NEWS_NOTICES: usize = 1_024;
const NEWS_BYTES: usize = 1 << 20;

impl Log {
    pub(crate) fn new(me: u64) -> Self {
        Self {
            me,
            issued: 0,
            issuers: BTreeMap::new(),
            fences: HashMap::new(),
            group_fences: Vec::new(),
            applying: HashSet::new(),
            fenced: 0,
            order: VecDeque::new(),
            bytes: 0,
            crowded: None,
        }
    }

    /// The identity of a removal that this node issues now.
    pub(crate) fn issue(&mut self) -> RemovalId {
        self.issued += 1;
        RemovalId {
            issuer: self.me,
            number: self.issued,
        }
    }

    /// Notes a removal. Once it has been applied, [`applied`](Self::applied) must be called: until
    /// then a thread that receives the same removal has to apply it, too, because its values may
    /// still be in memory.
    pub(crate) fn note(&mut self, notice: &Notice, now: Duration) -> Noted {
        let id = notice.id;
        if self
            .issuers
            .get(&id.issuer)
            .is_some_and(|issuer| issuer.has(id.number))
        {
            return if self.applying.contains(&id) {
                Noted::Apply
            } else {
                Noted::Known
            };
        }
        self.expire(now);
        match &notice.scope {
            Scope::Keys(keys) => {
                for key in keys.iter() {
                    self.add_fence(Some(key), id, now);
                }
            }
            Scope::Group => self.add_fence(None, id, now),
        }
        self.applying.insert(id);
        self.bytes += notice.scope.bytes();
        self.order.push_back(Learnt {
            at: now,
            id,
            key: None,
        });
        let issuer = self.issuers.entry(id.issuer).or_default();
        issuer.touched = now;
        issuer.apply(id.number, now);
        issuer.listed.insert(id.number, notice.clone());
        self.bound(now);
        Noted::Apply
    }

    /// The values that the removal names have been dropped from memory.
    pub(crate) fn applied(&mut self, notice: &Notice) {
        self.applying.remove(&notice.id);
        match &notice.scope {
            Scope::Keys(keys) => {
                for key in keys.iter() {
                    self.fence_applied(key, notice.id);
                }
            }
            Scope::Group => {
                for fence in &mut self.group_fences {
                    fence.applied |= fence.id == notice.id;
                }
            }
        }
    }

    fn bound(&mut self, now: Duration) {
        while self.order.len() > MAX_NOTICES || self.bytes > MAX_BYTES {
            self.crowded = Some(now);
            self.forget_oldest();
        }
        self.bound_issuers();
    }

    fn knows(&self, id: RemovalId) -> bool {
        let issuer = self.issuers.get(&id.issuer);
        issuer.is_some_and(|issuer| issuer.has(id.number)) && !self.applying.contains(&id)
    }

    /// The removals that travel with a fetch of a key.
    pub(crate) fn fences(&self, key: &[u8], now: Duration) -> Carried {
        // A removal that was forgotten for lack of room may not have reached every node yet.
        let crowded = self.crowded.map(|at| now.saturating_sub(at));
        let mut carried = Carried {
            ids: Vec::new(),
            incomplete: crowded.is_some_and(|since| since < SETTLED_AFTER),
        };
        if self.order.is_empty() {
            return carried;
        }
        let of_key = self.fences.get(key).map(Vec::as_slice).unwrap_or_default();
        let mut all: Vec<Fence> = [of_key, &self.group_fences].concat();
        all.sort_unstable_by_key(|fence| fence.order);
        let left_out = all.len().saturating_sub(MAX_CARRIED);
        let is_late = |fence: &Fence| now.saturating_sub(fence.at) < SETTLED_AFTER;
        carried.incomplete |= all[..left_out].iter().any(is_late);
        carried.ids = all[left_out..].iter().map(|fence| fence.id).collect();
        carried
    }

    /// Notes a removal that arrived with a fetch of a key. Its other keys are not known, so its
    /// number does not count as applied: the full removal will arrive later. Once the key is
    /// dropped from memory, [`fence_applied`](Self::fence_applied) must be called.
    pub(crate) fn fence(&mut self, key: &Key, id: RemovalId, now: Duration) -> Noted {
        if self.knows(id) {
            return Noted::Known;
        }
        let fences = self.fences.get(key).map(Vec::as_slice).unwrap_or_default();
        if let Some(fence) = fences.iter().find(|fence| fence.id == id) {
            return if fence.applied {
                Noted::Known
            } else {
                Noted::Apply
            };
        }
        self.expire(now);
        self.add_fence(Some(key), id, now);
        self.bytes += key_bytes(key);
        self.order.push_back(Learnt {
            at: now,
            id,
            key: Some(key.clone()),
        });
        self.bound(now);
        Noted::Apply
    }

    /// The key that the removal names has been dropped from memory.
    pub(crate) fn fence_applied(&mut self, key: &Key, id: RemovalId) {
        for fence in self.fences.get_mut(key).into_iter().flatten() {
            fence.applied |= fence.id == id;
        }
    }

    /// Whether the value that was put with that removal still has to be kept: it has not been
    /// kept, and no later removal has removed the key.
    pub(crate) fn take_put(&mut self, key: &Key, id: RemovalId) -> bool {
        let later = self.group_fences.iter().map(|fence| fence.order).max();
        let Some(last) = self
            .fences
            .get_mut(key)
            .and_then(|fences| fences.last_mut())
        else {
            return false;
        };
        let take = last.id == id && !last.taken && later.is_none_or(|later| later < last.order);
        last.taken |= take;
        take
    }

    /// Whether a put has replaced the key's value since the removal was noted for it. The put's own
    /// removal counts as replaced as well, once the value has been kept.
    pub(crate) fn is_replaced(&self, key: &Key, id: RemovalId) -> bool {
        let fences = self.fences.get(key).map(Vec::as_slice).unwrap_or_default();
        let mut since = fences.iter().skip_while(|fence| fence.id != id);
        since.any(|fence| fence.taken)
    }

    fn add_fence(&mut self, key: Option<&Key>, id: RemovalId, now: Duration) {
        self.fenced += 1;
        let order = self.fenced;
        let fences = match key {
            Some(key) => self.fences.entry(key.clone()).or_default(),
            None => &mut self.group_fences,
        };
        if fences.iter().any(|fence| fence.id == id) {
            return;
        }
        if fences.len() >= MAX_FENCES {
            fences.remove(0);
        }
        fences.push(Fence {
            id,
            order,
            at: now,
            applied: false,
            taken: false,
        });
    }

    pub(crate) fn known(&self) -> Known {
        let through = self.issuers.iter().map(|(&issuer, known)| RemovalId {
            issuer,
            number: known.through,
        });
        Known(through.collect())
    }

    /// The known removals, if all of them have been applied completely: an entry read from memory
    /// after this is no older.
    pub(crate) fn known_and_applied(&self) -> Option<Known> {
        self.applying.is_empty().then(|| self.known())
    }

    /// Whether `known` contains all removals that are no longer listed here: their keys are not
    /// known any more.
    pub(crate) fn covers_forgotten(&self, known: &HashMap<u64, u64>) -> bool {
        self.issuers.iter().all(|(id, issuer)| {
            let through = known.get(id).copied().unwrap_or(0);
            issuer.unlisted <= through
        })
    }

    /// Whether `known` contains all listed removals of a key, and of the group.
    pub(crate) fn is_covered(&self, key: &[u8], known: &HashMap<u64, u64>) -> bool {
        let of_key = self.fences.get(key).map(Vec::as_slice).unwrap_or_default();
        let mut fences = of_key.iter().chain(&self.group_fences);
        fences.all(|fence| {
            let through = known.get(&fence.id.issuer);
            through.is_some_and(|&through| fence.id.number <= through)
        })
    }

    /// The removals that a node with this knowledge needs.
    pub(crate) fn news(&self, known: &Known) -> News {
        let known: HashMap<u64, u64> = known.0.iter().map(|id| (id.issuer, id.number)).collect();
        let mut news = News::default();
        let mut bytes = 0;
        // Starts from a random issuer, so that one with many removals does not delay the others.
        let start = fastrand::u64(..);
        let (before, after) = (self.issuers.range(..start), self.issuers.range(start..));
        for (&issuer, kept) in after.chain(before) {
            let from = known.get(&issuer).copied().unwrap_or(0);
            if kept.unlisted > from {
                news.unlisted.push(RemovalId {
                    issuer,
                    number: kept.unlisted,
                });
            }
            for (_, notice) in kept.listed.range(from.saturating_add(1)..) {
                if news.notices.len() >= NEWS_NOTICES || bytes >= NEWS_BYTES {
                    news.more = true;
                    return news;
                }
                bytes += notice.scope.bytes();
                news.notices.push(notice.clone());
            }
        }
        news
    }

    /// Whether some of an issuer's removals up to a number, which are no longer listed, are
    /// unknown here. Nothing was missed of an issuer that is unknown itself: it was last heard
    /// before any entry of this log, or while this node was out of contact, which is detected
    /// otherwise.
    pub(crate) fn misses(&self, upto: RemovalId) -> bool {
        let issuer = self.issuers.get(&upto.issuer);
        issuer.is_some_and(|issuer| issuer.through < upto.number)
    }

    /// Records that all of an issuer's removals up to a number are no longer listed.
    pub(crate) fn skip(&mut self, upto: RemovalId, now: Duration) {
        let issuer = self.issuers.entry(upto.issuer).or_insert_with(|| Issuer {
            touched: now,
            ..Issuer::default()
        });
        issuer.pass_over(upto.number);
        issuer.unlisted = issuer.unlisted.max(upto.number);
        self.bound_issuers();
    }

    /// Forgets the removals that are too old to be kept.
    fn expire(&mut self, now: Duration) {
        let too_old = |learnt: &Learnt| now.saturating_sub(learnt.at) > KEPT_FOR;
        while self.order.front().is_some_and(too_old) {
            self.forget_oldest();
        }
    }

    /// Forgets old removals, skips gaps, and forgets issuers that have not been heard for a long
    /// time. It walks all issuers: once for each round of following, not for each removal.
    pub(crate) fn prune(&mut self, now: Duration) {
        self.expire(now);
        let me = self.me;
        self.issuers.retain(|&id, issuer| {
            let waits = issuer.gap_since.map(|since| now.saturating_sub(since));
            if waits.is_some_and(|waits| waits > GAP_KEPT_FOR)
                && let Some(first) = issuer.ahead.first().copied()
            {
                // No node in contact has it: it is known to none, and was sent to none.
                issuer.pass_over(first);
                issuer.gap_since = (!issuer.ahead.is_empty()).then_some(now);
            }
            let idle = now.saturating_sub(issuer.touched) > 2 * KEPT_FOR;
            id == me || !idle || !issuer.listed.is_empty()
        });
    }

    fn forget_oldest(&mut self) {
        let Some(Learnt { id, key, .. }) = self.order.pop_front() else {
            return;
        };
        if let Some(key) = key {
            self.bytes -= key_bytes(&key);
            self.lift_fence(&key, id);
            return;
        }
        let Some(issuer) = self.issuers.get_mut(&id.issuer) else {
            return;
        };
        let Some(notice) = issuer.listed.remove(&id.number) else {
            return;
        };
        issuer.unlisted = issuer.unlisted.max(id.number);
        issuer.pass_over(id.number);
        self.applying.remove(&id);
        self.bytes -= notice.scope.bytes();
        match notice.scope {
            Scope::Keys(keys) => {
                for key in keys.iter() {
                    self.lift_fence(key, id);
                }
            }
            Scope::Group => self.group_fences.retain(|fence| fence.id != id),
        }
    }

    fn lift_fence(&mut self, key: &Key, id: RemovalId) {
        let Some(fences) = self.fences.get_mut(key) else {
            return;
        };
        fences.retain(|fence| fence.id != id);
        if fences.is_empty() {
            self.fences.remove(key);
        }
    }

    /// Forgets the identity that was heard longest ago, of those that have nothing listed, if
    /// there are too many.
    fn bound_issuers(&mut self) {
        if self.issuers.len() <= MAX_ISSUERS {
            return;
        }
        let me = self.me;
        let silent = self
            .issuers
            .iter()
            .filter(|(id, issuer)| **id != me && issuer.listed.is_empty());
        let oldest = silent.min_by_key(|(_, issuer)| issuer.touched);
        if let Some(gone) = oldest.map(|(&id, _)| id) {
            self.issuers.remove(&gone);
        }
    }
}

/// The size of a key in the log, in bytes.
pub(crate) fn key_bytes(key: &Key) -> usize {
    key.len() + KEY_OVERHEAD
}

#[cfg(test)]
mod tests;
