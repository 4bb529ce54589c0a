//! How long changes take, and how much of a large transaction is held. Prints figures; run with
//! `--release --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gaggle_follow::{Change, Feed};
use support::{Database, open, table, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn from_commit_to_next() {
    const COMMITS: usize = 5000;
    let db = Database::new(
        "CREATE TABLE t (id int PRIMARY KEY, at float8);
         CREATE PUBLICATION gaggle FOR TABLE t;",
    );
    let mut feed = db.feed(&[table("t", "{id}").with_payload("at")]);
    open(&mut feed).await;
    let (server, name) = (db.server, db.name.clone());
    let writer = tokio::task::spawn_blocking(move || {
        // The time is that of just before the commit.
        server.psql_in(
            &name,
            &format!(
                // Only what was flushed is decoded, which takes a while without this.
                "SET synchronous_commit = on;
                 DO $$ BEGIN FOR i IN 1..{COMMITS} LOOP
                   PERFORM pg_sleep(0.0009);
                   INSERT INTO t VALUES (i, extract(epoch FROM clock_timestamp()));
                   COMMIT; END LOOP; END $$"
            ),
        )
    });
    let begun = Instant::now();
    let mut took = Vec::new();
    while took.len() < COMMITS {
        let batch = within(feed.next()).await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        for change in batch.changes {
            let Change::Put(_, at) = change else {
                panic!("{change:?}");
            };
            let at: f64 = std::str::from_utf8(&at).unwrap().parse().unwrap();
            took.push(now.saturating_sub(Duration::from_secs_f64(at)));
        }
        if let Some(position) = batch.position {
            feed.confirm(position).await.unwrap();
        }
    }
    let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
    writer.await.unwrap();
    took.sort();
    println!(
        "commit to next at {rate:.0} commits/s: p50 {:?}, p99 {:?}, max {:?}",
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took.last().unwrap()
    );
    feed.close().await;
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().split(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: deploy/databases/install"]
async fn a_large_transaction() {
    for rows in [100_000, 1_000_000] {
        let db = Database::new(
            "CREATE TABLE t (id int PRIMARY KEY, value text);
             CREATE PUBLICATION gaggle FOR TABLE t;",
        );
        let mut feed = db.feed(&[table("t", "player:{id}")]);
        open(&mut feed).await;
        let before = peak();
        db.psql(&format!(
            "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, {rows}) i"
        ));
        let begun = Instant::now();
        let (mut count, mut batches, mut longest) = (0, 0, 0);
        let mut position = None;
        while count < rows || position.is_none() {
            let batch = within(feed.next()).await.unwrap();
            count += batch.changes.len();
            batches += 1;
            longest = longest.max(batch.changes.len());
            position = batch.position;
        }
        println!(
            "{rows} rows: {:?} in {batches} batches of up to {longest}; peak memory {before} KiB before, {} KiB after",
            begun.elapsed(),
            peak()
        );
        assert_eq!(count, rows);
        feed.confirm(position.unwrap()).await.unwrap();
        feed.close().await;
    }
}
