//! Hand-over: entries move from a key's old owner to its new one when the ring changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::flight::exactly;
use super::{Group, Inner};
use crate::settings::AGES;
use crate::tiers::Tier;
use crate::{
    BatchMember, Cached, Cursor, Entry, Fetch, HandOver, Key, Known, Peer, Previous, Route,
};

/// How many entries, and how many bytes of them, are read and sent per part.
const PART_ENTRIES: usize = 512;
const PART_BYTES: u64 = 1 << 20;

/// Entries that are accepted per request.
const MOST_ENTRIES: usize = 4_096;

/// A part for one peer.
type Part = (Arc<dyn Peer>, Vec<(Key, Entry)>);

/// The result of a hand-over by a node that leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandedOver {
    /// Entries that were sent.
    pub sent: u64,
    /// Those of them that their new owners keep.
    pub kept: u64,
    /// Whether all entries were sent; otherwise the time was over, or a peer accepted none.
    pub complete: bool,
}

impl Group {
    /// Hands this node's entries over to the nodes that own them from now on, the most recently
    /// used first, within at most `within`. To be called by a node that leaves, when its
    /// [`Router`](crate::Router) sends its own keys elsewhere and the others know.
    pub async fn hand_over(&self, within: Duration) -> HandedOver {
        self.inner
            .hand_over(Instant::now() + within.min(AGES))
            .await
    }

    /// Keeps entries that another node hands over to this one after a ring change. Returns how
    /// many: those that this node owns, that it does not have yet, and of which it knows no
    /// removal that the giver did not know. Called by a transport's server.
    pub fn take_over(&self, entries: Vec<(Key, Entry)>, known: &Known) -> u64 {
        let inner = &self.inner;
        let entries = entries.into_iter().take(MOST_ENTRIES);
        let known: HashMap<u64, u64> = known.0.iter().map(|id| (id.issuer, id.number)).collect();
        if !inner.log().covers_forgotten(&known) {
            return 0;
        }
        let mut kept = 0;
        for (key, entry) in entries {
            kept += u64::from(inner.take_over(&key, entry, &known));
        }
        // Checked again: a removal may have been forgotten meanwhile whose key has been taken
        // over.
        if kept > 0 && !inner.log().covers_forgotten(&known) {
            inner.drop_unvouched();
            return 0;
        }
        inner.counters.taken_over.fetch_add(kept, Relaxed);
        kept
    }
}

impl Inner {
    fn take_over(&self, key: &Key, entry: Entry, known: &HashMap<u64, u64>) -> bool {
        if self.check_key(key).is_err()
            || self.check_entry(&entry).is_err()
            || entry.freshness.is_stale()
            || !self.router().is_mine(key)
        {
            return false;
        }
        let Some(value) = entry.value else {
            return false;
        };
        let cached = Cached::new(exactly(value), entry.freshness).with_metadata(entry.metadata);
        let ahead = self.settings().freshness.ahead(entry.freshness.ttl);
        // Under the lock, so that a removal is either noted before and seen here, or empties the
        // caches after the insertion.
        let log = self.log();
        // The entry here is no older.
        let take = log.is_covered(key, known) && self.tiers.peek(key).is_none();
        if take {
            self.tiers.insert(Tier::Main, key, cached, ahead);
        }
        drop(log);
        take
    }

    /// Asks the node that kept the key before the ring changed. In a flight, before the origin is
    /// asked. Loads that arrived with this one do not wait for that.
    pub(super) async fn ask_previous(
        &self,
        key: &Key,
        member: Option<&BatchMember>,
    ) -> Option<Entry> {
        let Previous { peer, worth } = self.router().previous_owner(key)?;
        if let Some(member) = member {
            member.ready();
        }
        // Callers also wait for the origin.
        let settings = self.settings();
        let limits = &settings.limits;
        let most = limits.hand_over_timeout.min(limits.load_timeout / 5);
        let carried = self.log().fences(key, self.clock.now());
        if carried.incomplete {
            return None;
        }
        let until = Instant::now() + most;
        // Err would mean that the semaphore is closed, which never happens.
        let _slot = timeout_at(until, self.hand_over_slots.acquire())
            .await
            .ok()?;
        let fetch = Fetch::new(&self.name, key, limits.max_value, most)
            .after(&carried.ids)
            .within(Some(&self.in_flight))
            .traced(self.outgoing())
            .kept_only();
        let entry = match timeout_at(until, peer.fetch(fetch)).await {
            Ok(Ok(fetched)) => Some(fetched.entry),
            Ok(Err(failure)) => {
                debug!(group = %self.name, error = %failure, "the previous owner has nothing");
                None
            }
            // It is counted as a request without an entry: a node that hangs must not cost each
            // load this time.
            Err(_) => None,
        };
        let entry = entry.filter(|entry| {
            entry.value.is_some() && !entry.freshness.is_stale() && self.check_entry(entry).is_ok()
        });
        worth.report(entry.is_some());
        if entry.is_some() {
            self.counters.taken_over.fetch_add(1, Relaxed);
        }
        entry
    }

    async fn hand_over(self: &Arc<Self>, until: Instant) -> HandedOver {
        let mut handed = HandedOver::default();
        let mut refusing: Vec<Arc<str>> = Vec::new();
        let mut next = Some(Cursor::default());
        while let Some(from) = next {
            if Instant::now() >= until {
                return handed;
            }
            // Before memory is read: the entries read are then no older than these.
            let Some(known) = self.log().known_and_applied() else {
                // Another thread is applying a removal, and does not wait for anything meanwhile.
                tokio::task::yield_now().await;
                continue;
            };
            let (part, further) = self.tiers.main.scan(from, PART_ENTRIES, PART_BYTES);
            next = further;
            let mut by_peer: BTreeMap<Arc<str>, Part> = BTreeMap::new();
            let router = self.router();
            for (key, cached) in part {
                if let Route::Theirs(peer) = router.route(&key) {
                    let entry = Entry::value(cached.value)
                        .with_freshness(cached.freshness)
                        .with_metadata(cached.metadata);
                    let part = by_peer.entry(peer.name().into());
                    part.or_insert_with(|| (peer, Vec::new()))
                        .1
                        .push((key, entry));
                }
            }
            by_peer.retain(|name, _| !refusing.contains(name));
            let give = async |name: Arc<str>, peer: Arc<dyn Peer>, entries: Vec<(Key, Entry)>| {
                let hand_over = HandOver::new(&self.name, &entries, &known);
                let given = timeout_at(until, peer.hand_over(hand_over)).await;
                (name, entries.len() as u64, given)
            };
            let parts = by_peer.into_iter();
            let all = parts.map(|(name, (peer, entries))| give(name, peer, entries));
            for (name, sent, given) in join_all(all).await {
                match given {
                    Ok(Ok(kept)) => {
                        handed.sent += sent;
                        handed.kept += kept;
                    }
                    Ok(Err(failure)) => {
                        debug!(group = %self.name, error = %failure, "a peer takes nothing over");
                        refusing.push(name);
                    }
                    Err(_) => return handed,
                }
            }
        }
        handed.complete = refusing.is_empty();
        handed
    }
}
