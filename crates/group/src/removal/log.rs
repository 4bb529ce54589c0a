//! The removals that a node knows of.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::notice::{Known, News, Notice, RemovalId, Scope};
use crate::Key;

/// Removals by their issuers, and by the keys that they removed.
///
/// **Issuers.** Every node keeps the removals of all issuers, so that whoever missed one learns it from any node that has
/// it, its issuer or another. What a node knows is told in short by a number for each issuer.
///
/// **Fences.** For each key the removals that this node has applied to it. They travel with the node's fetches of the key: a
/// peer that does not know one of them applies it before it answers. So what a node is given is never older than what it
/// knows to be removed, whatever the order in which nodes are told.
///
/// **Bounds.** At most [`MAX_NOTICES`] removals and [`MAX_BYTES`] of their keys, none older than [`KEPT_FOR`]. What goes
/// leaves its number behind: a node that has not come so far by then drops all that it holds.
pub(crate) struct Log {
    me: u64,
    issued: u64,
    issuers: BTreeMap<u64, Issuer>,
    fences: HashMap<Key, Vec<RemovalId>>,
    group_fences: Vec<RemovalId>,
    /// In the order in which they were learnt.
    order: VecDeque<Learnt>,
    bytes: usize,
}

/// When a removal was learnt, and the key alone of which it was, where it came with a fetch.
struct Learnt {
    at: Duration,
    id: RemovalId,
    key: Option<Key>,
}

#[derive(Default)]
struct Issuer {
    /// All numbers up to this one have been applied here, or are vouched for otherwise.
    through: u64,
    /// Applied ones beyond that.
    ahead: BTreeSet<u64>,
    /// The highest number that is no longer listed.
    unlisted: u64,
    listed: BTreeMap<u64, Notice>,
}

/// Removals kept, at most.
pub(crate) const MAX_NOTICES: usize = 1 << 16;
/// What their keys take, at most, in bytes.
pub(crate) const MAX_BYTES: usize = 16 << 20;
/// How long a removal is kept.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(600);
/// Identities remembered, at most; each restart of a node is one.
const MAX_ISSUERS: usize = 4_096;
/// Removals of one key that travel with a fetch, at most, the latest of them.
pub(crate) const MAX_FENCES: usize = 4;
/// Removals that a request for a key may carry: those of the key, and those of the group.
pub(crate) const MAX_CARRIED: usize = 2 * MAX_FENCES;
/// A key's handles in the log and in the table of fences, in bytes.
const KEY_OVERHEAD: usize = 96;
/// What one answer to a follower lists, at most.
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
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    /// A name for a removal that this node issues now.
    pub(crate) fn issue(&mut self) -> RemovalId {
        self.issued += 1;
        RemovalId {
            issuer: self.me,
            number: self.issued,
        }
    }

    /// Notes a removal; whether it is news here, and so has to be applied.
    pub(crate) fn note(&mut self, notice: &Notice, now: Duration) -> bool {
        let id = notice.id;
        if self.knows(id) {
            return false;
        }
        self.prune(now);
        match &notice.scope {
            Scope::Keys(keys) => {
                for key in keys.iter() {
                    add_fence(self.fences.entry(key.clone()).or_default(), id, MAX_CARRIED);
                }
            }
            Scope::Group => add_fence(&mut self.group_fences, id, MAX_FENCES),
        }
        self.bytes += notice.scope.bytes();
        self.order.push_back(Learnt {
            at: now,
            id,
            key: None,
        });
        let issuer = self.issuers.entry(id.issuer).or_default();
        issuer.apply(id.number);
        issuer.listed.insert(id.number, notice.clone());
        self.bound();
        true
    }

    fn bound(&mut self) {
        while self.order.len() > MAX_NOTICES || self.bytes > MAX_BYTES {
            self.forget_oldest();
        }
        self.bound_issuers();
    }

    fn knows(&self, id: RemovalId) -> bool {
        let issuer = self.issuers.get(&id.issuer);
        issuer.is_some_and(|issuer| issuer.has(id.number))
    }

    /// The removals of a key that travel with a fetch of it.
    pub(crate) fn fences(&self, key: &[u8]) -> Vec<RemovalId> {
        if self.order.is_empty() {
            return Vec::new();
        }
        let of_key = self.fences.get(key).map(Vec::as_slice).unwrap_or_default();
        let latest = &of_key[of_key.len().saturating_sub(MAX_FENCES)..];
        [latest, &self.group_fences].concat()
    }

    /// Notes a removal that came with a fetch of a key; whether it is news for that key. The rest of what it removed is not
    /// known, so its number is not taken for applied: it will be told in full.
    pub(crate) fn fence(&mut self, key: &Key, id: RemovalId, now: Duration) -> bool {
        let fences = self.fences.get(key);
        if self.knows(id) || fences.is_some_and(|fences| fences.contains(&id)) {
            return false;
        }
        self.prune(now);
        // As many as come with a fetch: otherwise the next one would bring news again.
        add_fence(self.fences.entry(key.clone()).or_default(), id, MAX_CARRIED);
        self.bytes += key_bytes(key);
        self.order.push_back(Learnt {
            at: now,
            id,
            key: Some(key.clone()),
        });
        self.bound();
        true
    }

    pub(crate) fn known(&self) -> Known {
        let through = self.issuers.iter().map(|(&issuer, known)| RemovalId {
            issuer,
            number: known.through,
        });
        Known(through.collect())
    }

    /// What a node that knows so much is to be told.
    pub(crate) fn news(&self, known: &Known) -> News {
        let known: HashMap<u64, u64> = known.0.iter().map(|id| (id.issuer, id.number)).collect();
        let mut news = News::default();
        let mut bytes = 0;
        for (&issuer, kept) in &self.issuers {
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

    /// Takes over that all of an issuer's removals up to a number are no longer listed; whether some of them are unknown
    /// here.
    pub(crate) fn skip(&mut self, upto: RemovalId) -> bool {
        let issuer = self.issuers.entry(upto.issuer).or_default();
        let missed = issuer.through < upto.number;
        if missed {
            issuer.through = upto.number;
            issuer.settle();
            issuer.unlisted = issuer.unlisted.max(upto.number);
        }
        self.bound_issuers();
        missed
    }

    /// Forgets what is too old to be kept.
    pub(crate) fn prune(&mut self, now: Duration) {
        let too_old = |learnt: &Learnt| now.saturating_sub(learnt.at) > KEPT_FOR;
        while self.order.front().is_some_and(too_old) {
            self.forget_oldest();
        }
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
        self.bytes -= notice.scope.bytes();
        match notice.scope {
            Scope::Keys(keys) => {
                for key in keys.iter() {
                    self.lift_fence(key, id);
                }
            }
            Scope::Group => self.group_fences.retain(|fence| *fence != id),
        }
    }

    fn lift_fence(&mut self, key: &Key, id: RemovalId) {
        let Some(fences) = self.fences.get_mut(key) else {
            return;
        };
        fences.retain(|fence| *fence != id);
        if fences.is_empty() {
            self.fences.remove(key);
        }
    }

    /// Forgets the identity with the fewest removals, if there are too many: one that has none listed.
    fn bound_issuers(&mut self) {
        if self.issuers.len() <= MAX_ISSUERS {
            return;
        }
        let me = self.me;
        let mut silent = self.issuers.iter().filter(|(id, _)| **id != me);
        let gone = silent.find(|(_, issuer)| issuer.listed.is_empty());
        if let Some(gone) = gone.map(|(&id, _)| id) {
            self.issuers.remove(&gone);
        }
    }
}

impl Issuer {
    fn has(&self, number: u64) -> bool {
        number <= self.through || self.ahead.contains(&number)
    }

    fn apply(&mut self, number: u64) {
        self.ahead.insert(number);
        self.settle();
        // Where nobody follows: whoever does asks for what is missing long before.
        if self.ahead.len() > MAX_NOTICES
            && let Some(first) = self.ahead.pop_first()
        {
            self.through = first;
            self.settle();
        }
    }

    fn settle(&mut self) {
        let through = self.through;
        self.ahead.retain(|number| *number > through);
        while self.ahead.remove(&(self.through + 1)) {
            self.through += 1;
        }
    }
}

/// What a key takes in the log, in bytes.
pub(crate) fn key_bytes(key: &Key) -> usize {
    key.len() + KEY_OVERHEAD
}

fn add_fence(fences: &mut Vec<RemovalId>, id: RemovalId, most: usize) {
    if fences.contains(&id) {
        return;
    }
    if fences.len() >= most {
        fences.remove(0);
    }
    fences.push(id);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn keys(names: &[&'static str]) -> Scope {
        Scope::Keys(
            names
                .iter()
                .map(|name| Key::from_static(name.as_bytes()))
                .collect(),
        )
    }

    fn notice(issuer: u64, number: u64, scope: Scope) -> Notice {
        Notice {
            id: RemovalId { issuer, number },
            scope,
        }
    }

    fn issue(log: &mut Log, scope: Scope, now: Duration) -> Notice {
        let notice = Notice {
            id: log.issue(),
            scope,
        };
        assert!(log.note(&notice, now));
        notice
    }

    /// All of what one tells the other; whether there was something that it cannot vouch for.
    fn catch_up(to: &mut Log, from: &Log) -> bool {
        let mut gap = false;
        loop {
            let news = from.news(&to.known());
            for notice in &news.notices {
                to.note(notice, NOW);
            }
            for upto in &news.unlisted {
                gap |= to.skip(*upto);
            }
            if !news.more {
                return gap;
            }
        }
    }

    #[test]
    fn a_removal_is_news_once_and_fences_its_keys() {
        let mut log = Log::new(1);
        assert!(log.fences(b"a").is_empty());
        let first = notice(7, 1, keys(&["a", "b"]));
        assert!(log.note(&first, NOW) && !log.note(&first, NOW));
        assert!(log.note(&notice(7, 2, Scope::Group), NOW));
        assert_eq!(log.fences(b"a").len(), 2);
        assert_eq!(log.fences(b"c").len(), 1, "the group's");
    }

    #[test]
    fn whoever_missed_one_learns_it_from_anyone() {
        let (mut a, mut b, mut c) = (Log::new(1), Log::new(2), Log::new(3));
        let told = issue(&mut a, keys(&["k"]), NOW);
        b.note(&told, NOW);
        // The issuer is gone; c never heard of it.
        assert!(!catch_up(&mut c, &b));
        assert_eq!(c.fences(b"k"), [told.id]);
        assert!(b.news(&c.known()).notices.is_empty(), "and is told once");
    }

    #[test]
    fn one_that_came_late_fills_its_place() {
        let (mut a, mut b) = (Log::new(1), Log::new(2));
        let first = issue(&mut a, keys(&["k"]), NOW);
        let second = issue(&mut a, keys(&["l"]), NOW);
        assert!(b.note(&second, NOW));
        assert_eq!(a.news(&b.known()).notices, [first, second]);
        assert!(!catch_up(&mut b, &a));
        assert_eq!(b.known(), a.known());
    }

    #[test]
    fn what_is_no_longer_listed_is_a_gap_for_those_who_did_not_know_it() {
        let (mut a, mut knowing, mut behind) = (Log::new(1), Log::new(2), Log::new(3));
        let old = issue(&mut a, keys(&["k"]), NOW);
        knowing.note(&old, NOW);
        let later = NOW + KEPT_FOR + Duration::from_secs(1);
        issue(&mut a, keys(&["l"]), later);
        assert!(a.fences(b"k").is_empty(), "its time is over");
        assert!(!catch_up(&mut knowing, &a));
        assert!(catch_up(&mut behind, &a));
        assert!(!catch_up(&mut behind, &a), "once");
        assert_eq!(behind.known(), a.known());
    }

    #[test]
    fn numbers_of_removals_and_their_bytes_are_bounded() {
        let mut log = Log::new(1);
        for _ in 0..MAX_NOTICES + 10 {
            issue(&mut log, keys(&["k"]), NOW);
        }
        assert_eq!(log.order.len(), MAX_NOTICES);
        assert_eq!(log.fences(b"k").len(), MAX_FENCES);
        assert_eq!(log.fences[&b"k"[..]].len(), MAX_CARRIED);
        let huge: Arc<[Key]> = (0..40).map(|_| Key::from(vec![7; 1 << 20])).collect();
        issue(&mut log, Scope::Keys(huge), NOW);
        assert!(log.bytes <= MAX_BYTES, "{}", log.bytes);
        let mut other = Log::new(2);
        for n in 0..2 * MAX_NOTICES {
            other.fence(
                &Key::from(n.to_string()),
                RemovalId {
                    issuer: 9,
                    number: 1,
                },
                NOW,
            );
        }
        assert!(other.order.len() <= MAX_NOTICES && other.fences.len() <= MAX_NOTICES);
    }

    #[test]
    fn one_that_came_with_a_fetch_is_still_told_in_full() {
        let (mut a, mut b) = (Log::new(1), Log::new(2));
        let all = issue(&mut a, keys(&["k", "l"]), NOW);
        let key = Key::from_static(b"k");
        assert!(b.fence(&key, all.id, NOW) && !b.fence(&key, all.id, NOW));
        assert!(b.fences(b"l").is_empty());
        assert!(!catch_up(&mut b, &a));
        assert_eq!(b.fences(b"l"), [all.id]);
        assert!(!a.fence(&key, all.id, NOW), "known in full");
    }

    #[test]
    fn all_that_come_with_a_fetch_are_news_once() {
        let (mut asker, mut owner) = (Log::new(1), Log::new(2));
        for _ in 0..2 * MAX_CARRIED {
            issue(&mut asker, keys(&["k"]), NOW);
            issue(&mut asker, Scope::Group, NOW);
        }
        let key = Key::from_static(b"k");
        let carried = asker.fences(&key);
        assert_eq!(carried.len(), MAX_CARRIED);
        let news = carried.iter().filter(|id| owner.fence(&key, **id, NOW));
        assert_eq!(news.count(), MAX_CARRIED);
        let again = carried.iter().filter(|id| owner.fence(&key, **id, NOW));
        assert_eq!(again.count(), 0);
    }

    #[test]
    fn news_come_in_parts() {
        let (mut a, mut b) = (Log::new(1), Log::new(2));
        for _ in 0..3 * NEWS_NOTICES {
            issue(&mut a, keys(&["k"]), NOW);
        }
        assert!(a.news(&b.known()).more);
        assert!(!catch_up(&mut b, &a));
        assert_eq!(b.known(), a.known());
    }
}
