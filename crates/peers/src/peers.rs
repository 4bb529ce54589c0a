//! The router of a node in a cluster.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use gaggle_group::{Member, Peer, PeerRequests, Route, Router};
use gaggle_ring::{Profile, Ring, RingError};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use crate::Discovery;
use crate::followers::Followers;
use crate::view::View;
use crate::watched::Watched;

/// Makes a handle for the peer of that base URL. The error says what is wrong with the URL.
pub trait Connect: Send + Sync + 'static {
    /// The handle; must not wait for the peer.
    fn connect(
        &self,
        name: &str,
    ) -> Result<Arc<dyn Peer>, Box<dyn std::error::Error + Send + Sync>>;
}

impl<F> Connect for F
where
    F: Fn(&str) -> Result<Arc<dyn Peer>, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
{
    fn connect(
        &self,
        name: &str,
    ) -> Result<Arc<dyn Peer>, Box<dyn std::error::Error + Send + Sync>> {
        self(name)
    }
}

/// How peers are watched; the crate's documentation tells the whole story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long a request may wait before its peer is pinged. Default 100 ms.
    pub suspect_after: Duration,
    /// How long a ping may take. Default 400 ms.
    pub ping_timeout: Duration,
    /// How often a peer that is down is pinged. Default 500 ms.
    pub probe_every: Duration,
    /// Whether this node is a member of the ring, and so owns keys. One that is not asks the members, keeps hot copies,
    /// and loads for itself only where no member can be asked: a front door for a cluster that others make up. Default
    /// true.
    pub member: bool,
    /// How long a node that is no member (any more) is told of removals after it was last heard. At least as long as copies
    /// live (a group's `hot_ttl`). Default 1 minute.
    pub remember_for: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            suspect_after: Duration::from_millis(100),
            ping_timeout: Duration::from_millis(400),
            probe_every: Duration::from_millis(500),
            member: true,
            remember_for: Duration::from_secs(60),
        }
    }
}

/// Why a membership cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeersError {
    /// The ring refuses the list.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// No handle can be made for a member.
    #[error("peer {name:?}: {source}")]
    Connect {
        /// The member's name, as listed.
        name: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The members of a cluster as one node sees them: a [`Router`]. A cheap-clone handle.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    me: Arc<str>,
    options: Options,
    connect: Box<dyn Connect>,
    view: RwLock<Arc<View>>,
    followers: Followers,
    /// Held while a new view is made from the old one, so that two updates do not overwrite each other.
    updating: Mutex<()>,
    /// Asks for a new member list: a peer went down, or somebody called `refresh`.
    refresh: Arc<Notify>,
}

impl Peers {
    /// A ring of this node alone, or an empty one if it is no member. `me` is the base URL that peers use for this node.
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
        let view = View::new(Ring::new(profile, members)?, nodes);
        Ok(Self {
            inner: Arc::new(Inner {
                me,
                options,
                connect: Box::new(connect),
                view: RwLock::new(Arc::new(view)),
                followers: Followers::default(),
                updating: Mutex::new(()),
                refresh: Arc::new(Notify::new()),
            }),
        })
    }

    /// Makes `members` the ring, this node added if it is not among them (or left out, if it is no member). Handles of
    /// members that stay are kept, with their connections and what is known of their health. The ring and the handles
    /// change in one step; on an error nothing changes. Says whether the list was a new one. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// If a member is listed twice or is no base URL.
    pub fn update(
        &self,
        members: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<bool, PeersError> {
        let inner = &self.inner;
        let mut members: Vec<String> = members.into_iter().map(Into::into).collect();
        if !inner.options.member {
            members.retain(|name| **name != *inner.me);
        } else if !members.iter().any(|name| **name == *inner.me) {
            members.push(inner.me.to_string());
        }
        let _updating = inner
            .updating
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let old = self.view();
        // From the old ring: far cheaper than anew where little has changed.
        let ring = old.ring.with_members(members)?;
        if ring.members() == old.ring.members() {
            return Ok(false);
        }
        let known: HashMap<&str, &Arc<Watched>> = old
            .nodes
            .iter()
            .flatten()
            .map(|peer| (peer.name(), peer))
            .collect();
        let mut nodes = Vec::with_capacity(ring.members().len());
        for name in ring.members() {
            let name: &str = name;
            nodes.push(if *name == *inner.me {
                None
            } else if let Some(peer) = known.get(name) {
                Some(Arc::clone(peer))
            } else if let Some(peer) = inner.followers.get(name) {
                Some(peer)
            } else {
                let peer = inner.watch(name).map_err(|source| PeersError::Connect {
                    name: name.to_owned(),
                    source,
                })?;
                Some(peer)
            });
        }
        // Those that leave may still answer clients, and come back: they are told of removals for a while.
        for peer in old.nodes.iter().flatten() {
            inner
                .followers
                .heard(peer.name(), false, || Some(Arc::clone(peer)));
        }
        let view = Arc::new(View::new(ring, nodes));
        info!(members = view.nodes.len(), ring = %view.digest, "the ring has changed");
        *inner.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        Ok(true)
    }

    /// Follows a source of members for as long as it is polled: asks at once, whenever the source says that the list may
    /// have changed, and when a peer goes down or [`refresh`](Self::refresh) is called. A list that cannot be had, or
    /// cannot be a ring, leaves the last good one in force. A member listed twice counts once.
    pub async fn follow(&self, discovery: &dyn Discovery) {
        loop {
            self.update_from(discovery).await;
            tokio::select! {
                () = discovery.changed() => {}
                () = self.inner.refresh.notified() => {}
            }
        }
    }

    /// Asks a source for the members once, as [`follow`](Self::follow) does again and again.
    pub async fn update_from(&self, discovery: &dyn Discovery) {
        match discovery.members().await {
            Ok(members) => {
                let mut seen = HashSet::new();
                let unique = members.into_iter().filter(|name| seen.insert(name.clone()));
                if let Err(failure) = self.update(unique) {
                    warn!(error = %failure, "the new member list is unusable; keeping the last one");
                }
            }
            Err(failure) => {
                warn!(error = %failure, "no member list; keeping the last one");
            }
        }
    }

    /// Has [`follow`](Self::follow) ask for the members now.
    pub fn refresh(&self) {
        self.inner.refresh.notify_one();
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(
            &self
                .inner
                .view
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
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

    fn members(&self) -> Vec<Member> {
        self.view().members()
    }

    fn peers(&self) -> Vec<Arc<dyn Peer>> {
        let view = self.view();
        view.nodes
            .iter()
            .flatten()
            .map(|peer| Arc::clone(peer) as Arc<dyn Peer>)
            .collect()
    }

    fn listeners(&self) -> Vec<Arc<dyn Peer>> {
        let mut listeners = self.peers();
        let members: HashSet<String> = listeners.iter().map(|peer| peer.name().into()).collect();
        let others = self.inner.followers.recent(self.inner.options.remember_for);
        listeners.extend(
            others
                .into_iter()
                .filter(|peer| !members.contains(peer.name())),
        );
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
        names.retain(|name| !view.has(name));
        names
    }

    fn heard_of(&self, name: &str) {
        self.inner.heard(name, true, &self.view());
    }

    fn digest(&self) -> String {
        self.view().digest.clone()
    }
}

impl Inner {
    /// A node has been heard, or heard `of`. Members are told of removals in any case.
    fn heard(&self, name: &str, of: bool, view: &View) {
        if *name == *self.me || view.has(name) {
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

    fn watch(&self, name: &str) -> Result<Arc<Watched>, Box<dyn std::error::Error + Send + Sync>> {
        let peer = self.connect.connect(name)?;
        let refresh = Arc::clone(&self.refresh);
        Ok(Arc::new(Watched::new(peer, self.options.clone(), refresh)))
    }
}
