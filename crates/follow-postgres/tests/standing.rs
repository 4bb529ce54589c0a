//! Changes of the set-up by an administrator of the server, with and without a feed that follows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::error::Error as _;
use std::time::Duration;

use gaggle_follow::{Change, Feed, FeedError, Opened};
use gaggle_follow_postgres::{PostgresError, ReplicationFeed, ReplicationOptions, SlotInUse};
use gaggle_testservers::Postgres;
use support::{
    Database, begin, changes, key, logical, open, open_at_last, open_error, options, table, take,
    until, within,
};

const PLAYERS: &str = "CREATE TABLE players (id int PRIMARY KEY, score int);
     CREATE TABLE other (id int PRIMARY KEY, score int);
     CREATE PUBLICATION gaggle FOR TABLE players;";

fn missed(opened: &Opened, part: &str) {
    assert!(
        matches!(opened, Opened::Missed(why) if why.contains(part)),
        "{opened:?}"
    );
}

/// What ends the feed, after whatever it still brings.
async fn failure(feed: &mut impl Feed) -> FeedError {
    loop {
        if let Err(error) = within(feed.next()).await {
            return error;
        }
    }
}

async fn set(server: &Postgres, setting: &str, value: &str) {
    server.psql(&format!("ALTER SYSTEM SET {setting} = '{value}'"));
    server.psql("SELECT pg_reload_conf()");
    until("the setting holds", || {
        server.psql(&format!("SHOW {setting}")) == value
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_feed_is_no_synchronous_standby() {
    let server = logical(&[("synchronous_standby_names", "*")]);
    server.psql(PLAYERS);
    let feed = |user: &str| {
        let url = server.url();
        let end = url.split_once('@').unwrap().1;
        let url = if user.is_empty() {
            url.clone()
        } else {
            format!("postgres://{user}:secret@{end}")
        };
        ReplicationFeed::new(options(url, &[table("players", "{id}")]), "scores").unwrap()
    };
    // The server shows its standbys to few users. The user is made while no commit waits.
    server.psql("CREATE ROLE plain LOGIN REPLICATION PASSWORD 'secret'");
    for names in ["*", "FIRST 1 (nobody, \"Gaggle/scores\")"] {
        set(&server, "synchronous_standby_names", names).await;
        for user in ["", "plain"] {
            let error = open_error(&mut feed(user)).await.to_string();
            assert!(
                error.contains("exclude application_name \"gaggle/scores\""),
                "{error}"
            );
        }
    }
    let slots = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(server.psql(slots), "0");

    // It becomes one while it follows, and has read a commit that waits.
    set(&server, "synchronous_standby_names", "").await;
    let mut feed = {
        let options = ReplicationOptions {
            // No periodic check.
            status_interval: Duration::from_secs(20),
            ..options(server.url(), &[table("players", "{id}")])
        };
        ReplicationFeed::new(options, "scores").unwrap()
    };
    open(&mut feed).await;
    let batch = within(feed.next()).await.unwrap();
    feed.confirm(batch.position.unwrap()).await.unwrap();
    set(&server, "synchronous_standby_names", "*").await;
    let writer = std::thread::spawn({
        let url = server.url();
        move || {
            std::process::Command::new("psql")
                .args([&url, "-c", "SET synchronous_commit = on"])
                .args(["-c", "INSERT INTO players VALUES (1)"])
                .output()
                .unwrap()
        }
    });
    let error = failure(&mut feed).await.to_string();
    assert!(error.contains("synchronous_standby_names = '*'"), "{error}");
    until("the slot is let go", || {
        server.psql("SELECT active FROM pg_replication_slots") == "f"
    })
    .await;
    set(&server, "synchronous_standby_names", "").await;
    assert!(writer.join().unwrap().status.success());
    assert_eq!(open(&mut feed).await, Opened::Complete);
    assert_eq!(take(&mut feed, 1).await.changes, [key("1")]);
    feed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_publication_that_changes_is_noticed() {
    let db = Database::new(PLAYERS);
    let mut feed = db.feed(&[table("players", "{id}")]);
    begin(&mut feed).await;
    for (change, back) in [
        (
            "ALTER PUBLICATION gaggle SET TABLE other",
            "ALTER PUBLICATION gaggle ADD TABLE players",
        ),
        (
            "ALTER PUBLICATION gaggle SET (publish = 'insert')",
            "ALTER PUBLICATION gaggle SET (publish = 'insert, update, delete, truncate')",
        ),
        // Taken out and put back at once.
        (
            "BEGIN; ALTER PUBLICATION gaggle DROP TABLE players;
             ALTER PUBLICATION gaggle ADD TABLE players; COMMIT",
            "",
        ),
    ] {
        // What concerns other tables is no change.
        db.psql(
            "CREATE TABLE more (id int); ALTER PUBLICATION gaggle ADD TABLE more; DROP TABLE more",
        );
        db.psql(change);
        let error = failure(&mut feed).await;
        let source = error.source().unwrap().downcast_ref();
        assert!(
            matches!(source, Some(PostgresError::Republished(_))),
            "{change}: {error}"
        );
        if !back.is_empty() {
            let error = open_error(&mut feed).await.to_string();
            assert!(error.contains("publication gaggle"), "{error}");
            db.psql(back);
        }
        missed(&open(&mut feed).await, "publi");
        let batch = within(feed.next()).await.unwrap();
        feed.confirm(batch.position.unwrap()).await.unwrap();
        assert_eq!(open(&mut feed).await, Opened::Complete);
    }
    // Without a follower, and without an attempt in between.
    feed.close().await;
    db.psql("ALTER PUBLICATION gaggle DROP TABLE players; INSERT INTO players VALUES (1)");
    db.psql("ALTER PUBLICATION gaggle ADD TABLE players");
    missed(&open(&mut feed).await, "the publication was changed");
    feed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn the_second_session_is_used_while_nothing_happens() {
    let db = Database::new(PLAYERS);
    let mut feed = db.feed(&[table("players", "{id}")]);
    begin(&mut feed).await;
    let used = || {
        db.psql(
            "SELECT max(state_change) FROM pg_stat_activity WHERE datname = current_database()
             AND backend_type = 'client backend' AND application_name = 'gaggle/scores'",
        )
    };
    for _ in 0..3 {
        let before = used();
        assert!(!before.is_empty());
        until("it is used", || used() > before).await;
    }
    feed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_publication_that_was_made_again_needs_another_slot() {
    for create_slot in [true, false] {
        let db = Database::new(PLAYERS);
        let tables = [table("players", "{id}")];
        begin(&mut db.feed(&tables)).await;
        db.psql("DROP PUBLICATION gaggle; INSERT INTO players VALUES (1)");
        db.psql("CREATE PUBLICATION gaggle FOR TABLE players");
        let options = ReplicationOptions {
            create_slot,
            ..db.options(&tables)
        };
        let mut feed = ReplicationFeed::new(options, "scores").unwrap();
        open_at_last(&mut feed).await;
        let error = failure(&mut feed).await.to_string();
        assert!(error.contains("42704"), "{error}");
        if !create_slot {
            let error = open_error(&mut feed).await.to_string();
            assert!(
                error.contains("before the publication \"gaggle\""),
                "{error}"
            );
            db.psql(error.split_once("Run: ").unwrap().1);
        }
        missed(&open(&mut feed).await, "before the publication");
        db.psql("INSERT INTO players VALUES (2)");
        assert_eq!(changes(&mut feed, 1).await, [key("2")]);
        assert_eq!(open(&mut feed).await, Opened::Complete);
        feed.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn what_was_put_right_since_does_not_stop_the_feed() {
    let db = Database::new(PLAYERS);
    let mut feed = db.feed(&[table("players", "{id}")]);
    begin(&mut feed).await;
    for (wrong, right) in [
        (
            "ALTER TABLE players RENAME id TO number",
            "ALTER TABLE players RENAME number TO id",
        ),
        (
            "ALTER TABLE players RENAME TO people",
            "ALTER TABLE people RENAME TO players",
        ),
        (
            "ALTER TABLE players REPLICA IDENTITY NOTHING",
            "ALTER TABLE players REPLICA IDENTITY DEFAULT",
        ),
    ] {
        feed.close().await;
        let name = if wrong.contains("people") {
            "people"
        } else {
            "players"
        };
        db.psql(&format!("{wrong}; INSERT INTO {name} VALUES (1)"));
        db.psql(&format!("{right}; INSERT INTO players VALUES (2)"));
        assert_eq!(open(&mut feed).await, Opened::Complete, "{wrong}");
        // The table that does not fit and its row can arrive in one batch or in two.
        let mut told = changes(&mut feed, 1).await;
        while told.last() != Some(&key("2")) {
            told.extend(changes(&mut feed, 1).await);
        }
        told.dedup();
        assert_eq!(told, [Change::All, key("2")], "{wrong}");
        db.psql("DELETE FROM players");
        assert_eq!(changes(&mut feed, 2).await, [key("1"), key("2")]);
    }
    // Earlier changes are reported, even if the table does not fit now.
    db.psql(
        "BEGIN; INSERT INTO players VALUES (5); ALTER TABLE players RENAME id TO number;
         INSERT INTO players VALUES (6); COMMIT",
    );
    assert_eq!(take(&mut feed, 1).await.changes, [key("5")]);
    let error = failure(&mut feed).await.to_string();
    assert!(error.contains("no column \"id\""), "{error}");
    let error = open_error(&mut feed).await.to_string();
    assert!(error.contains("no column \"id\""), "{error}");
    db.psql("ALTER TABLE players RENAME number TO id");
    missed(&open(&mut feed).await, "no column \"id\"");
    assert!(take(&mut feed, 2).await.changes.contains(&Change::All));
    feed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn another_table_by_the_name_is_noticed_at_the_next_opening() {
    let db = Database::new(
        "CREATE TABLE players (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY);
         CREATE PUBLICATION gaggle FOR ALL TABLES;",
    );
    let mut feed = db.feed(&[table("players", "{id}")]);
    begin(&mut feed).await;
    feed.close().await;
    db.psql("DROP TABLE players; ALTER TABLE other RENAME TO players");
    missed(&open(&mut feed).await, "another table");
    let batch = within(feed.next()).await.unwrap();
    feed.confirm(batch.position.unwrap()).await.unwrap();
    assert_eq!(open(&mut feed).await, Opened::Complete);
    // A table that is renamed while it is followed.
    db.psql("ALTER TABLE players RENAME TO people; INSERT INTO people VALUES (1)");
    let error = failure(&mut feed).await.to_string();
    assert!(error.contains("people"), "{error}");
    db.psql("ALTER TABLE people RENAME TO players");
    assert!(matches!(open(&mut feed).await, Opened::Missed(_)));
    feed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_slot_that_is_being_created_is_distinguished() {
    let db = Database::new(PLAYERS);
    let url = db.url();
    // The server waits for this transaction before the slot is there.
    let mut running = std::process::Command::new("psql")
        .args([
            "-X",
            "-q",
            &url,
            "-c",
            "BEGIN; SELECT txid_current(); SELECT pg_sleep(600)",
        ])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    until("the transaction runs", || db.psql(sleeps) == "1").await;
    let (mut feed, mut another) = (
        db.feed(&[table("players", "{id}")]),
        db.feed(&[table("players", "{id}")]),
    );
    let dropped = tokio::time::timeout(Duration::from_secs(1), feed.open());
    dropped.await.expect_err("it waits");
    for feed in [&mut feed, &mut another] {
        let error = open_error(feed).await;
        assert!(error.is_held_elsewhere());
        let in_use: &SlotInUse = error.source().unwrap().downcast_ref().unwrap();
        assert!(in_use.is_being_created, "{error}");
        assert!(error.to_string().contains("being created"), "{error}");
    }
    db.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event = 'PgSleep'",
    );
    running.wait().unwrap();
    missed(&open_at_last(&mut another).await, "is new");
    another.close().await;
    missed(&open_at_last(&mut feed).await, "is new");
    feed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn the_holder_of_the_slot_is_named() {
    let db = Database::new(PLAYERS);
    let mut one = db.feed(&[table("players", "{id}")]);
    begin(&mut one).await;
    let options = db.options(&[table("players", "{id}")]);
    let mut two = ReplicationFeed::new(options, "another").unwrap();
    let error = open_error(&mut two).await;
    let in_use: &SlotInUse = error.source().unwrap().downcast_ref().unwrap();
    assert_eq!(in_use.application.as_deref(), Some("gaggle/scores"));
    assert_eq!(in_use.address.as_deref(), Some("127.0.0.1"));
    let text = error.to_string();
    assert!(
        text.contains("application \"gaggle/scores\", from 127.0.0.1"),
        "{text}"
    );
    one.close().await;
    let named = ReplicationOptions {
        url: format!("{}?application_name=mine", db.url()),
        ..db.options(&[table("players", "{id}")])
    };
    let mut named = ReplicationFeed::new(named, "scores").unwrap();
    open(&mut named).await;
    let error = open_error(&mut two).await.to_string();
    assert!(error.contains("application \"mine\""), "{error}");
    named.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_password_can_be_replaced() {
    let db = Database::new(PLAYERS);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    let user = format!("rotating_{}", db.name);
    db.psql(&format!(
        "CREATE ROLE {user} LOGIN REPLICATION PASSWORD 'the-first'"
    ));
    let url = db.url();
    let options = ReplicationOptions {
        url: format!("postgres://{user}:wrong@{}", url.split_once('@').unwrap().1),
        password_file: Some(file.clone()),
        ..db.options(&[table("players", "{id}")])
    };
    let mut feed = ReplicationFeed::new(options, "scores").unwrap();
    let path = file.display().to_string();
    let refused = |error: FeedError, part: &str| {
        let error = error.to_string();
        assert!(error.contains(part) && !error.contains("the-"), "{error}");
    };
    refused(open_error(&mut feed).await, &path);
    std::fs::write(&file, "the-first\n").unwrap();
    open(&mut feed).await;
    db.psql(&format!("ALTER ROLE {user} PASSWORD 'the-second'"));
    refused(open_error(&mut feed).await, "cannot log in");
    std::fs::write(&file, "the-second").unwrap();
    open_at_last(&mut feed).await;
    feed.close().await;
    std::fs::write(&file, "the-".repeat(20_000)).unwrap();
    refused(
        open_error(&mut feed).await,
        &format!("{path}: it is longer"),
    );
}
