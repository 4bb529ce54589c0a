//! A slot that is lost, and one that is handed over.

use std::time::{Duration, Instant};

use gaggle_testkit::{Fault, Scope};

use crate::ages::build;
use crate::support::until;
use crate::traffic::{Traffic, seed};
use crate::world::{Plan, World, keys};

/// What the log says when the whole group is removed.
const REMOVED_WHOLE: &str = "changes may have been missed; all keys of the group are removed";

impl World {
    /// Drops the slot of `scores`, which may still be in use by the server's account for a moment.
    async fn drop_slot(&self) {
        until("the end of the slot", async || {
            let drop = "SELECT pg_drop_replication_slot('gaggle_scores')";
            self.db.try_psql(drop).is_ok()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_lost_slot_removes_the_group_and_the_log_says_so() {
    let mut world = World::start(&Plan::following(100)).await;
    let keys = keys(100);
    world.warm(&keys).await;
    world.confirmed().await;

    // Nodes that run on, and cannot follow meanwhile.
    let before = world.followed_so_far("scores", "group_removals").await;
    world.proxy.set(Scope::All, Fault::Refuse).await.unwrap();
    world.drop_slot().await;
    world.db.psql("UPDATE scores SET value = 'new'");
    for (n, mut reader) in world.readers().into_iter().enumerate() {
        let read = reader.get("k1").await.unwrap();
        assert!(read.hit && read.is("0"), "node {n}: {read:?}");
    }
    world.proxy.pass().await.unwrap();
    until("the removal of the whole group", async || {
        world.followed_so_far("scores", "group_removals").await > before
    })
    .await;
    world.confirmed().await;
    world.compare(&keys, "after the loss of the slot").await;
    let said = |world: &World, n: usize| world.cluster.nodes[n].process.lines_with(REMOVED_WHOLE);
    // Once for the new slot at the start, for each of the two groups, and once for this.
    let lines: usize = (0..3).map(|n| said(&world, n)).sum();
    assert!(lines >= 3, "{lines} lines say so");

    // Nodes that were stopped.
    for node in &world.cluster.nodes {
        node.process.signal("TERM");
    }
    for node in &mut world.cluster.nodes {
        assert!(node.process.ended().await.success());
    }
    world.assert_silent();
    world.drop_slot().await;
    world.db.psql("UPDATE scores SET value = 'newer'");
    for n in 0..3 {
        world.cluster.nodes[n].restart().await;
    }
    let follower = world.followed().await;
    let logged = world.cluster.nodes[follower]
        .process
        .logged(REMOVED_WHOLE)
        .await;
    println!("{logged}");
    assert_eq!(logged["level"], "WARN");
    world.compare(&keys, "after a start without the slot").await;
    world.warm(&keys).await;
    world.write("k2", "newest").await;
    world.confirmed().await;
    world.compare(&keys, "after a change").await;
    world.assert_silent();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_node_that_stops_hands_the_slot_over_and_clients_see_no_error() {
    let seed = seed();
    let mut world = World::start(&Plan::following(200)).await;
    let keys = keys(200);
    world.warm(&keys).await;
    let leaves = world.followed().await;
    let others: Vec<usize> = (0..3).filter(|n| *n != leaves).collect();
    let doors: Vec<_> = others.iter().map(|n| world.cluster.nodes[*n].api).collect();
    let writers = Traffic::writers(&world.pool, &keys, seed);
    let readers = Traffic::readers(&doors, &keys, seed, Duration::from_millis(1));
    readers.goes_on(200).await;

    world.cluster.nodes[leaves].process.signal("TERM");
    let told = Instant::now();
    let next = world.followed_by(&others).await;
    let took = told.elapsed();
    println!(
        "node {leaves} was told to stop, node {next} follows {:.2} s later ({})",
        took.as_secs_f64(),
        build()
    );
    // The server holds a slot that was not released for a minute: `wal_sender_timeout`.
    assert!(took < Duration::from_secs(20), "{took:?}");
    let status = world.cluster.nodes[leaves].process.ended().await;
    assert!(status.success(), "{status}");
    readers.goes_on(500).await;
    let (_, refused) = writers.stop().await;
    let (gets, failed) = readers.stop().await;
    assert!(refused.is_empty(), "{refused:?}");
    assert!(failed.is_empty(), "of {gets} gets: {failed:?}");
    world.cluster.nodes[leaves].restart().await;
    world.confirmed().await;
    world.compare(&keys, "after the hand-over").await;
    world.assert_silent();
}
