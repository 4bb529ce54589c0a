//! A database that is replaced, removed, and restored.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use gaggle_group::{ByteBudget, Content, Key, Load, Origin, OriginError, OriginFault};
use gaggle_origin_sql::{SqliteOptions, SqliteOrigin};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _};
use support::{LIMIT, QUERY, load};
use tempfile::TempDir;

/// How long a test waits for an expected event.
const BOUND: Duration = Duration::from_secs(30);

/// A database in which `Tom` has this value.
async fn write(path: &Path, value: &[u8]) {
    write_in(SqliteJournalMode::Delete, path, value).await;
}

async fn write_in(mode: SqliteJournalMode, path: &Path, value: &[u8]) {
    let options = SqliteConnectOptions::new().filename(path);
    let options = options.journal_mode(mode);
    let mut writer = options.create_if_missing(true).connect().await.unwrap();
    for sql in [
        "CREATE TABLE scores (key TEXT PRIMARY KEY, value)",
        "INSERT INTO scores VALUES ('Tom', ?1)",
    ] {
        let query = sqlx::query(sql);
        let query = if sql.contains('?') {
            query.bind(value)
        } else {
            query
        };
        query.execute(&mut writer).await.unwrap();
    }
    writer.close().await.unwrap();
}

/// A folder with the database `scores.db`.
struct Site {
    dir: TempDir,
    origin: SqliteOrigin,
}

impl Site {
    async fn new(value: &[u8]) -> Self {
        Self::in_mode(SqliteJournalMode::Delete, value).await
    }

    async fn in_mode(mode: SqliteJournalMode, value: &[u8]) -> Self {
        let dir = TempDir::new().unwrap();
        write_in(mode, &dir.path().join("scores.db"), value).await;
        let origin = open(&dir.path().join("scores.db")).await;
        Self { dir, origin }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("scores.db")
    }

    /// Renames another database over it.
    async fn replace(&self, value: &[u8]) {
        self.replace_in(SqliteJournalMode::Delete, value).await;
    }

    async fn replace_in(&self, mode: SqliteJournalMode, value: &[u8]) {
        let new = self.dir.path().join("new.db");
        write_in(mode, &new, value).await;
        std::fs::rename(new, self.path()).unwrap();
    }

    /// Why a load fails.
    async fn failure(&self) -> OriginError {
        let failure = load(&self.origin, "Tom").await.unwrap_err();
        let path = self.path().display().to_string();
        assert!(failure.to_string().contains(&path), "{failure}");
        failure
    }
}

async fn open(path: &Path) -> SqliteOrigin {
    let options = SqliteOptions {
        path: path.to_owned(),
        query: QUERY.into(),
        acquire_timeout: BOUND,
        ..SqliteOptions::default()
    };
    SqliteOrigin::open(options).await.unwrap()
}

/// Lets a second pass at once, and no more than that.
async fn a_second_later() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
}

async fn tom(origin: &SqliteOrigin) -> Vec<u8> {
    load(origin, "Tom").await.unwrap().unwrap().to_vec()
}

#[tokio::test]
async fn a_database_that_is_replaced_under_load_is_followed_and_no_load_fails() {
    replace_under_load(SqliteJournalMode::Delete).await;
}

#[tokio::test]
async fn so_is_one_in_wal_mode() {
    replace_under_load(SqliteJournalMode::Wal).await;
}

async fn replace_under_load(mode: SqliteJournalMode) {
    let site = Site::in_mode(mode, b"old").await;
    let over = Arc::new(AtomicBool::new(false));
    let loaders: Vec<_> = (0..16)
        .map(|_| {
            let (origin, over) = (site.origin.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut loads = 0;
                while !over.load(Relaxed) {
                    let value = tom(&origin).await;
                    assert!(value == b"old" || value == b"new", "{value:?}");
                    loads += 1;
                }
                (loads, tom(&origin).await)
            })
        })
        .collect();
    for _ in 0..100 {
        assert_eq!(tom(&site.origin).await, b"old");
    }
    site.replace_in(mode, b"new").await;
    a_second_later().await;
    assert_eq!(tom(&site.origin).await, b"new");
    over.store(true, Relaxed);
    for loader in loaders {
        let (loads, last) = loader.await.unwrap();
        assert!(loads > 0);
        assert_eq!(last, b"new");
    }
}

#[tokio::test]
async fn a_load_that_has_begun_ends_on_the_old_database() {
    const LEN: usize = 100_000;
    let site = Site::new(&[b'o'; LEN]).await;
    let budget = Arc::new(ByteBudget::new(LEN as u64, Duration::from_secs(3_600)));
    let full = budget.try_reserve(LEN as u64).unwrap();
    let begun = tokio::spawn({
        let (origin, budget) = (site.origin.clone(), Arc::clone(&budget));
        async move {
            let key = Key::from("Tom");
            let load = Load::new(&key, LIMIT).within(&budget);
            origin.load(load).await.unwrap().content
        }
    });
    while budget.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    site.replace(b"new").await;
    a_second_later().await;
    assert_eq!(tom(&site.origin).await, b"new");
    drop(full);
    let found = begun.await.unwrap();
    assert_eq!(found, Content::Value(vec![b'o'; LEN].into()));
}

#[tokio::test]
async fn a_database_that_is_gone_is_a_failure_until_it_is_back() {
    let site = Site::new(b"old").await;
    for value in [b"one", b"two"] {
        std::fs::remove_file(site.path()).unwrap();
        a_second_later().await;
        for _ in 0..2 {
            let failure = site.failure().await;
            assert_eq!(failure.fault(), OriginFault::Unreachable, "{failure}");
        }
        write(&site.path(), value).await;
        a_second_later().await;
        assert_eq!(tom(&site.origin).await, value);
    }
    // Moved away and back, it is the same file.
    let aside = site.dir.path().join("aside.db");
    std::fs::rename(site.path(), &aside).unwrap();
    a_second_later().await;
    site.failure().await;
    std::fs::rename(&aside, site.path()).unwrap();
    a_second_later().await;
    assert_eq!(tom(&site.origin).await, b"two");
}

#[tokio::test]
async fn a_replacement_that_cannot_be_used_is_a_failure_that_says_why() {
    let site = Site::new(b"old").await;
    for (content, fault, reason) in [
        (
            "A text, and not a database. ".repeat(100),
            OriginFault::Unusable,
            "not a database",
        ),
        (String::new(), OriginFault::Unusable, "no such table"),
    ] {
        let new = site.dir.path().join("new.db");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(&new, site.path()).unwrap();
        a_second_later().await;
        let failure = site.failure().await;
        assert!(failure.to_string().contains(reason), "{failure}");
        assert_eq!(failure.fault(), fault);
    }
    site.replace(b"new").await;
    a_second_later().await;
    assert_eq!(tom(&site.origin).await, b"new");
}

#[tokio::test]
async fn a_dropped_load_leaves_the_check_to_others() {
    let site = Site::new(b"old").await;
    site.replace(b"new").await;
    a_second_later().await;
    let key = Key::from("Tom");
    let mut dropped = site.origin.load(Load::new(&key, LIMIT));
    // Polled once, it begins the check.
    let pending =
        std::future::poll_fn(|cx| std::task::Poll::Ready(dropped.as_mut().poll(cx).is_pending()));
    assert!(pending.await);
    drop(dropped);
    assert_eq!(tom(&site.origin).await, b"new");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_is_changed_to_another_database_is_followed() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    write(&at("v1.db"), b"one").await;
    write(&at("v2.db"), b"two").await;
    std::os::unix::fs::symlink("v1.db", at("current.db")).unwrap();
    let origin = open(&at("current.db")).await;
    assert_eq!(tom(&origin).await, b"one");
    std::os::unix::fs::symlink("v2.db", at("next.db")).unwrap();
    std::fs::rename(at("next.db"), at("current.db")).unwrap();
    a_second_later().await;
    assert_eq!(tom(&origin).await, b"two");
}
