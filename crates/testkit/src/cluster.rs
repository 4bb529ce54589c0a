//! A cluster in memory.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Clock, Group, GroupBuilder, Groups, Peer};
use gaggle_peers::{Listed, Options, Peers, Profile};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{CountingOrigin, Network};

mod builder;

pub use builder::ClusterBuilder;
use builder::Plan;

/// Nodes that have the same groups, one origin and one network. Values age by tokio's time, which
/// a test under paused time can advance.
pub struct Cluster {
    nodes: Vec<Node>,
    network: Network,
    origin: CountingOrigin,
    members: usize,
    plan: Plan,
}

/// One node of a [`Cluster`].
pub struct Node {
    /// Its base URL, and its name in the ring.
    pub name: String,
    /// Its part of the first group.
    pub group: Group,
    /// Its part of all groups.
    pub groups: Groups,
    /// Its view of the ring.
    pub peers: Peers,
    follows: Vec<JoinHandle<()>>,
}

impl Node {
    /// Its part of the group of that name.
    ///
    /// # Panics
    ///
    /// If there is no such group.
    #[allow(clippy::panic)] // a test wants to fail here
    pub fn part_of(&self, group: &str) -> &Group {
        let part = self.groups.get(group);
        part.unwrap_or_else(|| panic!("no group is named {group}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for follows in &self.follows {
            follows.abort();
        }
    }
}

/// A clock that shows tokio's time.
pub fn tokio_clock() -> Clock {
    let start = Instant::now();
    Clock::custom(move || start.elapsed())
}

impl Cluster {
    /// Starts a cluster of `members` nodes that make up a ring.
    pub fn builder(members: usize) -> ClusterBuilder {
        ClusterBuilder::new(members)
    }

    /// `size` nodes with a group `things` of defaults each. Needs a tokio runtime.
    pub fn new(size: usize) -> Self {
        Self::with(size, |builder| builder)
    }

    /// `size` nodes whose groups, named `things`, are built by `build`.
    ///
    /// # Panics
    ///
    /// If `build` makes an invalid group.
    pub fn with(size: usize, build: impl Fn(GroupBuilder) -> GroupBuilder + 'static) -> Self {
        Self::with_gateways(size, 0, build)
    }

    /// `members` nodes that make up the ring, and that many gateways after them, which are in no
    /// ring.
    ///
    /// # Panics
    ///
    /// If `build` makes an invalid group.
    pub fn with_gateways(
        members: usize,
        gateways: usize,
        build: impl Fn(GroupBuilder) -> GroupBuilder + 'static,
    ) -> Self {
        let builder = Self::builder(members).gateways(gateways);
        builder.group("things", build).start()
    }

    /// Ends a node as a crash would, and starts it again with nothing in memory.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn restart(&mut self, at: usize) {
        self.network.detach(&self.nodes[at].name);
        self.nodes[at] = self.start(at);
    }

    /// Starts one more member, adds it to the lists of all nodes, and returns its number.
    ///
    /// # Panics
    ///
    /// If there are gateways, whose numbers come after those of the members.
    #[allow(clippy::expect_used)] // a test wants to fail here
    pub fn join(&mut self) -> usize {
        assert_eq!(self.nodes.len(), self.members, "members only");
        let at = self.members;
        self.members += 1;
        let node = self.start(at);
        self.nodes.push(node);
        for node in &self.nodes {
            node.peers.update(self.listed()).expect("base URLs");
        }
        at
    }

    /// A node announces that it leaves; it still answers. Returns how many others know.
    pub async fn leave(&self, at: usize, gone_within: Duration) -> usize {
        self.nodes[at].peers.leave(gone_within).await
    }

    /// A node announces that it stays, as a node does that has started.
    pub async fn arrive(&self, at: usize) {
        self.nodes[at].peers.arrive().await;
    }

    /// Stops a node: nothing answers there any more, as when the process has ended.
    /// [`restart`](Self::restart) starts it again.
    pub fn stop(&self, at: usize) {
        self.network.detach(&self.nodes[at].name);
    }

    #[allow(clippy::expect_used)] // a test wants to fail here
    fn start(&self, at: usize) -> Node {
        let name = self.name(at);
        let options = Options {
            member: at < self.members,
            name: Some(name.as_str().into()),
            ..self.plan.options.clone()
        };
        let (wires, from) = (self.network.clone(), name.clone());
        let connect = move |_: &str, to: &str| Ok(Arc::new(wires.peer(&from, to)) as Arc<dyn Peer>);
        let peers = Peers::new(name.as_str(), Profile::default(), options, connect);
        let peers = peers.expect("a base URL");
        peers.update(self.listed()).expect("base URLs");
        let groups = self.plan.groups(&self.origin, &peers);
        for group in groups.iter() {
            self.network.attach(&name, group.clone());
        }
        let follow = |group: &Group| {
            let group = group.clone();
            tokio::spawn(async move { group.follow().await })
        };
        Node {
            follows: groups.iter().map(follow).collect(),
            group: self.plan.first(&groups).clone(),
            groups,
            name,
            peers,
        }
    }

    /// All members. Here a node's base URL is its name, too.
    fn listed(&self) -> Vec<Listed> {
        let names = (0..self.members).map(|at| self.name(at));
        names
            .map(|name| Listed::new(name.clone()).named(name))
            .collect()
    }

    fn name(&self, at: usize) -> String {
        let net = usize::from(at >= self.members);
        format!("http://10.0.{net}.{}:8001", at + 1)
    }

    /// The nodes, gateways last.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The links between them.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The origin that they share, except for groups that were given another.
    pub fn origin(&self) -> &CountingOrigin {
        &self.origin
    }

    /// The node that owns `key`, in every group.
    ///
    /// # Panics
    ///
    /// If there are no nodes.
    #[allow(clippy::expect_used)] // a test wants to fail here
    pub fn owner_of(&self, key: impl AsRef<[u8]>) -> &Node {
        use gaggle_group::Router as _;
        let first = self.nodes.first().expect("a cluster with nodes");
        let owner = first.peers.owner(key.as_ref()).name;
        self.nodes
            .iter()
            .find(|node| *node.name == *owner)
            .expect("an owner in the cluster")
    }

    /// A node that does not own `key`, and so has to ask the one that does.
    ///
    /// # Panics
    ///
    /// If there is one node only.
    #[allow(clippy::expect_used)] // a test wants to fail here
    pub fn asker_of(&self, key: impl AsRef<[u8]>) -> &Node {
        let owner = &self.owner_of(key).name;
        let mut nodes = self.nodes.iter();
        nodes
            .find(|node| node.name != *owner)
            .expect("a cluster of at least two nodes")
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("nodes", &self.nodes)
            .field("members", &self.members)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
