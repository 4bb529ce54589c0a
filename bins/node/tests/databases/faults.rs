//! Nodes, the database and the network fail while rows change: no node keeps an old value.

use std::time::Duration;

use gaggle_testkit::{Fault, Scope};
use tokio::time::sleep;

use crate::support::until;
use crate::traffic::{Traffic, seed};
use crate::world::{Plan, World, keys};

const KEYS: usize = 500;
/// How long a node is paused: twenty seconds more than its peers need to consider it down.
const PAUSED: Duration = Duration::from_secs(21);

/// A world in which rows change, and every node is asked for every key all the time.
struct Scene {
    world: World,
    keys: Vec<String>,
    random: fastrand::Rng,
    writers: Option<Traffic>,
    readers: Option<Traffic>,
}

impl Scene {
    async fn start() -> Self {
        let mut plan = Plan::following(KEYS);
        // How long a node that vanished holds the slot. The default is a minute.
        plan.settings.push(("wal_sender_timeout", "5s"));
        let world = World::start(&plan).await;
        let keys = keys(KEYS);
        world.warm(&keys).await;
        let mut scene = Self {
            world,
            keys,
            random: fastrand::Rng::with_seed(seed()),
            writers: None,
            readers: None,
        };
        scene.go_on().await;
        scene
    }

    /// Begins to write and to read.
    async fn go_on(&mut self) {
        let world = &self.world;
        let doors: Vec<_> = world.cluster.nodes.iter().map(|node| node.api).collect();
        let writers = Traffic::writers(&world.pool, &self.keys, self.random.u64(..));
        let readers = Traffic::readers(&doors, &self.keys, self.random.u64(..), Duration::ZERO);
        writers.goes_on(20).await;
        readers.goes_on(300).await;
        (self.writers, self.readers) = (Some(writers), Some(readers));
    }

    /// Waits for so many transactions.
    async fn changes(&self, count: u64) {
        self.writers.as_ref().unwrap().goes_on(count).await;
    }

    /// Stops the writers, waits until their last change is confirmed, and compares every key on
    /// every node.
    async fn is_right(&mut self, after: &str) {
        self.changes(50).await;
        let (written, refused) = self.writers.take().unwrap().stop().await;
        self.world.confirmed().await;
        let (read, failed) = self.readers.take().unwrap().stop().await;
        let hits = self.world.compare(&self.keys, after).await;
        println!(
            "after {after}: {written} transactions ({refused:?}), {read} gets ({failed:?}); all {} answers are the rows', \
             {hits} of them from memory",
            3 * KEYS
        );
        assert!(hits > KEYS / 10, "the nodes held {hits} values only");
        self.world.assert_silent();
    }

    async fn group_removals(&self) -> u64 {
        self.world.followed_so_far("scores", "group_removals").await
    }
}

fn but(n: usize) -> Vec<usize> {
    (0..3).filter(|other| *other != n).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn another_node_takes_over_from_one_that_died() {
    let mut scene = Scene::start().await;
    for round in 0..2 {
        let dead = scene.world.followed().await;
        scene.world.cluster.nodes[dead].process.kill();
        scene.changes(100).await;
        let next = scene.world.followed_by(&but(dead)).await;
        println!("node {dead} was killed, node {next} follows");
        if round == 1 {
            // It is started again before anybody has compared anything.
            scene.changes(100).await;
        }
        scene.world.cluster.nodes[dead].restart().await;
        // Readers of the new node's port.
        scene.readers.take().unwrap().stop().await;
        let (world, keys) = (&scene.world, &scene.keys);
        let doors: Vec<_> = world.cluster.nodes.iter().map(|node| node.api).collect();
        let readers = Traffic::readers(&doors, keys, round, Duration::ZERO);
        readers.goes_on(10_000).await;
        scene.readers = Some(readers);
        scene.is_right("the death of the node that follows").await;
        scene.go_on().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_database_that_crashes_and_a_network_that_is_cut_lose_no_change() {
    let mut scene = Scene::start().await;
    let removed_whole = scene.group_removals().await;

    scene.world.db.kill();
    sleep(Duration::from_secs(1)).await;
    scene.world.db.start_again();
    scene.changes(50).await;
    scene.world.followed().await;
    scene.is_right("a crash of the database").await;
    scene.go_on().await;

    for (name, fault) in [("cut", Fault::Refuse), ("silent", Fault::Blackhole)] {
        scene.world.proxy.set(Scope::All, fault).await.unwrap();
        if fault == Fault::Refuse {
            until("nobody follows", async || {
                scene.world.follower_of(&[0, 1, 2]).await.is_none()
            })
            .await;
        }
        // Longer than the server waits for a follower that says nothing.
        sleep(Duration::from_secs(7)).await;
        scene.changes(100).await;
        scene.world.proxy.pass().await.unwrap();
        scene.world.followed().await;
        scene.is_right(&format!("a network that was {name}")).await;
        scene.go_on().await;
    }
    assert_eq!(
        scene.group_removals().await,
        removed_whole,
        "the slot was not lost, so that keys alone were to be removed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_node_that_was_paused_catches_up() {
    let mut scene = Scene::start().await;
    let paused = scene.world.followed().await;
    scene.world.cluster.nodes[paused].process.signal("STOP");
    let next = scene.world.followed_by(&but(paused)).await;
    println!("node {paused} is paused, node {next} follows");
    scene.changes(100).await;
    sleep(PAUSED).await;
    scene.world.cluster.nodes[paused].process.signal("CONT");
    scene.is_right("a pause of the node that follows").await;
    scene.go_on().await;

    // A pause of a node that does not follow.
    let follows = scene.world.followed().await;
    let paused = but(follows)[0];
    scene.world.cluster.nodes[paused].process.signal("STOP");
    scene.changes(300).await;
    scene.world.cluster.nodes[paused].process.signal("CONT");
    scene.is_right("a pause of another node").await;
}
