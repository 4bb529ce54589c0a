//! Nodes that follow one source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use gaggle_follow::{Follower, Options};
use gaggle_group::{FollowState, FollowStats, Group, GroupBuilder, Sampled};
use gaggle_testkit::{Cluster, Link};

use crate::source::{Source, SourceFeed, eventually};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
const LEADS: &[u8] = b"follow:things";

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) source: Source,
    pub(crate) followers: Vec<Option<Running>>,
    options: Options,
}

pub(crate) struct Running {
    pub(crate) follower: Follower,
    dead: Arc<AtomicBool>,
}

impl World {
    pub(crate) fn new(nodes: usize) -> Self {
        Self::with(nodes, Options::default(), |builder| builder)
    }

    pub(crate) fn with(
        nodes: usize,
        options: Options,
        build: impl Fn(GroupBuilder) -> GroupBuilder + 'static,
    ) -> Self {
        let source = Source::default();
        let origin = source.clone();
        let cluster = Cluster::with(nodes, move |builder| {
            build(
                builder
                    .origin(origin.clone())
                    .hot_copies(Sampled { one_in: 1 }),
            )
        });
        let mut world = Self {
            cluster,
            source,
            followers: Vec::new(),
            options,
        };
        for node in 0..nodes {
            let running = world.start(node);
            world.followers.push(Some(running));
        }
        world
    }

    fn start(&self, node: usize) -> Running {
        let feed = SourceFeed::new(&self.source, node);
        let dead = Arc::clone(&feed.dead);
        let follower = Follower::start(self.group(node), feed, self.options.clone());
        Running { follower, dead }
    }

    pub(crate) fn group(&self, node: usize) -> Group {
        self.cluster.nodes()[node].group.clone()
    }

    pub(crate) fn stats(&self, node: usize) -> FollowStats {
        self.group(node).stats().follow.expect("a follower")
    }

    /// The node that leads, as the first node that is asked reports it.
    pub(crate) fn leader(&self) -> usize {
        let leads = |node: &usize| self.group(*node).router().leads(LEADS);
        let mut nodes = 0..self.cluster.nodes().len();
        nodes.find(leads).expect("a leader")
    }

    /// The nodes except that one.
    pub(crate) fn others(&self, node: usize) -> Vec<usize> {
        let all = 0..self.cluster.nodes().len();
        all.filter(|other| *other != node).collect()
    }

    /// Waits until the leader follows.
    pub(crate) async fn is_followed(&self) -> usize {
        let follows = || {
            self.source
                .holder()
                .is_some_and(|node| self.stats(node).state == FollowState::Following)
        };
        eventually("a node follows", 10 * SECOND, follows).await;
        self.source.holder().unwrap()
    }

    pub(crate) async fn is_confirmed(&self, position: u64, within: Duration) {
        eventually("it is confirmed", within, || {
            self.source.confirmed() >= position
        })
        .await;
    }

    pub(crate) fn link(&self, a: usize, b: usize, link: Link) {
        let nodes = self.cluster.nodes();
        self.cluster
            .network()
            .set(&nodes[a].name, &nodes[b].name, link);
        self.cluster
            .network()
            .set(&nodes[b].name, &nodes[a].name, link);
    }

    pub(crate) fn isolate(&self, node: usize, link: Link) {
        for other in self.others(node) {
            self.link(node, other, link);
        }
    }

    /// Ends a node as a crash would: it sends nothing any more, and the source notices.
    pub(crate) fn kill(&mut self, node: usize) {
        self.isolate(node, Link::Refused);
        self.cluster.stop(node);
        if let Some(running) = self.followers[node].take() {
            running.dead.store(true, SeqCst);
        }
        self.source.set_cut(node, true);
    }

    /// Starts a node that was killed, with nothing in memory. Its links stay as they are.
    pub(crate) fn restart(&mut self, node: usize) {
        self.cluster.restart(node);
        self.source.set_cut(node, false);
        self.follow(node);
    }

    /// Makes a node follow that does not.
    pub(crate) fn follow(&mut self, node: usize) {
        let running = self.start(node);
        self.followers[node] = Some(running);
    }

    /// The value of a key that a node has in memory.
    pub(crate) fn cached(&self, node: usize, key: &str) -> Option<String> {
        let answer = self.group(node).cached(key)?;
        Some(String::from_utf8(answer.value?.to_vec()).unwrap())
    }

    /// Makes every node load a key.
    pub(crate) async fn load(&self, key: &str) {
        for node in self.cluster.nodes() {
            let _ = node.group.find(key).await.unwrap();
            assert!(node.group.holds(key), "{} has no copy of {key}", node.name);
        }
    }

    /// Whether a node holds a value of that key.
    pub(crate) fn holds(&self, key: &str) -> Vec<bool> {
        let nodes = self.cluster.nodes().iter();
        nodes.map(|node| node.group.holds(key)).collect()
    }
}
