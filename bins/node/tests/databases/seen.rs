//! Every kind of change is seen through every node's front door.

use crate::reader::Reader;
use crate::support::until;
use crate::world::{Plan, World, keys};

/// Waits until every node gives this answer.
async fn all_say(world: &World, key: &str, expected: Option<&str>) {
    let mut readers: Vec<Reader> = world.readers();
    for (n, reader) in readers.iter_mut().enumerate() {
        let what = format!("{expected:?} for {key} of node {n}");
        until(&what, async || {
            reader.get(key).await.unwrap().row() == expected
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn every_change_of_a_row_is_seen_through_every_node() {
    let mut plan = Plan::following(20);
    // A known absence is removed as well.
    plan.group.push_str("\nnegative-ttl = \"10m\"");
    let world = World::start(&plan).await;
    let keys = keys(20);
    world.warm(&keys).await;

    world.write("k0", "one").await;
    all_say(&world, "k0", Some("one")).await;

    let mut readers = world.readers();
    for reader in &mut readers {
        // The owner knows it to be absent.
        assert_eq!(reader.get("new").await.unwrap().row(), None);
    }
    world.db.psql("INSERT INTO scores VALUES ('new', 'row')");
    all_say(&world, "new", Some("row")).await;

    world.db.psql("DELETE FROM scores WHERE key = 'k1'");
    all_say(&world, "k1", None).await;

    // Another key: the old one goes, the new one comes.
    world
        .db
        .psql("UPDATE scores SET key = 'moved' WHERE key = 'k2'");
    all_say(&world, "k2", None).await;
    all_say(&world, "moved", Some("0")).await;

    // A transaction that is rolled back changes nothing and removes nothing.
    world.confirmed().await;
    let before = world.followed_so_far("scores", "keys_removed").await;
    world
        .db
        .psql("BEGIN; UPDATE scores SET value = 'never'; ROLLBACK;");
    world.confirmed().await;
    assert_eq!(
        world.followed_so_far("scores", "keys_removed").await,
        before
    );

    world.db.psql("TRUNCATE scores");
    for key in &keys {
        all_say(&world, key, None).await;
    }
    world.assert_silent();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_payload_brings_the_new_value_without_a_load() {
    let world = World::start(&Plan::following(1)).await;
    until("a node that follows profiles", async || {
        let nodes = 0..world.cluster.nodes.len();
        let mut following = 0;
        for n in nodes {
            let node = &world.cluster.nodes[n];
            let status = world.client.get(node.admin, "/status").await.json();
            let state = &status["groups"]["profiles"]["follow"]["state"];
            following += u8::from(state == "following");
        }
        following == 1
    })
    .await;
    let loads = async || {
        let labels = ["group=\"profiles\"", "source=\"origin\""];
        let cluster = &world.cluster;
        cluster
            .metric(&world.client, "gaggle_loads_total", &labels)
            .await
    };
    world
        .db
        .psql("INSERT INTO profiles SELECT n, 'old ' || n FROM generate_series(1, 50) n");
    let put = async |count| {
        until("the values of the changes", async || {
            world.followed_so_far("profiles", "values_put").await >= count
        })
        .await;
    };
    put(50).await;
    world.db.psql("UPDATE profiles SET profile = 'new ' || id");
    put(100).await;
    for mut reader in world.readers() {
        for id in 1..=50 {
            let read = reader.get_of("profiles", &id.to_string()).await.unwrap();
            assert!(read.is(&format!("new {id}")), "{read:?}");
        }
    }
    assert_eq!(loads().await, 0, "no value was loaded");
    world.db.psql("DELETE FROM profiles WHERE id = 7");
    let mut reader = world.readers().pop().unwrap();
    until("the removal of a deleted row", async || {
        reader
            .get_of("profiles", "7")
            .await
            .unwrap()
            .row()
            .is_none()
    })
    .await;
    world.assert_silent();
}
