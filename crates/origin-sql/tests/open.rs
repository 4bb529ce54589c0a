//! Configurations that are refused at start.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use gaggle_origin_sql::{OpenError, SqliteOptions, SqliteOrigin};
use support::{Database, load};

#[tokio::test]
async fn a_missing_or_foreign_file_is_an_error_that_names_it() {
    let database = Database::new().await;
    let missing = database.dir.path().join("missing.db");
    let text = database
        .refusal(SqliteOptions {
            path: missing.clone(),
            ..database.options()
        })
        .await;
    assert!(text.contains("unable to open"), "{text}");
    assert!(!missing.exists(), "it was created");

    let foreign = database.dir.path().join("foreign.db");
    std::fs::write(
        &foreign,
        "This is a text, and a long one, but not a database.".repeat(50),
    )
    .unwrap();
    let text = database
        .refusal(SqliteOptions {
            path: foreign,
            ..database.options()
        })
        .await;
    assert!(text.contains("not a database"), "{text}");

    // To SQLite these would be a new database in memory.
    for path in [":memory:", "", "file::memory:"] {
        let options = SqliteOptions {
            path: path.into(),
            ..database.options()
        };
        let error = SqliteOrigin::open(options).await.unwrap_err();
        assert!(matches!(error, OpenError::Open { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_query_that_cannot_be_used_is_an_error_at_open() {
    let mut database = Database::new().await;
    database
        .write("INSERT INTO scores VALUES ('Tom', 630)")
        .await;
    for (query, reason) in [
        ("", "0 parameters"),
        ("SELEC value FROM scores WHERE key = ?1", "syntax error"),
        ("SELECT value FROM nowhere WHERE key = ?1", "no such table"),
        ("SELECT score FROM scores WHERE key = ?1", "no such column"),
        ("SELECT value FROM scores", "0 parameters"),
        ("SELECT value FROM scores WHERE key = '?1'", "0 parameters"),
        ("SELECT value FROM scores WHERE key = ?2", "2 parameters"),
        (
            "SELECT value FROM scores WHERE key = ?1 AND value = ?2",
            "2 parameters",
        ),
        (
            "SELECT key, value, 60 FROM scores WHERE key = ?1",
            "3 columns",
        ),
        ("SELECT value FROM scores WHERE key = :key", ":key"),
        ("DELETE FROM scores WHERE key = ?1", "0 columns"),
        (
            "DELETE FROM scores WHERE key = ?1 RETURNING value",
            "single SELECT",
        ),
        (
            "SELECT 1; SELECT value FROM scores WHERE key = ?1",
            "single SELECT",
        ),
        (
            "SELECT value FROM scores WHERE key = ?1; DELETE FROM scores",
            "single SELECT",
        ),
    ] {
        // Writable, to show that the check refuses it, and not the read-only mode.
        let options = SqliteOptions {
            query: query.into(),
            read_only: false,
            ..database.options()
        };
        let text = database.refusal(options).await;
        assert!(text.contains(reason), "{query}: {text}");
    }
    assert_eq!(
        load(&database.open().await, "Tom").await.unwrap().unwrap(),
        "630"
    );
}

#[tokio::test]
async fn a_pool_without_connections_is_refused() {
    let database = Database::new().await;
    let text = database
        .refusal(SqliteOptions {
            max_connections: 0,
            ..database.options()
        })
        .await;
    assert!(text.contains("max_connections"), "{text}");
}
