//! Databases in WAL mode in directories where nothing can be written.
//!
//! Permissions do not bind root, and tests may run as root. A symbolic link in the place of the
//! `-shm` file has the same effect for any user: SQLite follows no link there, and so can neither
//! open nor create the file.
#![cfg(unix)]
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::Duration;

use gaggle_origin_sql::{SqliteOptions, SqliteOrigin};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use support::{QUERY, load};
use tempfile::TempDir;

/// A folder with a database in WAL mode that has no `-wal` and `-shm` files.
struct Site {
    dir: TempDir,
}

impl Site {
    async fn new() -> Self {
        let site = Self {
            dir: TempDir::new().unwrap(),
        };
        let mut writer = site.writer().await;
        writer
            .execute("CREATE TABLE scores (key TEXT PRIMARY KEY, value)")
            .await
            .unwrap();
        writer
            .execute("INSERT INTO scores VALUES ('Tom', 630)")
            .await
            .unwrap();
        writer.close().await.unwrap();
        site
    }

    async fn writer(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path());
        let options = options.create_if_missing(true);
        let options = options.journal_mode(SqliteJournalMode::Wal);
        options.connect().await.unwrap()
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("scores.db")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        self.dir.path().join(format!("scores.db{suffix}"))
    }

    /// Makes the folder one in which SQLite can write nothing.
    fn close(&self) {
        fs::set_permissions(self.dir.path(), Permissions::from_mode(0o555)).unwrap();
        // Succeeds only for a user whom permissions do not bind.
        let _bound = symlink("nowhere", self.beside("-shm"));
    }

    fn reopen(&self) {
        fs::set_permissions(self.dir.path(), Permissions::from_mode(0o755)).unwrap();
        if self.beside("-shm").is_symlink() {
            fs::remove_file(self.beside("-shm")).unwrap();
        }
    }

    fn options(&self) -> SqliteOptions {
        SqliteOptions {
            path: self.path(),
            query: QUERY.into(),
            acquire_timeout: Duration::from_secs(30),
            ..SqliteOptions::default()
        }
    }

    async fn refusal(&self, options: SqliteOptions) -> String {
        let refusal = SqliteOrigin::open(options).await.unwrap_err().to_string();
        assert!(refusal.contains(&self.path().display().to_string()));
        refusal
    }
}

async fn a_second_later() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
}

async fn tom(origin: &SqliteOrigin) -> Vec<u8> {
    load(origin, "Tom").await.unwrap().unwrap().to_vec()
}

#[tokio::test]
async fn a_database_in_wal_mode_opens_where_nothing_can_be_written() {
    let site = Site::new().await;
    site.close();
    let origin = SqliteOrigin::open(site.options()).await.unwrap();
    assert_eq!(tom(&origin).await, b"630");

    // A writer's changes are noticed, though no lock announces them.
    site.reopen();
    let mut writer = site.writer().await;
    writer
        .execute("UPDATE scores SET value = 629")
        .await
        .unwrap();
    writer.close().await.unwrap();
    site.close();
    a_second_later().await;
    assert_eq!(tom(&origin).await, b"629");
    site.reopen();
}

#[tokio::test]
async fn a_writer_that_comes_is_followed() {
    let site = Site::new().await;
    site.close();
    let origin = SqliteOrigin::open(site.options()).await.unwrap();
    site.reopen();
    let mut writer = site.writer().await;
    writer
        .execute("UPDATE scores SET value = 629")
        .await
        .unwrap();
    a_second_later().await;
    assert_eq!(tom(&origin).await, b"629");
    // Through the log, and therefore at once.
    writer
        .execute("UPDATE scores SET value = 628")
        .await
        .unwrap();
    assert_eq!(tom(&origin).await, b"628");
}

#[tokio::test]
async fn changes_that_would_be_passed_over_are_an_error_that_names_the_cause() {
    let site = Site::new().await;
    let mut writer = site.writer().await;
    writer
        .execute("UPDATE scores SET value = 629")
        .await
        .unwrap();
    // As after a crash: a log with changes, without its index.
    let log = fs::read(site.beside("-wal")).unwrap();
    assert!(!log.is_empty());
    writer.close().await.unwrap();
    fs::write(site.beside("-wal"), log).unwrap();
    site.close();
    let refusal = site.refusal(site.options()).await;
    for part in ["WAL mode", "-wal", "changes", "directory writable"] {
        assert!(refusal.contains(part), "{part}: {refusal}");
    }
    site.reopen();
}

#[tokio::test]
async fn one_that_is_to_be_written_to_is_an_error_that_names_the_cause() {
    let site = Site::new().await;
    site.close();
    let options = SqliteOptions {
        read_only: false,
        ..site.options()
    };
    let refusal = site.refusal(options).await;
    for part in ["WAL mode", "for reading only"] {
        assert!(refusal.contains(part), "{part}: {refusal}");
    }
    site.reopen();
}
