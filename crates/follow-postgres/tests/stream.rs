//! Which changes are reported, how often, and which of them the server may forget.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashSet;
use std::error::Error as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gaggle_follow::{Change, Feed, Opened};
use gaggle_follow_postgres::{PostgresError, ReplicationFeed, ReplicationOptions, SlotInUse};
use support::proxy::Proxy;
use support::{
    Database, begin, changes, complete, key, logical, open, open_at_last, open_error, options,
    table, take, until, within,
};

const PLAYERS: &str = "CREATE TABLE players (id int PRIMARY KEY, score int);
     CREATE TABLE other (id int);
     CREATE PUBLICATION gaggle FOR TABLE players;";

fn keys(changes: Vec<Change>) -> impl Iterator<Item = Bytes> {
    changes.into_iter().map(|change| match change {
        Change::Key(key) => key,
        other => panic!("{other:?}"),
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn what_was_not_confirmed_comes_again() {
    let db = Database::new(PLAYERS);
    let mut feed = db.feed(&[table("players", "{id}")]);
    open(&mut feed).await;
    db.psql("INSERT INTO players VALUES (1)");
    changes(&mut feed, 1).await;
    // Confirmed, and then not.
    db.psql("INSERT INTO players VALUES (2)");
    assert_eq!(take(&mut feed, 1).await.changes, [key("2")]);
    feed.close().await;
    // Without a follower.
    db.psql("INSERT INTO players VALUES (3)");
    assert_eq!(open(&mut feed).await, Opened::Complete);
    assert_eq!(changes(&mut feed, 2).await, [key("2"), key("3")]);
    feed.close().await;
    assert_eq!(open(&mut feed).await, Opened::Complete);
    db.psql("INSERT INTO players VALUES (4)");
    assert_eq!(changes(&mut feed, 1).await, [key("4")]);
}

#[test]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
fn what_a_node_had_that_died_comes_again() {
    let db = Database::new(PLAYERS);
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    };
    let died = runtime();
    let mut feed = db.feed(&[table("players", "{id}")]);
    died.block_on(async {
        open(&mut feed).await;
        db.psql("INSERT INTO players VALUES (1), (2)");
        assert_eq!(take(&mut feed, 2).await.changes, [key("1"), key("2")]);
    });
    // Without a goodbye: its task and its sockets are dropped where they are.
    died.shutdown_background();
    drop(feed);
    runtime().block_on(async {
        let mut feed = db.feed(&[table("players", "{id}")]);
        assert_eq!(open_at_last(&mut feed).await, Opened::Complete);
        assert_eq!(changes(&mut feed, 2).await, [key("1"), key("2")]);
        feed.close().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_large_transaction_comes_in_parts_and_waits_for_its_reader() {
    const ROWS: usize = 100_000;
    let db = Database::new(PLAYERS);
    let mut feed = db.feed(&[table("players", "{id}")]);
    begin(&mut feed).await;
    db.psql(&format!(
        "INSERT INTO players SELECT i, 0 FROM generate_series(1, {ROWS}) i; INSERT INTO players VALUES (0)"
    ));
    let first = within(feed.next()).await.unwrap();
    assert_eq!(first.position, None);
    // Nobody asks for longer than the server's wal_sender_timeout, which is two seconds here.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let kept = db.confirmed();
    let mut all = first.changes;
    let mut last = None;
    while all.len() < ROWS + 1 {
        let batch = within(feed.next()).await.unwrap();
        assert!(batch.changes.len() <= 1024, "{}", batch.changes.len());
        all.extend(batch.changes);
        if all.len() < ROWS {
            assert_eq!(batch.position, None, "at {}", all.len());
        }
        last = batch.position.or(last);
    }
    for (at, change) in all.iter().enumerate() {
        let expected = if at == ROWS { 0 } else { at + 1 };
        assert_eq!(change, &key(&expected.to_string()));
    }
    assert!(feed.behind_bytes() > Some(0));
    let last = match last {
        Some(last) => last,
        None => within(feed.next()).await.unwrap().position.unwrap(),
    };
    assert!(kept < last.0, "the server would not tell it again");
    feed.confirm(last).await.unwrap();
    until("the server is told", || db.confirmed() >= last.0).await;
    feed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_restart_of_the_server_loses_no_change() {
    // What was committed is there after a crash.
    let server = logical(&[("synchronous_commit", "on")]);
    server.psql(PLAYERS);
    let mut feed =
        ReplicationFeed::new(options(server.url(), &[table("players", "{id}")]), "g").unwrap();
    begin(&mut feed).await;
    let mut told: HashSet<Bytes> = HashSet::new();
    let mut id = 0;
    for round in 0..4 {
        for _ in 0..20 {
            id += 1;
            server.psql(&format!("INSERT INTO players VALUES ({id})"));
        }
        told.extend(keys(take(&mut feed, 5).await.changes));
        match round {
            0 => server.stop(),
            1 => server.kill(),
            _ => {}
        }
        if round < 2 {
            server.start_again();
            // The feed must notice, whatever it still brings before.
            while let Ok(batch) = within(feed.next()).await {
                told.extend(keys(batch.changes));
            }
            id += 1;
            server.psql(&format!("INSERT INTO players VALUES ({id})"));
            assert_eq!(open_at_last(&mut feed).await, Opened::Complete);
        }
    }
    let all: HashSet<Bytes> = (1..=id).map(|id: i32| id.to_string().into()).collect();
    let end = Instant::now() + support::BOUND;
    while told != all && Instant::now() < end {
        let batch = within(feed.next()).await.unwrap();
        told.extend(keys(batch.changes));
    }
    assert_eq!(told, all);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_server_that_stops_does_not_wait_for_an_idle_feed() {
    let server = logical(&[]);
    server.psql(PLAYERS);
    let mut feed =
        ReplicationFeed::new(options(server.url(), &[table("players", "{id}")]), "g").unwrap();
    open(&mut feed).await;
    server.psql("INSERT INTO players VALUES (1)");
    changes(&mut feed, 1).await;
    server.psql("INSERT INTO other VALUES (1)");
    // It waits until all is confirmed, and this fails after a minute.
    server.stop();
    let error = loop {
        if let Err(error) = within(feed.next()).await {
            break error;
        }
    };
    assert!(error.source().unwrap().is::<PostgresError>(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn an_idle_database_holds_back_no_log() {
    let db = Database::new(PLAYERS);
    let mut feed = db.feed(&[table("players", "{id}")]);
    begin(&mut feed).await;
    // These changes do not concern the feed, and the test confirms nothing.
    let elsewhere = db.confirmed();
    db.psql("INSERT INTO other SELECT generate_series(1, 1000)");
    until("the log is let go", || db.confirmed() > elsewhere + 10_000).await;
    // A change that is not confirmed is kept, whatever comes after it.
    db.psql("INSERT INTO players VALUES (1)");
    let batch = complete(&mut feed, 1).await;
    let position = batch.position.unwrap();
    db.psql("INSERT INTO other SELECT generate_series(1, 1000)");
    // A position without changes arrives, for a caller that confirms late.
    let later = within(feed.next()).await.unwrap();
    assert_eq!(later.changes, []);
    assert!(later.position > Some(position));
    assert!(db.confirmed() < position.0);
    feed.confirm(position).await.unwrap();
    until("the log is let go", || db.confirmed() > position.0).await;
    feed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_slot_has_one_follower() {
    let db = Database::new(PLAYERS);
    let tables = [table("players", "{id}")];
    let (mut one, mut two) = (db.feed(&tables), db.feed(&tables));
    begin(&mut one).await;
    let error = open_error(&mut two).await;
    let in_use = error.source().unwrap().downcast_ref::<SlotInUse>().unwrap();
    let pid = db.psql(&format!(
        "SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{}'",
        db.name
    ));
    assert_eq!(in_use.pid.unwrap().to_string(), pid);
    assert_eq!(in_use.slot, db.name);
    for _ in 0..5 {
        // It is free as soon as it was let go.
        one.close().await;
        assert_eq!(open(&mut two).await, Opened::Complete);
        std::mem::swap(&mut one, &mut two);
    }
    // This also holds in the middle of a large transaction that is not read.
    db.psql("INSERT INTO players SELECT generate_series(1, 300000)");
    within(one.next()).await.unwrap();
    within(one.close()).await;
    assert_eq!(open_at_last(&mut two).await, Opened::Complete);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_slot_that_was_lost_is_made_again() {
    let server = logical(&[
        ("max_slot_wal_keep_size", "1MB"),
        ("max_wal_size", "32MB"),
        ("min_wal_size", "32MB"),
    ]);
    server.psql(PLAYERS);
    let tables = [table("players", "{id}")];
    let mut feed = ReplicationFeed::new(options(server.url(), &tables), "g").unwrap();
    open(&mut feed).await;
    feed.close().await;
    server.psql("INSERT INTO players VALUES (1)");
    for _ in 0..4 {
        server.psql("INSERT INTO other SELECT generate_series(1, 100000)");
        server.psql("SELECT pg_switch_wal(); CHECKPOINT;");
    }
    assert_eq!(
        server.psql("SELECT wal_status FROM pg_replication_slots"),
        "lost"
    );
    // Not without being asked to.
    let refusing = ReplicationOptions {
        create_slot: false,
        ..options(server.url(), &tables)
    };
    let error = open_error(&mut ReplicationFeed::new(refusing, "g").unwrap()).await;
    assert!(error.to_string().contains("was lost"), "{error}");
    let opened = open(&mut feed).await;
    assert!(
        matches!(&opened, Opened::Missed(why) if why.contains("was lost")),
        "{opened:?}"
    );
    server.psql("INSERT INTO players VALUES (2)");
    assert_eq!(changes(&mut feed, 1).await, [key("2")]);
    feed.close().await;
    assert_eq!(open(&mut feed).await, Opened::Complete);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn missed_changes_are_reported_until_a_position_is_confirmed() {
    let db = Database::new(PLAYERS);
    let mut feed = db.feed(&[table("players", "{id}")]);
    let is_new = |opened| matches!(opened, Opened::Missed(why) if why.contains("is new"));
    assert!(is_new(open(&mut feed).await));
    // The caller may not have handled that. A confirmed position shows that it has.
    let batch = within(feed.next()).await.unwrap();
    assert_eq!(batch.changes, []);
    assert!(is_new(open(&mut feed).await));
    let batch = within(feed.next()).await.unwrap();
    feed.confirm(batch.position.unwrap()).await.unwrap();
    assert_eq!(open(&mut feed).await, Opened::Complete);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn another_server_in_the_place_of_the_first_is_noticed() {
    let (one, two) = (logical(&[]), logical(&[]));
    for server in [&one, &two] {
        server.psql(PLAYERS);
        let mut feed =
            ReplicationFeed::new(options(server.url(), &[table("players", "{id}")]), "g").unwrap();
        open(&mut feed).await;
        feed.close().await;
    }
    let way = Proxy::to(one.port()).await;
    let url = one
        .url()
        .replace(&one.port().to_string(), &way.port.to_string());
    let mut feed = ReplicationFeed::new(options(url, &[table("players", "{id}")]), "g").unwrap();
    assert_eq!(open(&mut feed).await, Opened::Complete);
    feed.close().await;
    way.lead_to(two.port());
    let opened = open(&mut feed).await;
    assert!(
        matches!(&opened, Opened::Missed(why) if why.contains("another server")),
        "{opened:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_server_that_is_gone_without_a_word_is_noticed() {
    let db = Database::new(PLAYERS);
    let way = Proxy::to(db.server.port()).await;
    let port = db.server.port().to_string();
    let options = ReplicationOptions {
        url: db.url().replace(&port, &way.port.to_string()),
        status_interval: Duration::from_millis(50),
        silence_timeout: Duration::from_millis(500),
        ..db.options(&[table("players", "{id}")])
    };
    let mut feed = ReplicationFeed::new(options, "g").unwrap();
    open(&mut feed).await;
    // An idle server is not silent.
    let idle = tokio::time::timeout(Duration::from_secs(2), async {
        loop {
            let batch = feed.next().await.unwrap();
            assert_eq!(batch.changes, []);
        }
    });
    idle.await.unwrap_err();
    way.freeze();
    let error = within(feed.next()).await.unwrap_err();
    let source = error.source().unwrap().downcast_ref();
    assert!(matches!(source, Some(PostgresError::Silent(_))), "{error}");
    assert!(matches!(
        within(feed.next())
            .await
            .unwrap_err()
            .source()
            .unwrap()
            .downcast_ref(),
        Some(PostgresError::NotOpen)
    ));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_change_is_reported_once_it_is_visible() {
    let server = logical(&[]);
    server.psql(PLAYERS);
    server.psql("INSERT INTO players VALUES (1, 10)");
    let mut feed =
        ReplicationFeed::new(options(server.url(), &[table("players", "{id}")]), "g").unwrap();
    begin(&mut feed).await;
    // From here on a commit is in the log, and waits for a standby that there is not.
    server.psql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    server.psql("SELECT pg_reload_conf()");
    until("commits wait", || {
        server.psql("SHOW synchronous_standby_names") == "nobody"
    })
    .await;
    let writer = std::thread::spawn({
        let url = server.url();
        move || {
            std::process::Command::new("psql")
                .args([&url, "-c", "SET synchronous_commit = on"])
                .args(["-c", "UPDATE players SET score = 20"])
                .output()
                .unwrap()
        }
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    until("the commit waits", || server.psql(waits) == "1").await;
    // The server has sent it to the feed.
    let sent = "SELECT sent_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication WHERE state = 'streaming'";
    until("the change is sent", || server.psql(sent) == "t").await;
    assert_eq!(
        server.psql("SELECT score FROM players"),
        "10",
        "a load would bring the old row"
    );
    let told = tokio::time::timeout(Duration::from_millis(500), take(&mut feed, 1)).await;
    assert!(told.is_err(), "{told:?}");
    assert_eq!(server.psql("SELECT score FROM players"), "10");
    server.psql("ALTER SYSTEM RESET synchronous_standby_names");
    server.psql("SELECT pg_reload_conf()");
    assert_eq!(take(&mut feed, 1).await.changes, [key("1")]);
    assert_eq!(server.psql("SELECT score FROM players"), "20");
    assert!(writer.join().unwrap().status.success());
    feed.close().await;
}
