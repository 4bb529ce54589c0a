//! The builder of a cluster in memory.

use std::fmt;
use std::sync::Arc;

use gaggle_group::{Group, GroupBuilder, Groups};
use gaggle_peers::{Options, Peers};

use super::{Cluster, tokio_clock};
use crate::{CountingOrigin, Network};

type Build = Box<dyn Fn(GroupBuilder) -> GroupBuilder>;

/// Sets the parts of a [`Cluster`]; [`Cluster::builder`] makes it.
#[must_use]
pub struct ClusterBuilder {
    members: usize,
    gateways: usize,
    origin: CountingOrigin,
    plan: Plan,
}

/// Makes each node, when the cluster starts and when a node restarts.
pub(super) struct Plan {
    /// Their names, and how each is built.
    groups: Vec<(String, Build)>,
    pub(super) options: Options,
}

impl ClusterBuilder {
    pub(super) fn new(members: usize) -> Self {
        Self {
            members,
            gateways: 0,
            origin: CountingOrigin::default(),
            plan: Plan {
                groups: Vec::new(),
                options: Options::default(),
            },
        }
    }

    /// Adds that many gateways, which are in no ring: they own no keys and ask the members.
    /// Default none.
    pub fn gateways(mut self, gateways: usize) -> Self {
        self.gateways = gateways;
        self
    }

    /// A group of that name on each node. `build` is given a builder with the cluster's origin,
    /// clock and ring, for each node in turn, and may change anything else: the origin, for
    /// example, or how long values live. Without any there is one named `things`.
    pub fn group(
        mut self,
        name: impl Into<String>,
        build: impl Fn(GroupBuilder) -> GroupBuilder + 'static,
    ) -> Self {
        self.plan.groups.push((name.into(), Box::new(build)));
        self
    }

    /// The origin that groups share. Default: one that answers `value of KEY`.
    pub fn origin(mut self, origin: CountingOrigin) -> Self {
        self.origin = origin;
        self
    }

    /// How nodes judge each other. The cluster overrides the options for a node's name and for
    /// whether it is a member.
    pub fn peers(mut self, options: Options) -> Self {
        self.plan.options = options;
        self
    }

    /// The cluster. Needs a tokio runtime.
    ///
    /// # Panics
    ///
    /// If a group is invalid, or two have one name.
    pub fn start(mut self) -> Cluster {
        if self.plan.groups.is_empty() {
            self = self.group("things", |group| group);
        }
        let mut cluster = Cluster {
            nodes: Vec::new(),
            network: Network::default(),
            origin: self.origin,
            members: self.members,
            plan: self.plan,
        };
        for at in 0..self.members + self.gateways {
            let node = cluster.start(at);
            cluster.nodes.push(node);
        }
        cluster
    }
}

impl Plan {
    /// One node's groups.
    #[allow(clippy::expect_used)] // a test wants to fail here
    pub(super) fn groups(&self, origin: &CountingOrigin, peers: &Peers) -> Groups {
        let groups = self.groups.iter().map(|(name, build)| {
            let builder = Group::builder(name.as_str())
                .origin(origin.clone())
                .clock(tokio_clock())
                .router(Arc::new(peers.clone()));
            build(builder).build().expect("a valid group")
        });
        Groups::new(groups).expect("groups of different names")
    }

    /// The first of one node's groups, in the order in which the test has named them.
    #[allow(clippy::expect_used)] // each plan has a group, and each node all groups of the plan
    pub(super) fn first<'a>(&self, groups: &'a Groups) -> &'a Group {
        let name = self.groups.first().map(|(name, _)| name.as_str());
        name.and_then(|name| groups.get(name))
            .expect("a node with its groups")
    }
}

impl fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.plan.groups.iter().map(|(name, _)| name);
        f.debug_struct("ClusterBuilder")
            .field("members", &self.members)
            .field("gateways", &self.gateways)
            .field("groups", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
