//! The router of a node in a cluster.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use gaggle_group::{Member, Peer, PeerRequests, Previous, Route, Router};
use gaggle_ring::{Profile, Ring};
use tokio::sync::Notify;
use tokio::time::sleep_until;
use tracing::{debug, warn};

use crate::fleet::Fleet;
use crate::followers::Followers;
use crate::history::History;
use crate::membership::{Damping, Membership};
use crate::view::View;
use crate::watched::{Shared, Watched};
use crate::{Connect, Discovery, Options, PeersError};

/// The members of a cluster as one node sees them: a [`Router`]. A cheap-clone handle.
#[derive(Clone)]
pub struct Peers {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) me: Arc<str>,
    pub(crate) options: Options,
    pub(crate) is_groupcache: bool,
    /// Whether older rings are of use.
    pub(crate) hands_over: bool,
    connect: Box<dyn Connect>,
    shared: Shared,
    pub(crate) view: RwLock<Arc<View>>,
    pub(crate) history: History,
    pub(crate) followers: Followers,
    pub(crate) fleet: Arc<Fleet>,
    membership: Mutex<Membership>,
    /// Asks for a new member list: a peer went down, or somebody called `refresh`.
    pub(crate) refresh: Arc<Notify>,
    serial: AtomicU64,
}

impl Peers {
    /// A ring of this node alone, or an empty one if it is no member. `me` is the base URL that
    /// peers use for this node.
    ///
    /// # Errors
    ///
    /// If `me` cannot be a member of a ring.
    pub fn new(
        me: impl Into<Arc<str>>,
        profile: Profile,
        options: Options,
        connect: impl Connect,
    ) -> Result<Self, PeersError> {
        let me = me.into();
        let members: Vec<Arc<str>> = options.member.then(|| me.clone()).into_iter().collect();
        let nodes = members.iter().map(|_| None).collect();
        let view = View::new(Ring::new(profile, members.clone())?, nodes);
        let is_groupcache = matches!(profile, Profile::Groupcache { .. });
        let (fleet, refresh) = (Arc::new(Fleet::default()), Arc::new(Notify::new()));
        let damping = Damping::new(options.damping);
        Ok(Self {
            inner: Arc::new(Inner {
                me,
                is_groupcache,
                hands_over: options.member && !is_groupcache,
                connect: Box::new(connect),
                shared: Shared {
                    options: options.clone(),
                    // There the only stand-in is this node's own origin.
                    hedges: !is_groupcache,
                    fleet: Arc::clone(&fleet),
                    went_down: Arc::clone(&refresh),
                },
                view: RwLock::new(Arc::new(view)),
                history: History::new(options.hand_over_for),
                followers: Followers::default(),
                fleet,
                membership: Mutex::new(Membership::new(members, damping)),
                refresh,
                serial: AtomicU64::new(0),
                options,
            }),
        })
    }

    /// Makes `members` the ring, this node added if it is not among them (or left out, if it is
    /// no member), less those that have said that they leave. Handles of members that stay are
    /// kept, with their connections and what is known of their health. The ring and the handles
    /// change in one step; on an error nothing changes. Says whether the ring is a new one. Needs
    /// a tokio runtime.
    ///
    /// # Errors
    ///
    /// If a member is listed twice or is no base URL.
    pub fn update(
        &self,
        members: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<bool, PeersError> {
        self.inner.list(&mut self.inner.membership(), members)
    }

    /// Follows a source of members for as long as it is polled: asks at once, whenever the source
    /// says that the list may have changed, and when a peer goes down or
    /// [`refresh`](Self::refresh) is called. A list that cannot be had, or cannot be a ring,
    /// leaves the last good one in force. A member listed twice counts once. Lists that change
    /// quickly are believed slowly, see [`Options::damping`] and the crate's documentation.
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
                    () = is_due => self.inner.believe_more(),
                }
            }
        }
    }

    /// Asks a source for the members once, as [`follow`](Self::follow) does again and again.
    pub async fn update_from(&self, discovery: &dyn Discovery) {
        match discovery.members().await {
            Ok(members) => self.inner.believe(members),
            Err(failure) => {
                self.inner.doubt();
                warn!(error = %failure, "no member list; keeping the last one");
            }
        }
    }

    /// Has [`follow`](Self::follow) ask for the members now.
    pub fn refresh(&self) {
        self.inner.refresh.notify_one();
    }

    fn view(&self) -> Arc<View> {
        self.inner.view()
    }

    fn member(&self) -> Member {
        Member {
            name: Arc::clone(&self.inner.me),
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
        // Called now and then, whether or not keys are loaded.
        self.inner.history.prune();
        let mut listeners = self.peers();
        let mut names: HashSet<String> = listeners.iter().map(|peer| peer.name().into()).collect();
        let leaving = self.inner.leaving();
        let others = self.inner.followers.recent(self.inner.options.remember_for);
        for peer in leaving.into_iter().chain(others) {
            if names.insert(peer.name().into()) {
                listeners.push(peer);
            }
        }
        listeners
    }

    fn me(&self) -> Arc<str> {
        Arc::clone(&self.inner.me)
    }

    fn followed_by(&self, name: &str) {
        self.inner.heard(name, false, &self.view());
    }

    fn followers(&self) -> Vec<Arc<str>> {
        let view = self.view();
        let mut names = self.inner.followers.names(self.inner.options.remember_for);
        names.retain(|name| view.get(name).is_none());
        names
    }

    fn heard_of(&self, name: &str) {
        self.inner.heard(name, true, &self.view());
    }

    fn stand_in(&self, key: &[u8]) -> Route {
        self.view().stand_in(key)
    }

    fn previous_owner(&self, key: &[u8]) -> Option<Previous> {
        self.inner.history.previous_owner(|| self.inner.view(), key)
    }

    fn leaves(&self, name: &str, gone_within: Option<Duration>) {
        self.inner.leaves(name, gone_within);
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

    fn leaving(&self) -> Vec<Arc<dyn Peer>> {
        let membership = self.membership();
        let peers = membership.leaving.values();
        let peers = peers.filter_map(|leaving| leaving.peer.clone());
        peers.map(|peer| peer as Arc<dyn Peer>).collect()
    }

    /// A node has been heard, or heard `of`. Members are told of removals in any case.
    fn heard(&self, name: &str, of: bool, view: &View) {
        if *name == *self.me || view.get(name).is_some() {
            return;
        }
        self.followers.heard(name, of, || match self.watch(name) {
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
    ) -> Result<Arc<Watched>, Box<dyn std::error::Error + Send + Sync>> {
        let peer = self.connect.connect(name)?;
        Ok(Arc::new(Watched::new(peer, &self.shared)))
    }
}
