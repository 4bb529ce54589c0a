//! Nodes that announce that they leave.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gaggle_group::{Greeting, Instance, Router as _, Word};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::Peers;
use crate::membership::{FEW, Membership};
use crate::peers::Inner;
use crate::watched::Watched;

/// The longest time that a node's announcement to leave counts.
const LONGEST: Duration = Duration::from_secs(120);
/// The most names whose last announcement is remembered.
const MOST_WORDS: usize = 16_384;
/// How long it may take to notify the others.
const TELLS_WITHIN: Duration = Duration::from_millis(500);

/// A node that has announced that it leaves. It is in no ring, but it is watched, gets removals,
/// and is asked for the values that it kept.
pub(crate) struct Leaving {
    /// `None` for this node.
    pub(crate) peer: Option<Arc<Watched>>,
    /// The run that has announced it.
    pub(crate) instance: Instance,
    /// Distinguishes the task that watches this entry from one that watched an earlier entry.
    serial: u64,
}

impl Inner {
    /// A node announces that it leaves, or that it stays.
    pub(crate) fn leaves(self: &Arc<Self>, word: &Word) {
        // golang/groupcache's nodes do not get the announcement, and would continue to ask it.
        if self.is_groupcache {
            return;
        }
        let mut membership = self.membership();
        let (view, me) = (self.view(), self.me());
        // Earlier releases used a node's base URL as its name, and it may still be one.
        let is_name = *word.node == *me.name
            || view.ring.members().contains(&word.node)
            || membership.leaving.contains_key(&word.node);
        let name = match word.node.contains("://") && !is_name {
            true => self.name_for(&word.node),
            false => Arc::clone(&word.node),
        };
        let is_mine = *name == *me.name;
        if is_mine && word.instance.id != 0 && word.instance.id != self.instance.id {
            // An earlier run of this node has ended, or is about to end.
            return;
        }
        let name = &*name;
        if !membership.is_latest(word) {
            debug!(
                node = name,
                "an earlier word on whether a node leaves comes late"
            );
            return;
        }
        let Some(gone_within) = word.gone_within else {
            self.stays(&mut membership, name);
            return;
        };
        let known = membership.leaving.get(name);
        let name: Arc<str> = name.into();
        let peer = match known {
            Some(leaving) => leaving.peer.clone(),
            None if is_mine => None,
            None => match view.get(&name) {
                Some(peer) => Some(Arc::clone(peer)),
                None => return,
            },
        };
        info!(node = &*name, "a node leaves");
        let until = Instant::now() + gone_within.min(LONGEST);
        let leaving = (peer, word.instance);
        if self.take_out(&mut membership, &name, leaving, until, true) {
            self.rebuild_or_warn(&mut membership);
        }
    }

    /// Runs a change that may rebuild the ring: at once, or on a blocking thread if the ring is
    /// large. Building a ring of a thousand members takes ten milliseconds and more.
    pub(crate) fn beside(self: &Arc<Self>, change: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let runtime = tokio::runtime::Handle::try_current();
        match runtime {
            Ok(runtime) if self.view().nodes.len() > FEW => {
                let inner = Arc::clone(self);
                runtime.spawn_blocking(move || change(&inner));
            }
            _ => change(self),
        }
    }

    /// Records that a node leaves, and adds it again at that time or, if it `may_return`, once it
    /// has been down and up again. It does nothing without a runtime, since no task would add the
    /// node again.
    fn take_out(
        self: &Arc<Self>,
        membership: &mut Membership,
        name: &Arc<str>,
        (peer, instance): (Option<Arc<Watched>>, Instance),
        until: Instant,
        may_return: bool,
    ) -> bool {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return false;
        };
        let serial = self.serial();
        let (inner, node) = (Arc::downgrade(self), Arc::clone(name));
        let watched = peer.clone().filter(|_| may_return);
        membership.leaving.insert(
            Arc::clone(name),
            Leaving {
                peer,
                instance,
                serial,
            },
        );
        runtime.spawn(async move {
            let came_back = async {
                match watched {
                    Some(peer) => peer.came_back().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep_until(until) => {}
                () = came_back => {}
            }
            let Some(inner) = inner.upgrade() else { return };
            inner.beside(move |inner| {
                let mut membership = inner.membership();
                let this = membership.leaving.get(&node);
                if this.is_some_and(|this| this.serial == serial) {
                    inner.take_back(&mut membership, &node);
                }
            });
        });
        true
    }

    fn stays(self: &Arc<Self>, membership: &mut Membership, name: &str) {
        if let Some(peer) = self.view().get(name) {
            // It may have been considered down.
            peer.probe();
        }
        if membership
            .damping
            .is_there(|address| *self.name_for(address) == *name)
        {
            self.refresh.notify_one();
        }
        let leaving = membership.leaving.get_key_value(name);
        if let Some((name, _)) = leaving {
            let name = Arc::clone(name);
            self.take_back(membership, &name);
        }
    }

    /// A node that leaves and returns repeatedly is added again once in a damping interval.
    pub(crate) fn take_back(self: &Arc<Self>, membership: &mut Membership, name: &Arc<str>) {
        let now = Instant::now();
        let damping = self.options.damping.min(LONGEST);
        membership
            .returned
            .retain(|_, at| now.duration_since(*at) < damping);
        if let Some(last) = membership.returned.get(name) {
            let until = *last + damping;
            let leaving = membership.leaving.get(name);
            let peer = leaving.and_then(|leaving| leaving.peer.clone());
            let instance = leaving.map_or_else(Instance::default, |leaving| leaving.instance);
            if self.take_out(membership, name, (peer, instance), until, false) {
                return;
            }
        }
        membership.leaving.remove(name);
        membership.returned.insert(Arc::clone(name), now);
        info!(node = &**name, "a node that left is taken back");
        self.rebuild_or_warn(membership);
    }

    pub(crate) fn rebuild_or_warn(&self, membership: &mut Membership) {
        if let Err(failure) = self.rebuild(membership) {
            warn!(error = %failure, "the ring stays as it is");
        }
    }
}

impl Membership {
    /// Whether this is a node's latest announcement; if so, it is remembered. Announcements can
    /// overtake each other on the network, and one of an earlier run may arrive after a later run
    /// has started.
    fn is_latest(&mut self, word: &Word) -> bool {
        let Word {
            instance, number, ..
        } = *word;
        if instance.id == 0 {
            return true;
        }
        let last = self.words.get(&word.node).copied();
        let met = self.met.values().filter_map(|met| match &met.greeting {
            Greeting::Node(hello) if hello.name == word.node => Some((hello.instance, 0)),
            _ => None,
        });
        let is_late = met
            .chain(last)
            .any(|(known, last)| match known.id == instance.id {
                true => number <= last,
                // A later run may have been started on a machine whose clock is behind: its
                // announcement that it stays counts in any case.
                false => word.gone_within.is_some() && instance.started < known.started,
            });
        if is_late {
            return false;
        }
        if self.words.len() >= MOST_WORDS && last.is_none() {
            let there: HashSet<&str> = self.handles.values().map(|peer| peer.ring_name()).collect();
            self.words.retain(|name, _| there.contains(&**name));
        }
        if self.words.len() < MOST_WORDS || last.is_some() {
            self.words
                .insert(Arc::clone(&word.node), (instance, number));
        }
        true
    }
}

impl Peers {
    /// Notifies all others that this node leaves and stops within that time (at most two minutes
    /// count), and removes it from its own ring: from now on other nodes own its keys, and ask it
    /// for its values until it stops. It takes half a second at most. Returns how many of the
    /// others confirmed it.
    ///
    /// Does nothing in a ring that is shared with golang/groupcache, nor on a node that is not a
    /// member.
    pub async fn leave(&self, gone_within: Duration) -> usize {
        if self.inner.is_groupcache || !self.inner.options.member || !self.inner.knows_itself() {
            return 0;
        }
        let word = self.word(Some(gone_within));
        let know = self.tell(&word).await;
        self.inner.leaves(&word);
        know
    }

    /// Notifies all others that this node stays, as far as they can be reached within half a
    /// second: they may still consider a node that has just started to be leaving or down.
    pub async fn arrive(&self) {
        if self.inner.is_groupcache || !self.inner.options.member || !self.inner.knows_itself() {
            return;
        }
        let word = self.word(None);
        self.inner.leaves(&word);
        self.tell(&word).await;
    }

    /// The next announcement of this node.
    fn word(&self, gone_within: Option<Duration>) -> Word {
        let number = 1 + self.inner.words.fetch_add(1, Relaxed);
        Word::new(self.me(), gone_within).of(self.inner.instance, number)
    }

    async fn tell(&self, word: &Word) -> usize {
        let mut telling = JoinSet::new();
        for peer in self.listeners() {
            let word = word.clone();
            telling.spawn(async move {
                match timeout(TELLS_WITHIN, peer.leaving(&word)).await {
                    Ok(Ok(())) => true,
                    Ok(Err(failure)) => {
                        debug!(error = %failure, "a peer is not told whether this node stays");
                        false
                    }
                    Err(_) => {
                        let peer = peer.name();
                        debug!(peer, "a peer is not told in time whether this node stays");
                        false
                    }
                }
            });
        }
        let told = telling.join_all().await;
        told.into_iter().filter(|told| *told).count()
    }
}
