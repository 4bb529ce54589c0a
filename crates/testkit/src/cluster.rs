//! A cluster in memory.

use std::sync::Arc;

use gaggle_group::{Group, GroupBuilder, Peer};
use gaggle_peers::{Options, Peers, Profile};

use crate::{CountingOrigin, Network};

/// Nodes of one group, `things`, that share one origin and one network.
pub struct Cluster {
    nodes: Vec<Node>,
    network: Network,
    origin: CountingOrigin,
}

/// One node of a [`Cluster`].
pub struct Node {
    /// Its base URL.
    pub name: String,
    /// Its part of the group.
    pub group: Group,
    /// Its view of the ring.
    pub peers: Peers,
}

impl Cluster {
    /// `size` nodes with a group of defaults each. Needs a tokio runtime.
    pub fn new(size: usize) -> Self {
        Self::with(size, |builder| builder)
    }

    /// `size` nodes whose groups are built by `build`.
    ///
    /// # Panics
    ///
    /// If `build` makes a group that cannot be.
    #[allow(clippy::expect_used)] // a test wants to fail here
    pub fn with(size: usize, build: impl Fn(GroupBuilder) -> GroupBuilder) -> Self {
        let network = Network::default();
        let origin = CountingOrigin::default();
        let names: Vec<String> = (1..=size)
            .map(|n| format!("http://10.0.0.{n}:8001"))
            .collect();
        let nodes = names
            .iter()
            .map(|name| {
                let (wires, from) = (network.clone(), name.clone());
                let connect = move |to: &str| Ok(Arc::new(wires.peer(&from, to)) as Arc<dyn Peer>);
                let peers = Peers::new(
                    name.as_str(),
                    Profile::default(),
                    Options::default(),
                    connect,
                )
                .expect("a base URL");
                peers.update(names.iter().cloned()).expect("base URLs");
                let builder = Group::builder("things")
                    .origin(origin.clone())
                    .router(Arc::new(peers.clone()));
                let group = build(builder).build().expect("a valid group");
                network.attach(name, group.clone());
                Node {
                    name: name.clone(),
                    group,
                    peers,
                }
            })
            .collect();
        Self {
            nodes,
            network,
            origin,
        }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The links between them.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The origin that they share.
    pub fn origin(&self) -> &CountingOrigin {
        &self.origin
    }

    /// The node that owns `key`.
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
}
