//! The router of a node in a cluster.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError, Weak};

use gaggle_group::{
    Disagreement, Greeting, Hello, Instance, Member, Peer, PeerRequests, Previous, Route, Router,
    Word,
};
use gaggle_ring::{Profile, Ring};
use tokio::sync::Notify;
use tokio::time::sleep_until;
use tracing::{debug, warn};

use crate::fleet::Fleet;
use crate::followers::Followers;
use crate::greetings::Differences;
use crate::history::History;
use crate::identity::{self, Me};
use crate::listing::Listing;
use crate::membership::{Damping, Membership};
use crate::settling::Moved;
use crate::view::{Rest, View};
use crate::watched::{Shared, Watched};
use crate::{Connect, Discovery, DiscoveryStats, Listed, Options, PeersError, name_of};

/// The members of a cluster as one node sees them: a [`Router`]. A cheap-clone handle.
#[derive(Clone)]
pub struct Peers {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// This run of this node.
    pub(crate) instance: Instance,
    /// Whether it has to find itself in the list.
    pub(crate) was_told_no_address: bool,
    pub(crate) me: RwLock<Arc<Me>>,
    pub(crate) options: Options,
    pub(crate) is_groupcache: bool,
    /// Whether older rings are used.
    pub(crate) hands_over: bool,
    connect: Box<dyn Connect>,
    shared: Shared,
    pub(crate) view: RwLock<Arc<View>>,
    pub(crate) history: History,
    pub(crate) followers: Followers,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) differences: Differences,
    listing: Listing,
    membership: Mutex<Membership>,
    /// When the list, or what is known about its nodes, last changed.
    pub(crate) moved: Moved,
    /// Numbers this node's announcements on whether it leaves.
    pub(crate) words: AtomicU64,
    /// Requests a new member list: a peer went down, or `refresh` was called.
    pub(crate) refresh: Arc<Notify>,
    serial: AtomicU64,
}

impl Peers {
    /// A ring of this node alone, or an empty one if it is not a member. `address` is the base URL
    /// that peers use for this node. If it is empty, this node is in no ring until it finds itself
    /// in the list, when one of the addresses answers as this very node.
    ///
    /// # Errors
    ///
    /// If its name cannot be a member of a ring.
    pub fn new(
        address: impl Into<Arc<str>>,
        profile: Profile,
        options: Options,
        connect: impl Connect,
    ) -> Result<Self, PeersError> {
        let address = address.into();
        let is_groupcache = matches!(profile, Profile::Groupcache { .. });
        let name = match &options.name {
            _ if address.is_empty() => "".into(),
            Some(name) => Arc::clone(name),
            None if is_groupcache => Arc::clone(&address),
            None => name_of(&address).into(),
        };
        let me = Arc::new(Me { name, address });
        let is_member = options.member && me.is_known();
        let members: Vec<Arc<str>> = is_member.then(|| me.name.clone()).into_iter().collect();
        let nodes = members.iter().map(|_| None).collect();
        let view = View::new(
            Ring::new(profile, members)?,
            nodes,
            Rest::default(),
            Arc::clone(&me),
        );
        let (fleet, refresh) = (Arc::new(Fleet::default()), Arc::new(Notify::new()));
        let damping = Damping::new(options.damping);
        let inner = Arc::new_cyclic(|inner: &Weak<Inner>| Inner {
            instance: identity::instance(),
            was_told_no_address: me.address.is_empty(),
            me: RwLock::new(me),
            is_groupcache,
            hands_over: options.member && !is_groupcache,
            connect: Box::new(connect),
            shared: Shared {
                options: options.clone(),
                // In such a ring the only stand-in is this node's own origin.
                hedges: !is_groupcache,
                fleet: Arc::clone(&fleet),
                went_down: Arc::clone(&refresh),
                node: Weak::clone(inner),
            },
            view: RwLock::new(Arc::new(view)),
            history: History::new(options.hand_over_for),
            followers: Followers::default(),
            fleet,
            differences: Differences::default(),
            listing: Listing::default(),
            membership: Mutex::new(Membership::new(damping)),
            moved: Moved::new(),
            words: AtomicU64::new(0),
            refresh,
            serial: AtomicU64::new(0),
            options,
        });
        Ok(Self { inner })
    }

    /// Makes those `nodes` the ring, without those that have announced that they leave. This node
    /// is added if it is missing (or left out, if it is not a member). Handles of members that
    /// stay are kept, with their connections and their health. The ring and the handles change in
    /// one step; on an error nothing changes. Returns whether the ring is a new one. It needs a
    /// tokio runtime.
    ///
    /// Each node is asked who it is. Until it has answered, it is a member with the name that its
    /// address [stands for](crate::name_of).
    ///
    /// # Errors
    ///
    /// If an address is listed twice or is not a base URL.
    pub fn update(
        &self,
        nodes: impl IntoIterator<Item = impl Into<Listed>>,
    ) -> Result<bool, PeersError> {
        let nodes = nodes.into_iter().map(Into::into).collect();
        self.inner.list(&mut self.inner.membership(), nodes)
    }

    /// Follows a source of members for as long as it is polled. It asks at once, then whenever the
    /// source reports that the list may have changed, when a peer goes down, and when
    /// [`refresh`](Self::refresh) is called. If a list cannot be obtained, or is not a valid ring,
    /// the last good one stays in force. A member listed twice counts once. Lists that change
    /// quickly are damped, see [`Options::damping`] and the crate's documentation.
    pub async fn follow(&self, discovery: &dyn Discovery) {
        loop {
            self.update_from(discovery).await;
            let mut changed = pin!(discovery.changed());
            loop {
                let due = self.inner.due();
                let is_due = async {
                    match due {
                        Some(due) => sleep_until(due).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = &mut changed => break,
                    () = self.inner.refresh.notified() => break,
                    () = is_due => self.inner.believe_more().await,
                }
            }
        }
    }

    /// Asks a source for the members once, as [`follow`](Self::follow) does repeatedly.
    pub async fn update_from(&self, discovery: &dyn Discovery) {
        match discovery.members().await {
            Ok(nodes) => {
                self.inner.listing.obtained(nodes.len());
                self.inner.believe_elsewhere(nodes).await;
            }
            Err(failure) => {
                self.inner.listing.failed();
                self.inner.doubt();
                warn!(error = %failure, "no member list; keeping the last one");
            }
        }
    }

    /// Statistics of the requests for the members.
    #[must_use]
    pub fn discovery_stats(&self) -> DiscoveryStats {
        self.inner.listing.stats()
    }

    /// Makes [`follow`](Self::follow) ask for the members now.
    pub fn refresh(&self) {
        self.inner.refresh.notify_one();
    }

    fn view(&self) -> Arc<View> {
        self.inner.view()
    }

    /// This run of this node, as others see it.
    pub fn instance(&self) -> Instance {
        self.inner.instance
    }

    fn member(&self) -> Member {
        let me = self.inner.me();
        Member {
            name: Arc::clone(&me.name),
            address: Arc::clone(&me.address),
            is_self: true,
            up: true,
            requests: PeerRequests::default(),
        }
    }
}

impl Router for Peers {
    fn route(&self, key: &[u8]) -> Route {
        self.view().route(key)
    }

    fn owner(&self, key: &[u8]) -> Member {
        self.view().owner(key).unwrap_or_else(|| self.member())
    }

    fn is_mine(&self, key: &[u8]) -> bool {
        self.view().is_mine(key)
    }

    fn leads(&self, what: &[u8]) -> bool {
        let view = self.view();
        if !self.inner.is_groupcache {
            return view.leads(what, |_| true);
        }
        // A node of golang/groupcache cannot lead; a Gaggle node has reported its name.
        let membership = self.inner.membership.lock();
        let membership = membership.unwrap_or_else(PoisonError::into_inner);
        let is_ours = |peer: &Watched| {
            let met = membership.met.get(&**peer.address());
            met.is_some_and(|met| matches!(met.greeting, Greeting::Node(_)))
        };
        view.leads(what, is_ours)
    }

    fn members(&self) -> Vec<Member> {
        self.view().members()
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        let view = self.view();
        let peers = view.peers();
        peers
            .map(|peer| Arc::clone(peer) as Arc<dyn Peer>)
            .collect()
    }

    fn listeners(&self) -> Vec<Arc<dyn Peer>> {
        // This is called from time to time, whether or not keys are loaded.
        self.inner.history.prune();
        let view = self.view();
        let others = self.inner.followers.recent(self.inner.options.remember_for);
        let rest = &view.rest;
        let known = view.peers().chain(&rest.listeners).chain(&rest.leaving);
        let mut addresses = HashSet::new();
        let mut listeners: Vec<Arc<dyn Peer>> = Vec::new();
        for peer in known.cloned().chain(others) {
            if addresses.insert(Arc::clone(peer.address())) {
                listeners.push(peer);
            }
        }
        listeners
    }

    fn me(&self) -> Arc<str> {
        Arc::clone(&self.inner.me().name)
    }

    fn address(&self) -> Arc<str> {
        Arc::clone(&self.inner.me().address)
    }

    fn hello(&self) -> Hello {
        self.inner.hello()
    }

    fn greeted(&self, by: &Hello) {
        self.inner.greeted(by);
    }

    fn disagreements(&self) -> Vec<Disagreement> {
        self.inner.differences.said()
    }

    fn followed_by(&self, address: &str) {
        self.inner.heard(address, false, &self.view());
    }

    fn followers(&self) -> Vec<Arc<str>> {
        let view = self.view();
        let mut addresses = self
            .inner
            .followers
            .addresses(self.inner.options.remember_for);
        addresses.retain(|address| !view.knows(address));
        addresses
    }

    fn heard_of(&self, address: &str) {
        self.inner.heard(address, true, &self.view());
    }

    fn stand_in(&self, key: &[u8]) -> Route {
        self.view().stand_in(key)
    }

    fn previous_owner(&self, key: &[u8]) -> Option<Previous> {
        self.inner.history.previous_owner(|| self.inner.view(), key)
    }

    fn leaves(&self, word: &Word) {
        let word = word.clone();
        self.inner.beside(move |inner| inner.leaves(&word));
    }

    fn digest(&self) -> String {
        self.view().digest.clone()
    }
}

impl Inner {
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn membership(&self) -> MutexGuard<'_, Membership> {
        self.membership
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn serial(&self) -> u64 {
        self.serial.fetch_add(1, Relaxed)
    }

    /// The same, unless the lock is held, as while a ring is built.
    pub(crate) fn try_membership(&self) -> Option<MutexGuard<'_, Membership>> {
        match self.membership.try_lock() {
            Ok(membership) => Some(membership),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn me(&self) -> Arc<Me> {
        Arc::clone(&self.me.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this node knows by which name and address it is reached.
    pub(crate) fn knows_itself(&self) -> bool {
        self.me().is_known()
    }

    /// A node has sent a message, or another has reported it (`of`). Members get removals in any
    /// case.
    pub(crate) fn heard(&self, address: &str, of: bool, view: &View) {
        if view.knows(address) || *address == *self.me().address {
            return;
        }
        let name = self.name_for(address);
        self.followers.heard(address, of, || match self.watch(&name, address, false) {
            Ok(peer) => Some(peer),
            Err(failure) => {
                debug!(error = %failure, "a node that follows this one cannot be reached by the name that it gives");
                None
            }
        });
    }

    pub(crate) fn watch(
        &self,
        name: &str,
        address: &str,
        is_met: bool,
    ) -> Result<Arc<Watched>, Box<dyn std::error::Error + Send + Sync>> {
        let peer = self.connect.connect(name, address)?;
        Ok(Arc::new(Watched::new(
            peer,
            name,
            address,
            is_met,
            &self.shared,
        )))
    }
}
