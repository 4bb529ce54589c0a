//! Changes of rows become changes of keys.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use gaggle_follow::{Change, Feed, Opened};
use gaggle_follow_postgres::{ReplicationFeed, ReplicationOptions};
use support::{Database, changes, key, open, put, table, take};

const PLAYERS: &str = "CREATE TABLE players (id int PRIMARY KEY, name text, score int);
     CREATE PUBLICATION gaggle FOR TABLE players;";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn each_change_of_a_row_reports_its_key() {
    let db = Database::new(PLAYERS);
    let mut feed = db.feed(&[table("players", "player:{id}")]);
    assert!(matches!(open(&mut feed).await, Opened::Missed(why) if why.contains("is new")));

    db.psql("INSERT INTO players VALUES (1, 'Tom', 630), (2, 'Sam', 567)");
    let all = changes(&mut feed, 2).await;
    assert_eq!(all, [key("player:1"), key("player:2")]);
    db.psql("UPDATE players SET score = 1 WHERE id = 2");
    assert_eq!(changes(&mut feed, 1).await, [key("player:2")]);
    // The key itself changes: both are reported.
    db.psql("UPDATE players SET id = 3 WHERE id = 2");
    let all = changes(&mut feed, 2).await;
    assert_eq!(all, [key("player:2"), key("player:3")]);
    db.psql("DELETE FROM players WHERE id = 3");
    assert_eq!(changes(&mut feed, 1).await, [key("player:3")]);
    db.psql("TRUNCATE players");
    assert_eq!(changes(&mut feed, 1).await, [Change::All]);
    // What was rolled back never happened.
    db.psql("BEGIN; INSERT INTO players VALUES (8); ROLLBACK; INSERT INTO players VALUES (9)");
    let batch = take(&mut feed, 1).await;
    assert_eq!(batch.changes, [key("player:9")]);
    assert!(batch.age.is_some());
    feed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_payload_is_the_new_value() {
    let db = Database::new(
        "CREATE TABLE texts (id int PRIMARY KEY, other int, value text);
         ALTER TABLE texts ALTER value SET STORAGE EXTERNAL;
         CREATE TABLE blobs (id bytea PRIMARY KEY, value bytea);
         CREATE PUBLICATION gaggle FOR TABLE texts, blobs;",
    );
    let mut feed = db.feed(&[
        table("texts", "t{id}").with_payload("value"),
        table("blobs", "{id}").with_payload("value"),
    ]);
    open(&mut feed).await;
    db.psql("INSERT INTO texts VALUES (1, 0, 'one'), (2, 0, NULL), (3, 0, '')");
    let all = changes(&mut feed, 3).await;
    assert_eq!(all, [put("t1", "one"), key("t2"), put("t3", "")]);
    // Long values live beside the table, and are sent only where they change.
    db.psql("UPDATE texts SET value = repeat('x', 100000) WHERE id = 1");
    let long = "x".repeat(100_000);
    assert_eq!(changes(&mut feed, 1).await, [put("t1", &long)]);
    db.psql("UPDATE texts SET other = 1 WHERE id = 1");
    assert_eq!(changes(&mut feed, 1).await, [key("t1")]);
    // The key changes, and the value is not sent.
    db.psql("UPDATE texts SET id = 7 WHERE id = 1");
    assert_eq!(changes(&mut feed, 2).await, [key("t1"), key("t7")]);
    db.psql(r"INSERT INTO blobs VALUES ('\x6b', '\x00ff')");
    assert_eq!(changes(&mut feed, 1).await, [put("k", b"\x00\xff")]);
    db.psql("DELETE FROM blobs");
    assert_eq!(changes(&mut feed, 1).await, [key("k")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_key_is_made_of_columns_in_their_text_form() {
    let db = Database::new(
        r#"CREATE SCHEMA "App";
         CREATE TYPE kind AS ENUM ('user', 'bot');
         CREATE TABLE "App"."Users" (tenant char(5), "Id" uuid, kind kind, at timestamptz, x float8, value text,
           PRIMARY KEY (tenant, "Id", kind, at, x));
         CREATE TABLE sparse (a text, b text);
         ALTER TABLE sparse REPLICA IDENTITY FULL;
         CREATE PUBLICATION gaggle FOR TABLE "App"."Users", sparse;"#,
    );
    let name = &db.name;
    db.psql(&format!(
        "ALTER DATABASE {name} SET DateStyle = 'German'; ALTER DATABASE {name} SET TimeZone = 'Asia/Tokyo'"
    ));
    let mut feed = db.feed(&[
        table("App.Users", "{{{tenant}/{Id}}}/{kind}/{at}/{x}"),
        table("sparse", "{a}:{b}"),
    ]);
    open(&mut feed).await;
    db.psql(
        r#"INSERT INTO "App"."Users" VALUES
           ('ab', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'bot', '2026-01-02 03:04:05+00', 0.1)"#,
    );
    let expected = "{ab/a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}/bot/2026-01-02 03:04:05+00/0.1";
    assert_eq!(changes(&mut feed, 1).await, [key(expected)]);
    // A row without a key reports none; it can get a key, and lose it.
    db.psql("INSERT INTO sparse VALUES ('a', NULL)");
    db.psql("UPDATE sparse SET b = 'b'");
    assert_eq!(changes(&mut feed, 1).await, [key("a:b")]);
    db.psql("UPDATE sparse SET a = NULL");
    assert_eq!(changes(&mut feed, 1).await, [key("a:b")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn changes_of_partitions_are_reported_for_their_table() {
    let db = Database::new(
        "CREATE TABLE events (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
         CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
         CREATE TABLE other (id int PRIMARY KEY);
         CREATE PUBLICATION gaggle FOR TABLE events, other WITH (publish_via_partition_root = true);",
    );
    let mut feed = db.feed(&[table("events", "{day}/{id}")]);
    open(&mut feed).await;
    db.psql("INSERT INTO other VALUES (1); INSERT INTO events VALUES (1, 2)");
    assert_eq!(changes(&mut feed, 1).await, [key("2/1")]);
    db.psql("CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20)");
    // The row moves into the new partition.
    db.psql("UPDATE events SET day = 12");
    assert_eq!(changes(&mut feed, 2).await, [key("2/1"), key("12/1")]);
    db.psql("TRUNCATE events");
    assert_eq!(changes(&mut feed, 1).await, [Change::All]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_row_that_is_too_long_changes_everything() {
    let db = Database::new(
        "CREATE TABLE texts (id int PRIMARY KEY, value text);
         CREATE TABLE other (id int PRIMARY KEY, value text);
         CREATE PUBLICATION gaggle FOR TABLE texts, other;",
    );
    let options = ReplicationOptions {
        max_row: 10_000,
        ..db.options(&[table("texts", "{id}")])
    };
    let mut feed = ReplicationFeed::new(options, "scores").unwrap();
    open(&mut feed).await;
    let long = "repeat('x', 30000000)";
    db.psql(&format!("INSERT INTO other VALUES (1, {long})"));
    db.psql("INSERT INTO texts VALUES (1, 'a')");
    assert_eq!(changes(&mut feed, 1).await, [key("1")]);
    db.psql(&format!(
        "INSERT INTO texts VALUES (2, 'a'), (3, {long}), (4, 'a')"
    ));
    let all = changes(&mut feed, 3).await;
    assert_eq!(all, [key("2"), Change::All, key("4")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_table_that_changes_its_shape_is_followed_or_refused() {
    let db = Database::new(PLAYERS);
    let mut feed = db.feed(&[table("players", "{id}")]);
    open(&mut feed).await;
    db.psql("INSERT INTO players VALUES (1)");
    assert_eq!(changes(&mut feed, 1).await, [key("1")]);
    // Columns outside of the key are added and dropped.
    db.psql("ALTER TABLE players DROP name, ADD more text; INSERT INTO players VALUES (2)");
    assert_eq!(changes(&mut feed, 1).await, [key("2")]);
    db.psql("ALTER TABLE players RENAME id TO number; INSERT INTO players VALUES (3)");
    let error = support::within(feed.next()).await.unwrap_err().to_string();
    assert!(error.contains("no column \"id\""), "{error}");
    let error = support::open_error(&mut feed).await.to_string();
    assert!(error.contains("no column \"id\""), "{error}");
    // Once the options fit again, nothing is missing.
    let mut feed = db.feed(&[table("players", "{number}")]);
    assert_eq!(open(&mut feed).await, Opened::Complete);
    assert_eq!(changes(&mut feed, 1).await, [key("3")]);
    db.psql("ALTER TABLE players RENAME TO people; INSERT INTO people VALUES (4)");
    // The rename is seen in the changes, or before that where the publication is looked at.
    let error = support::within(feed.next()).await.unwrap_err().to_string();
    let by_change = error.contains("is called public.people now");
    let by_look = error.contains("the publication gaggle was changed");
    assert!(by_change || by_look, "{error}");
    let error = support::open_error(&mut feed).await.to_string();
    assert!(error.contains("there is no table"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_table_that_takes_the_others_name_changes_everything() {
    let db = Database::new(
        "CREATE TABLE players (id int PRIMARY KEY);
         CREATE PUBLICATION gaggle FOR ALL TABLES;",
    );
    let mut feed = db.feed(&[table("players", "{id}")]);
    open(&mut feed).await;
    db.psql(
        "CREATE TABLE other (id int PRIMARY KEY);
         BEGIN; DROP TABLE players; ALTER TABLE other RENAME TO players; COMMIT;
         INSERT INTO players VALUES (1)",
    );
    assert_eq!(changes(&mut feed, 2).await, [Change::All, key("1")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_value_is_what_a_query_reads() {
    for (kind, value) in [
        ("bool", "true"),
        ("bool", "false"),
        ("inet", "10.0.0.1"),
        ("inet", "10.0.0.0/8"),
        ("inet", "::1"),
        ("cidr", "10.0.0.0/8"),
        ("char(4)", "ab"),
        ("padded", "ab"),
        ("text", "ab  "),
        ("timestamptz", "2026-01-02 03:04:05+00"),
        ("jsonb", "{\"a\": 1}"),
        ("xml", "<a/>"),
        ("\"char\"", "x"),
        ("macaddr", "08:00:2b:01:02:03"),
    ] {
        let db = Database::new(&format!(
            "CREATE DOMAIN padded AS char(4);
             CREATE TABLE t (id int PRIMARY KEY, value {kind});
             CREATE PUBLICATION gaggle FOR TABLE t;"
        ));
        let mut feed = db.feed(&[table("t", "{id}").with_payload("value")]);
        open(&mut feed).await;
        db.psql(&format!("INSERT INTO t VALUES (1, '{value}')"));
        // Without psql's own handling of blanks.
        let read = db.psql("SET TimeZone = 'UTC'; SELECT '<' || value::text || '>' FROM t");
        let read = read.strip_prefix('<').and_then(|r| r.strip_suffix('>'));
        assert_eq!(
            changes(&mut feed, 1).await,
            [put("1", read.unwrap())],
            "{kind}"
        );
        feed.close().await;
    }
}
