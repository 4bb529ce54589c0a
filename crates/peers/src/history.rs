//! The nodes that kept a key before the ring changed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use gaggle_group::{Peer, Previous, Worth};
use gaggle_ring::Ring;
use tokio::time::Instant;

use crate::view::View;
use crate::watched::Watched;

/// How many older rings are kept.
const KEPT: usize = 4;
/// How long a starting node, after it has first seen others, considers all nodes that it sees as
/// older than itself.
const SETTLES: Duration = Duration::from_secs(5);
/// The longest time that rings are kept.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// The rings that were recently in force, and their nodes.
pub(crate) struct History {
    keeps_for: Duration,
    born: Instant,
    /// When the last entry expires, in milliseconds after `born`; 0 if there is none. It lets a
    /// load that needs no entry pass without a lock.
    over: AtomicU64,
    rings: RwLock<Rings>,
}

#[derive(Default)]
struct Rings {
    /// The latest first.
    past: VecDeque<Past>,
    start: Option<Start>,
}

/// A ring that was in force.
struct Past {
    ring: Ring,
    /// In the ring's order; `None` is this node.
    nodes: Vec<Option<(Arc<Watched>, Arc<Worth>)>>,
    until: Instant,
}

/// What a node that has just started has in place of earlier rings: before it started, its keys
/// were kept by the nodes that own them in a ring without it.
struct Start {
    /// The first that this node was in together with others.
    first: Past,
    since: Instant,
}

impl Past {
    fn of(view: &View, until: Instant) -> Self {
        let nodes = view.nodes.iter().map(|node| {
            let peer = node.as_ref()?;
            Some((Arc::clone(peer), Arc::default()))
        });
        Self {
            ring: view.ring.clone(),
            nodes: nodes.collect(),
            until,
        }
    }

    /// The node that owned the key, unless it was this node.
    fn owner(&self, key: &[u8]) -> Option<&(Arc<Watched>, Arc<Worth>)> {
        self.nodes[self.ring.owner_index(key)?].as_ref()
    }

    /// The node that owns the key in this ring without this node, which owns it: the second one
    /// for it.
    fn owner_without_this(&self, key: &[u8]) -> Option<&(Arc<Watched>, Arc<Worth>)> {
        let [first, second] = self.ring.owner_indices(key, 2)[..] else {
            return None;
        };
        self.nodes[first].as_ref().or(self.nodes[second].as_ref())
    }
}

impl History {
    /// A history that keeps rings for that time; none if it is 0.
    pub(crate) fn new(keeps_for: Duration) -> Self {
        Self {
            keeps_for: keeps_for.min(LONGEST),
            born: Instant::now(),
            over: AtomicU64::new(0),
            rings: RwLock::default(),
        }
    }

    /// The ring is about to change from one view to another.
    pub(crate) fn changes(&self, from: &View, to: &View) {
        if self.keeps_for.is_zero() {
            return;
        }
        let now = Instant::now();
        let until = now + self.keeps_for;
        let mut rings = self.rings();
        rings.prune(now);
        if from.peers().next().is_some() {
            rings.past.push_front(Past::of(from, until));
            rings.past.truncate(KEPT);
        }
        match &mut rings.start {
            Some(start) if start.since.elapsed() < SETTLES => {
                start.first = Past::of(to, start.first.until);
            }
            None if from.peers().next().is_none() && self.born.elapsed() < self.keeps_for => {
                rings.start = Some(Start {
                    first: Past::of(to, until),
                    since: now,
                });
            }
            _ => {}
        }
        self.note_end(&rings);
    }

    /// The node that kept `key`, if this node owns it by the present `view` and the other node can
    /// be asked.
    pub(crate) fn previous_owner(
        &self,
        view: impl FnOnce() -> Arc<View>,
        key: &[u8],
    ) -> Option<Previous> {
        let over = self.over.load(Relaxed);
        if over == 0 {
            return None;
        }
        let now = Instant::now();
        if self.millis(now) >= over {
            self.prune();
            return None;
        }
        let view = view();
        if !view.is_mine(key) {
            return None;
        }
        let rings = self.rings.read().unwrap_or_else(PoisonError::into_inner);
        let past = rings.past.iter().filter(|past| now < past.until);
        let first = rings.start.iter().map(|start| &start.first);
        let first = first.filter(|first| now < first.until);
        let (peer, worth) = past
            .filter_map(|past| past.owner(key))
            .chain(first.filter_map(|first| first.owner_without_this(key)))
            .find(|(peer, worth)| peer.is_usable() && worth.is_worth_asking())?;
        Some(Previous {
            peer: Arc::clone(peer) as Arc<dyn Peer>,
            worth: Arc::clone(worth),
        })
    }

    /// The handle of a node that was in one of the rings.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Watched>> {
        let rings = self.rings.read().unwrap_or_else(PoisonError::into_inner);
        let nodes = rings
            .past
            .iter()
            .flat_map(|past| past.nodes.iter().flatten());
        let mut peers = nodes.map(|(peer, _)| peer);
        peers.find(|peer| peer.name() == name).cloned()
    }

    /// Drops expired rings, with their handles.
    pub(crate) fn prune(&self) {
        if self.over.load(Relaxed) == 0 {
            return;
        }
        let mut rings = self.rings();
        rings.prune(Instant::now());
        self.note_end(&rings);
    }

    fn note_end(&self, rings: &Rings) {
        let past = rings.past.front().map(|past| past.until);
        let end = past.max(rings.start.as_ref().map(|start| start.first.until));
        let over = end.map_or(0, |end| self.millis(end));
        self.over.store(over, Relaxed);
    }

    fn millis(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.born);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn rings(&self) -> RwLockWriteGuard<'_, Rings> {
        self.rings.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rings {
    fn prune(&mut self, now: Instant) {
        self.past.retain(|past| now < past.until);
        self.start.take_if(|start| now >= start.first.until);
    }
}
