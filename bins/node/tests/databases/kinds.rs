//! The other kinds: MariaDB as an origin, and PostgreSQL that is followed by notices.

use std::net::{Ipv4Addr, SocketAddr};

use gaggle_testservers::{Mariadb, MariadbOptions, PASSWORD};

use crate::reader::Reader;
use crate::support::{Cluster, Setup, until};
use crate::world::{Follow, Plan, World, keys, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs MariaDB: deploy/databases/install"]
async fn a_node_loads_from_mariadb() {
    let db = Mariadb::start(MariadbOptions {
        // What is committed survives a crash of the process.
        arguments: vec!["--innodb-flush-log-at-trx-commit=2".into()],
        ..MariadbOptions::default()
    });
    db.sql(
        "CREATE TABLE scores (k varchar(64) PRIMARY KEY, v varchar(64));
         INSERT INTO scores VALUES ('Tom', '630'), ('Jack', '589'), ('gone', NULL);
         INSERT INTO scores SELECT concat('k', seq), seq FROM seq_0_to_999;",
    );
    let setup = Setup {
        origin: format!(
            "kind = \"mysql\"\nurl = \"{}\"\nquery = \"SELECT v FROM scores WHERE k = ?\"",
            db.url()
        ),
        ..Setup::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("node.toml");
    let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    std::fs::write(&config, setup.file(any, &[])).unwrap();
    let (out, err) = run(&config, "check", &[]);
    assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD), "{out}");

    let cluster = Cluster::start(1, &setup).await;
    let node = &cluster.nodes[0];
    let mut reader = Reader::new(node.api);
    assert!(reader.get("Tom").await.unwrap().is("630"));
    assert!(reader.get("Tom").await.unwrap().hit);
    assert_eq!(reader.get("gone").await.unwrap().row(), None);
    assert_eq!(reader.get("nobody").await.unwrap().row(), None);
    assert_eq!(reader.batch(&keys(1_000)).await.unwrap(), 1_000);

    db.sql("UPDATE scores SET v = '631' WHERE k = 'Tom'");
    assert!(reader.get("Tom").await.unwrap().is("630"), "nobody follows");
    let client = crate::support::Client::new();
    let removed = client.send(
        reqwest::Method::DELETE,
        node.admin,
        "/v1/scores/Tom",
        String::new(),
    );
    assert_eq!(removed.await.unwrap().status, 200);
    assert!(reader.get("Tom").await.unwrap().is("631"));

    // What is cached is served while the server is down, and what is not fails without a word of
    // where it is.
    db.kill();
    assert!(reader.get("Tom").await.unwrap().is("631"));
    let failed = reader.get("Jack").await.unwrap();
    assert!(matches!(failed.status, 502..=504), "{failed:?}");
    assert!(!failed.value.contains("127.0.0.1"), "{failed:?}");
    db.start_again();
    until("loads after the restart", async || {
        reader.get("Jack").await.unwrap().is("589")
    })
    .await;
    assert_eq!(node.process.lines_with(PASSWORD), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn notices_remove_keys_and_a_restart_of_the_server_loses_none() {
    let mut plan = Plan::following(50);
    plan.follow = Follow::Notify;
    let world = World::start(&plan).await;
    let keys = keys(50);
    for (round, value) in ["first", "second"].into_iter().enumerate() {
        world.warm(&keys).await;
        world.write("k3", value).await;
        for mut reader in world.readers() {
            until("the new row", async || {
                reader.get("k3").await.unwrap().is(value)
            })
            .await;
        }
        world.db.psql("DELETE FROM scores WHERE key = 'k4'");
        for mut reader in world.readers() {
            until("no row", async || {
                reader.get("k4").await.unwrap().row().is_none()
            })
            .await;
        }
        world.db.psql("INSERT INTO scores VALUES ('k4', '0')");
        if round == 0 {
            world.db.restart();
            // It is down for a moment, and then nobody listens yet.
            world.write("k5", "told to nobody").await;
            world.followed().await;
            for mut reader in world.readers() {
                until("what changed meanwhile", async || {
                    reader.get("k5").await.unwrap().is("told to nobody")
                })
                .await;
            }
        }
    }
    world.db.psql("TRUNCATE scores");
    for mut reader in world.readers() {
        until("no rows", async || {
            reader.get("k7").await.unwrap().row().is_none()
        })
        .await;
    }
    world.assert_silent();
}
