//! The meaning of the second column, and invalid values of it.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use gaggle_group::{Content, Hint, Key, Load, Loaded, Metadata, Origin, OriginError};
use gaggle_origin_sql::{KeyType, SqliteOptions, SqliteOrigin};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{ConnectOptions as _, Executor as _};

const QUERY: &str = "SELECT value, fresh_for FROM scores WHERE key = ?1";
const LONGEST: Duration = Duration::from_secs((1 << 31) - 1);

/// A database in memory whose column of seconds is declared `INTEGER`, which holds a text that is
/// no number as it is.
async fn database(rows: &'static str) -> SqlitePool {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    pool.execute("CREATE TABLE scores (key TEXT PRIMARY KEY, value, fresh_for INTEGER)")
        .await
        .unwrap();
    pool.execute(rows).await.unwrap();
    pool
}

async fn origin(pool: &SqlitePool, query: &str) -> SqliteOrigin {
    SqliteOrigin::from_pool(pool.clone(), query, KeyType::Text)
        .await
        .unwrap()
}

async fn load(origin: &SqliteOrigin, key: &'static str) -> Result<Loaded, OriginError> {
    origin.load(Load::new(&Key::from(key), 100)).await
}

#[tokio::test]
async fn a_number_is_so_many_seconds() {
    let pool = database(
        "INSERT INTO scores VALUES ('whole', 1, 60), ('part', 1, 0.25), ('null', 1, NULL),
         ('zero', 1, 0), ('no part', 1, -0.5), ('negative', 1, -9223372036854775808),
         ('long', 1, 9223372036854775807), ('longer', 1, 9e999), ('digits', 1, '60')",
    )
    .await;
    let origin = origin(&pool, QUERY).await;
    for (key, hint) in [
        ("whole", Hint::ttl(Duration::from_secs(60))),
        ("part", Hint::ttl(Duration::from_millis(250))),
        ("null", Hint::default()),
        ("zero", Hint::none()),
        ("no part", Hint::none()),
        ("negative", Hint::none()),
        ("long", Hint::ttl(LONGEST)),
        ("longer", Hint::ttl(LONGEST)),
        // SQLite itself made a number of it when it was stored.
        ("digits", Hint::ttl(Duration::from_secs(60))),
    ] {
        let loaded = load(&origin, key).await.unwrap();
        assert_eq!(loaded, Loaded::value("1").with_freshness(hint), "{key}");
    }
}

#[tokio::test]
async fn an_absence_is_fresh_for_as_long_as_its_row_says() {
    let pool = database("INSERT INTO scores VALUES ('Tom', NULL, 60), ('Kesa', NULL, 0)").await;
    let origin = origin(&pool, QUERY).await;
    let minute = Hint::ttl(Duration::from_secs(60));
    let absent = |hint| Loaded::absent().with_freshness(hint);
    assert_eq!(load(&origin, "Tom").await.unwrap(), absent(minute));
    assert_eq!(load(&origin, "Kesa").await.unwrap(), absent(Hint::none()));
    assert_eq!(load(&origin, "nobody").await.unwrap(), Loaded::absent());
}

#[tokio::test]
async fn a_text_or_a_blob_is_a_failure_that_names_the_column() {
    let pool = database(
        "INSERT INTO scores VALUES ('text', 1, 'soon'), ('blob', 1, x'3630'), ('empty', 1, ''),
         ('absent', NULL, 'soon')",
    )
    .await;
    let origin = origin(&pool, QUERY).await;
    for (key, what) in [
        ("text", "text"),
        ("blob", "blob"),
        ("empty", "text"),
        ("absent", "text"),
    ] {
        let OriginError::Failed(error) = load(&origin, key).await.unwrap_err() else {
            panic!("{key} is no failure");
        };
        let text = error.to_string();
        assert!(text.contains("\"fresh_for\""), "{text}");
        assert!(text.contains(&format!("a {what}")), "{text}");
        assert!(!text.contains("soon"), "{text}");
    }
}

#[tokio::test]
async fn an_expression_is_a_column_like_any_other() {
    let pool = database("INSERT INTO scores VALUES ('Tom', 630, 60)").await;
    for (expression, hint) in [
        ("fresh_for * 2", Hint::ttl(Duration::from_secs(120))),
        ("fresh_for / 8.0", Hint::ttl(Duration::from_millis(7_500))),
        ("1 = 1", Hint::ttl(Duration::from_secs(1))),
        ("NULL", Hint::default()),
    ] {
        let query = format!("SELECT value, {expression} FROM scores WHERE key = ?1");
        let loaded = load(&origin(&pool, &query).await, "Tom").await.unwrap();
        assert_eq!(loaded.freshness, hint, "{expression}");
        assert_eq!(loaded.content, Content::Value("630".into()));
    }
}

#[tokio::test]
async fn three_columns_are_refused_at_open() {
    let pool = database("INSERT INTO scores VALUES ('Tom', 630, 60)").await;
    let query = "SELECT value, fresh_for, key FROM scores WHERE key = ?1";
    let refused = SqliteOrigin::from_pool(pool.clone(), query, KeyType::Text).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("3 columns"), "{text}");
}

#[tokio::test]
async fn columns_that_are_added_later_are_a_failure_and_never_an_absence() {
    for (query, reason) in [
        (
            "SELECT * FROM scores WHERE ?1 = 'Tom'",
            "3 values for 2 columns",
        ),
        // A computed value is not measured, so that the driver has the row as it is.
        ("SELECT 630 + 0, * FROM fresh WHERE ?1 = 'Tom'", "3 columns"),
    ] {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("scores.db");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true);
        let mut writer = options.connect().await.unwrap();
        for sql in [
            "CREATE TABLE scores (value, fresh_for)",
            "CREATE TABLE fresh (fresh_for)",
            "INSERT INTO scores VALUES (630, 60)",
            "INSERT INTO fresh VALUES (60)",
        ] {
            writer.execute(sql).await.unwrap();
        }
        let options = SqliteOptions {
            path,
            query: query.to_owned(),
            max_connections: 1,
            ..SqliteOptions::default()
        };
        let origin = SqliteOrigin::open(options).await.unwrap();
        load(&origin, "Tom").await.unwrap();

        for sql in [
            "ALTER TABLE scores ADD COLUMN more",
            "ALTER TABLE fresh ADD COLUMN more",
        ] {
            writer.execute(sql).await.unwrap();
        }
        // The first may end the driver's thread. The next one has a new thread, which counts from
        // the start.
        load(&origin, "Tom").await.unwrap_err();
        let text = load(&origin, "Tom").await.unwrap_err().to_string();
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn what_is_known_of_a_stale_value_is_passed_over() {
    use gaggle_group::Field;

    let pool = database("INSERT INTO scores VALUES ('Tom', 630, NULL)").await;
    let origin = origin(&pool, QUERY).await;
    let (key, stale) = (
        Key::from("Tom"),
        Metadata::default().with(Field::ETag, "\"1\""),
    );
    let loaded = origin.load(Load::new(&key, 100).with_stale(&stale)).await;
    assert_eq!(loaded.unwrap(), Loaded::value("630"));
}
