//! LISTEN and NOTIFY.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::error::Error as _;
use std::time::Duration;

use gaggle_follow::{Change, Feed, Opened};
use gaggle_follow_postgres::{NotifyFeed, NotifyOptions, PostgresError, TableMap, notify_sql};
use gaggle_testservers::{Postgres, PostgresOptions};
use support::proxy::Proxy;
use support::{Database, key, open, open_at_last, table, take, within};

fn options(url: String, tables: &[TableMap]) -> NotifyOptions {
    NotifyOptions {
        url,
        tables: tables.to_vec(),
        check_interval: Duration::from_millis(100),
        ..NotifyOptions::default()
    }
}

async fn told(feed: &mut NotifyFeed, count: usize) -> Vec<Change> {
    take(feed, count).await.changes
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn the_printed_triggers_tell_each_change() {
    let db = Database::new(
        r#"CREATE SCHEMA "App";
         CREATE TYPE kind AS ENUM ('user', 'bot');
         CREATE TABLE "App"."It's ""all""" (id int, "K" kind, at timestamptz, c char(4), value text,
           PRIMARY KEY (id, "K"));
         CREATE TABLE plain (id text);"#,
    );
    let tables = [
        table("App.It's \"all\"", "it's {{{id}}}:{K}/{at}/{c}"),
        table("plain", "{id}"),
    ];
    let mut options = options(db.url(), &tables);
    options.channel = "Chan'nel".into();
    let sql = notify_sql(&options, "scores").unwrap();
    for _ in 0..2 {
        db.psql(&sql);
    }
    let mut feed = NotifyFeed::new(options, "scores").unwrap();
    assert!(matches!(open(&mut feed).await, Opened::Missed(_)));

    // Whatever the writer's session prints times like.
    db.psql(
        r#"SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo';
         INSERT INTO "App"."It's ""all""" VALUES (1, 'bot', '2026-01-02 03:04:05+00', 'ab')"#,
    );
    let first = key("it's {1}:bot/2026-01-02 03:04:05+00/ab");
    assert_eq!(told(&mut feed, 1).await, std::slice::from_ref(&first));
    db.psql(r#"UPDATE "App"."It's ""all""" SET value = 'x'"#);
    assert_eq!(told(&mut feed, 1).await, std::slice::from_ref(&first));
    db.psql(r#"UPDATE "App"."It's ""all""" SET id = 2"#);
    let second = key("it's {2}:bot/2026-01-02 03:04:05+00/ab");
    assert_eq!(told(&mut feed, 2).await, [first, second.clone()]);
    db.psql(r#"DELETE FROM "App"."It's ""all""""#);
    assert_eq!(told(&mut feed, 1).await, [second]);
    db.psql(r#"TRUNCATE "App"."It's ""all""""#);
    assert_eq!(told(&mut feed, 1).await, [Change::All]);

    // Longer than a payload can be; no key at all; and one that can be told.
    db.psql("INSERT INTO plain VALUES (repeat('x', 8000)), (NULL), (repeat('y', 7999))");
    let longest = "y".repeat(7999);
    assert_eq!(told(&mut feed, 2).await, [Change::All, key(&longest)]);
    db.psql("BEGIN; INSERT INTO plain VALUES ('no'); ROLLBACK; INSERT INTO plain VALUES ('yes')");
    assert_eq!(told(&mut feed, 1).await, [key("yes")]);
    feed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn many_notices_come_in_parts() {
    let db = Database::new("CREATE TABLE plain (id int)");
    let options = options(db.url(), &[table("plain", "{id}")]);
    db.psql(&notify_sql(&options, "scores").unwrap());
    let mut feed = NotifyFeed::new(options, "scores").unwrap();
    open(&mut feed).await;
    db.psql("INSERT INTO plain SELECT generate_series(1, 20000)");
    let mut all = Vec::new();
    while all.len() < 20_000 {
        // A wait that is given up loses nothing.
        let next = tokio::time::timeout(Duration::from_micros(50), feed.next());
        let batch = match next.await {
            Ok(batch) => batch.unwrap(),
            Err(_) => continue,
        };
        assert!(batch.changes.len() <= 1024 && batch.position.is_none());
        all.extend(batch.changes);
    }
    let expected: Vec<Change> = (1..=20_000).map(|id| key(&id.to_string())).collect();
    assert!(all == expected);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_new_connection_says_that_notices_were_missed() {
    let server = Postgres::start(PostgresOptions::default());
    let mut feed = NotifyFeed::new(options(server.url(), &[]), "scores").unwrap();
    open(&mut feed).await;
    assert_eq!(feed.channel(), "gaggle_scores");
    server.psql("NOTIFY gaggle_scores, 'a'; NOTIFY another, 'b'; NOTIFY gaggle_scores");
    assert_eq!(told(&mut feed, 2).await, [key("a"), Change::All]);
    server.restart();
    within(feed.next()).await.unwrap_err();
    assert!(matches!(open_at_last(&mut feed).await, Opened::Missed(_)));
    server.psql("NOTIFY gaggle_scores, 'c'");
    assert_eq!(told(&mut feed, 1).await, [key("c")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_server_that_is_gone_without_a_word_is_noticed() {
    let db = Database::new("");
    let way = Proxy::to(db.server.port()).await;
    let port = db.server.port().to_string();
    let url = db.url().replace(&port, &way.port.to_string());
    let options = NotifyOptions {
        check_timeout: Duration::from_millis(500),
        ..options(url, &[])
    };
    let mut feed = NotifyFeed::new(options, "scores").unwrap();
    open(&mut feed).await;
    // Checks are answered, also while nobody asks for as long as an answer may take.
    for _ in 0..2 {
        let idle = tokio::time::timeout(Duration::from_millis(1050), feed.next());
        idle.await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    way.freeze();
    let error = within(feed.next()).await.unwrap_err();
    let source = error.source().unwrap().downcast_ref();
    assert!(matches!(source, Some(PostgresError::Silent(_))), "{error}");
}
