//! A server that tests share, and feeds of it.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gaggle_follow::{Batch, Change, Feed, FeedError, Opened};
use gaggle_follow_postgres::{ReplicationFeed, ReplicationOptions, TableMap};
use gaggle_testservers::{Postgres, PostgresOptions};

pub(crate) mod proxy;

/// The longest wait before a test fails.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

pub(crate) fn logical(settings: &[(&str, &str)]) -> Postgres {
    let settings = settings.iter().map(|(n, v)| ((*n).into(), (*v).into()));
    Postgres::start(PostgresOptions {
        wal_level_logical: true,
        settings: settings.collect(),
        ..PostgresOptions::default()
    })
}

/// A database of a server that all tests of a file share.
pub(crate) struct Database {
    pub(crate) server: &'static Postgres,
    pub(crate) name: String,
}

impl Database {
    /// A new one, with these statements run in it.
    pub(crate) fn new(sql: &str) -> Self {
        static SERVER: OnceLock<Postgres> = OnceLock::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = SERVER.get_or_init(|| {
            logical(&[
                ("max_replication_slots", "64"),
                ("max_wal_senders", "64"),
                ("wal_sender_timeout", "2s"),
            ])
        });
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        server.psql(&format!("CREATE DATABASE {name}"));
        let database = Self { server, name };
        database.psql(sql);
        database
    }

    pub(crate) fn psql(&self, sql: &str) -> String {
        self.server.psql_in(&self.name, sql)
    }

    pub(crate) fn url(&self) -> String {
        self.server.url_of(&self.name)
    }

    /// For a publication `gaggle`, and a slot with the database's name.
    pub(crate) fn options(&self, tables: &[TableMap]) -> ReplicationOptions {
        ReplicationOptions {
            slot: self.name.clone(),
            ..options(self.url(), tables)
        }
    }

    pub(crate) fn feed(&self, tables: &[TableMap]) -> ReplicationFeed {
        ReplicationFeed::new(self.options(tables), "scores").unwrap()
    }

    /// As far as the server knows.
    pub(crate) fn confirmed(&self) -> u64 {
        let confirmed = self.psql(&format!(
            "SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE slot_name = '{}'",
            self.name
        ));
        confirmed.parse().unwrap()
    }
}

pub(crate) fn options(url: String, tables: &[TableMap]) -> ReplicationOptions {
    ReplicationOptions {
        url,
        tables: tables.to_vec(),
        publication: "gaggle".into(),
        status_interval: Duration::from_millis(200),
        ..ReplicationOptions::default()
    }
}

pub(crate) fn table(name: &str, key: &str) -> TableMap {
    TableMap::new(name, key)
}

pub(crate) fn key(key: &str) -> Change {
    Change::Key(Bytes::copy_from_slice(key.as_bytes()))
}

pub(crate) fn put(key: &str, value: impl AsRef<[u8]>) -> Change {
    let key = Bytes::copy_from_slice(key.as_bytes());
    Change::Put(key, Bytes::copy_from_slice(value.as_ref()))
}

/// The result of a future that has to be ready within the bound.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, what).await.expect("in time")
}

pub(crate) async fn open(feed: &mut impl Feed) -> Opened {
    within(feed.open()).await.expect("opened")
}

/// Opens, and confirms that nothing is missing.
pub(crate) async fn begin(feed: &mut impl Feed) {
    open(feed).await;
    let batch = within(feed.next()).await.expect("a position");
    assert_eq!(batch.changes, []);
    feed.confirm(batch.position.unwrap()).await.unwrap();
}

/// Opens as often as it takes, as the runner does.
pub(crate) async fn open_at_last(feed: &mut impl Feed) -> Opened {
    let end = Instant::now() + BOUND;
    loop {
        match within(feed.open()).await {
            Ok(opened) => return opened,
            Err(error) if Instant::now() > end => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

pub(crate) async fn open_error(feed: &mut impl Feed) -> FeedError {
    within(feed.open()).await.expect_err("no error")
}

/// Reads batches until there are that many changes; returns all of them, and the last position.
pub(crate) async fn take(feed: &mut impl Feed, count: usize) -> Batch {
    let mut all = Batch::default();
    while all.changes.len() < count {
        let batch = within(feed.next()).await.expect("changes");
        all.changes.extend(batch.changes);
        all.position = batch.position;
        all.age = all.age.max(batch.age);
    }
    all
}

/// So many changes, and the end of their transaction.
pub(crate) async fn complete(feed: &mut impl Feed, count: usize) -> Batch {
    let mut batch = take(feed, count).await;
    // The end can arrive after the last change.
    while batch.position.is_none() {
        let more = within(feed.next()).await.expect("the end");
        batch.changes.extend(more.changes);
        batch.position = more.position;
    }
    batch
}

/// So many changes, confirmed.
pub(crate) async fn changes(feed: &mut impl Feed, count: usize) -> Vec<Change> {
    let batch = complete(feed, count).await;
    feed.confirm(batch.position.unwrap()).await.unwrap();
    batch.changes
}

/// Checks repeatedly until the condition holds.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + BOUND;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
