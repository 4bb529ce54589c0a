//! A database for tests, and loads from it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::PathBuf;

use bytes::Bytes;
use gaggle_group::{Content, Key, Load, Origin, OriginError};
use gaggle_origin_sql::{SqliteOptions, SqliteOrigin};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Executor as _};
use tempfile::TempDir;

pub(crate) const QUERY: &str = "SELECT value FROM scores WHERE key = ?1";
pub(crate) const LIMIT: u64 = 1 << 20;

/// A database file, and a connection that may write to it.
pub(crate) struct Database {
    pub(crate) dir: TempDir,
    pub(crate) writer: SqliteConnection,
}

impl Database {
    pub(crate) async fn new() -> Self {
        Self::encoded("UTF-8").await
    }

    pub(crate) async fn encoded(encoding: &'static str) -> Self {
        let dir = TempDir::new().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(dir.path().join("scores.db"))
            .create_if_missing(true)
            .pragma("encoding", format!("'{encoding}'"));
        let mut writer = options.connect().await.unwrap();
        writer
            .execute("CREATE TABLE scores (key TEXT PRIMARY KEY, value)")
            .await
            .unwrap();
        Self { dir, writer }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("scores.db")
    }

    pub(crate) fn options(&self) -> SqliteOptions {
        SqliteOptions {
            path: self.path(),
            query: QUERY.into(),
            ..SqliteOptions::default()
        }
    }

    pub(crate) async fn open(&self) -> SqliteOrigin {
        SqliteOrigin::open(self.options()).await.unwrap()
    }

    pub(crate) async fn write(&mut self, sql: &'static str) {
        self.writer.execute(sql).await.unwrap();
    }

    pub(crate) async fn insert(&mut self, key: &str, value: &[u8]) {
        let insert = sqlx::query("INSERT INTO scores VALUES (?1, ?2)");
        insert
            .bind(key)
            .bind(value)
            .execute(&mut self.writer)
            .await
            .unwrap();
    }

    /// Why the options cannot be opened, with the check that the text names the file.
    pub(crate) async fn refusal(&self, options: SqliteOptions) -> String {
        let path = options.path.display().to_string();
        let text = SqliteOrigin::open(options).await.unwrap_err().to_string();
        assert!(text.contains(&path), "{text}");
        text
    }
}

pub(crate) async fn load(
    origin: &SqliteOrigin,
    key: impl AsRef<[u8]>,
) -> Result<Option<Bytes>, OriginError> {
    let key = Key::copy_from_slice(key.as_ref());
    match origin.load(Load::new(&key, LIMIT)).await?.content {
        Content::Value(value) => Ok(Some(value)),
        Content::Absent => Ok(None),
        other => panic!("{other:?}"),
    }
}
