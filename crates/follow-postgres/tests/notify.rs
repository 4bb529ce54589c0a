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
async fn the_printed_triggers_report_each_change() {
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

    // Whatever format of times the writer's session has.
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

    // Longer than a payload can be; no key at all; and one that can be reported.
    db.psql("INSERT INTO plain VALUES (repeat('x', 8000)), (NULL), (repeat('y', 7999))");
    let longest = "y".repeat(7999);
    assert_eq!(told(&mut feed, 2).await, [Change::All, key(&longest)]);
    db.psql("BEGIN; INSERT INTO plain VALUES ('no'); ROLLBACK; INSERT INTO plain VALUES ('yes')");
    assert_eq!(told(&mut feed, 1).await, [key("yes")]);
    feed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn many_notices_arrive_in_parts() {
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
    // Checks are answered, even if `next` is not called for as long as an answer may take.
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_key_is_the_same_by_notice_and_by_replication() {
    let db = Database::new(
        r"CREATE DOMAIN code AS char(6);
         CREATE DOMAIN short_code AS code;
         CREATE DOMAIN bits AS bytea;
         CREATE TABLE t (yes bool, host inet, net cidr, c char(4), d short_code, text text, at timestamptz, n int,
           PRIMARY KEY (yes, host, net, c, d, text, at));
         CREATE TABLE b (id bits PRIMARY KEY);
         CREATE PUBLICATION gaggle FOR TABLE t, b;",
    );
    let all = "{yes} {host} {net} {c}|{d}|{text}|{at}";
    let notices = options(db.url(), &[table("t", all)]);
    db.psql(&notify_sql(&notices, "scores").unwrap());
    let mut notices = NotifyFeed::new(notices, "scores").unwrap();
    let mut replication = db.feed(&[table("t", all), table("b", "{id}")]);
    open(&mut notices).await;
    open(&mut replication).await;
    db.psql("INSERT INTO t VALUES (true, '10.0.0.1', '10.0.0.0/8', 'ab', 'cd', 'ef  ', '2026-01-02 03:04:05+00')");
    let expected = key("t 10.0.0.1 10.0.0.0/8 ab|cd|ef  |2026-01-02 03:04:05+00");
    assert_eq!(told(&mut notices, 1).await, std::slice::from_ref(&expected));
    assert_eq!(
        take(&mut replication, 1).await.changes,
        std::slice::from_ref(&expected)
    );
    db.psql("UPDATE t SET yes = false, host = '::1/64'");
    let after = key("f ::1/64 10.0.0.0/8 ab|cd|ef  |2026-01-02 03:04:05+00");
    let both = [expected, after];
    assert_eq!(told(&mut notices, 2).await, both);
    assert_eq!(take(&mut replication, 2).await.changes, both);
    db.psql(r"INSERT INTO b VALUES ('\x6b6c')");
    assert_eq!(take(&mut replication, 1).await.changes, [key("kl")]);
    notices.close().await;
    replication.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn triggers_of_two_groups_do_not_replace_each_other() {
    let db = Database::new("CREATE TABLE data_items (id int); CREATE TABLE items (id int);");
    let mut feeds = Vec::new();
    for (channel, name) in [("user", "data_items"), ("user_data", "items")] {
        let options = NotifyOptions {
            channel: channel.into(),
            ..options(db.url(), &[table(name, &format!("{name}:{{id}}"))])
        };
        db.psql(&notify_sql(&options, "scores").unwrap());
        let mut feed = NotifyFeed::new(options, "scores").unwrap();
        open(&mut feed).await;
        feeds.push((feed, name));
    }
    db.psql("INSERT INTO data_items VALUES (1); INSERT INTO items VALUES (1)");
    for (feed, name) in &mut feeds {
        assert_eq!(told(feed, 1).await, [key(&format!("{name}:1"))]);
    }
}
