//! What a SQLite file answers.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Content, Key, Load, Origin, OriginError};
use gaggle_origin_sql::{KeyType, OpenError, SqliteOptions, SqliteOrigin};
use sqlx::Executor as _;
use sqlx::sqlite::SqlitePoolOptions;
use support::{Database, QUERY, load};

#[tokio::test]
async fn every_type_of_column_has_its_bytes() {
    let mut database = Database::new().await;
    database
        .write(
            "INSERT INTO scores VALUES ('text', '分数'), ('blob', x'00ff0a'), ('integer', 630),
             ('negative', -9223372036854775808), ('real', 1.5), ('whole', 2.0), ('null', NULL),
             ('no text', ''), ('no blob', x''), ('nul', 'a' || char(0) || 'b')",
        )
        .await;
    let origin = database.open().await;
    let values: [(&str, Option<&[u8]>); 10] = [
        ("text", Some("分数".as_bytes())),
        ("blob", Some(b"\x00\xFF\n")),
        ("integer", Some(b"630")),
        ("negative", Some(b"-9223372036854775808")),
        ("real", Some(b"1.5")),
        ("whole", Some(b"2.0")),
        ("null", None),
        ("no text", Some(b"")),
        ("no blob", Some(b"")),
        ("nul", Some(b"a\0b")),
    ];
    for (key, value) in values {
        assert_eq!(load(&origin, key).await.unwrap().as_deref(), value, "{key}");
    }
    assert_eq!(load(&origin, "nobody").await.unwrap(), None);
}

#[tokio::test]
async fn any_key_is_bound_and_never_run() {
    let mut database = Database::new().await;
    let keys = [
        "张三",
        "a\0b",
        "a",
        "",
        "'; DROP TABLE scores; --",
        "\"",
        "%",
        "?1",
        "key",
    ];
    for (i, key) in keys.iter().enumerate() {
        database.insert(key, format!("value {i}").as_bytes()).await;
    }
    let origin = database.open().await;
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(
            load(&origin, key).await.unwrap().unwrap(),
            format!("value {i}"),
            "{key:?}"
        );
    }
    for key in [&b"\xFF"[..], b"a\0", b"' OR '1'='1", b"\xFF\0'"] {
        assert_eq!(load(&origin, key).await.unwrap(), None, "{key:?}");
    }
}

#[tokio::test]
async fn a_blob_column_takes_keys_as_blobs() {
    let mut database = Database::new().await;
    database
        .write("INSERT INTO scores VALUES (x'ff00', 'raw'), (x'546f6d', 'Tom')")
        .await;
    let text = database.open().await;
    let options = SqliteOptions {
        key_type: KeyType::Blob,
        ..database.options()
    };
    let blob = SqliteOrigin::open(options).await.unwrap();

    assert_eq!(load(&blob, b"\xFF\0").await.unwrap().unwrap(), "raw");
    assert_eq!(load(&blob, "Tom").await.unwrap().unwrap(), "Tom");
    // Not UTF-8, so a blob there too; but a text equals no blob.
    assert_eq!(load(&text, b"\xFF\0").await.unwrap().unwrap(), "raw");
    assert_eq!(load(&text, "Tom").await.unwrap(), None);
}

#[tokio::test]
async fn an_integer_key_column_is_found_by_its_digits() {
    let mut database = Database::new().await;
    database
        .write("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        .await;
    database.write("INSERT INTO users VALUES (42, 'Tom')").await;
    let query = "SELECT name FROM users WHERE id = ?1".into();
    let origin = SqliteOrigin::open(SqliteOptions {
        query,
        ..database.options()
    })
    .await
    .unwrap();
    assert_eq!(load(&origin, "42").await.unwrap().unwrap(), "Tom");
    assert_eq!(load(&origin, "Tom").await.unwrap(), None);
}

#[tokio::test]
async fn the_first_of_several_rows_is_the_value() {
    let mut database = Database::new().await;
    database
        .write("INSERT INTO scores VALUES ('a', 1), ('b', 2), ('c', 3)")
        .await;
    for end in ["", ";", " ;\n", " -- the best"] {
        let query = format!("SELECT value FROM scores WHERE key > ?1 ORDER BY value DESC{end}");
        let options = SqliteOptions {
            query,
            ..database.options()
        };
        let origin = SqliteOrigin::open(options).await.unwrap();
        assert_eq!(load(&origin, "a").await.unwrap().unwrap(), "3");
    }
}

#[tokio::test]
async fn a_change_shows_on_the_next_load() {
    let mut database = Database::new().await;
    let origin = database.open().await;
    assert_eq!(load(&origin, "Tom").await.unwrap(), None);
    database.insert("Tom", b"630").await;
    assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "630");
    database.write("UPDATE scores SET value = 631").await;
    assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "631");
}

#[tokio::test]
async fn the_limit_is_a_value_and_one_more_byte_is_too_large() {
    let mut database = Database::new().await;
    database.insert("v", &[7; 100]).await;
    database.insert("empty", b"").await;
    let origin = database.open().await;
    let key = Key::from("v");
    let found = origin.load(Load::new(&key, 100)).await.unwrap();
    assert_eq!(found.content, Content::Value(vec![7; 100].into()));
    let error = origin.load(Load::new(&key, 99)).await.unwrap_err();
    assert!(
        matches!(
            error,
            OriginError::TooLarge {
                len: Some(100),
                limit: 99
            }
        ),
        "{error:?}"
    );
    let found = origin
        .load(Load::new(&Key::from("empty"), 0))
        .await
        .unwrap();
    assert_eq!(found.content, Content::Value(Bytes::new()));
}

#[tokio::test]
async fn a_locked_database_is_a_failure_until_it_is_free() {
    let mut database = Database::new().await;
    database.insert("Tom", b"630").await;
    let options = SqliteOptions {
        busy_timeout: Duration::ZERO,
        ..database.options()
    };
    let origin = SqliteOrigin::open(options).await.unwrap();

    database.write("BEGIN EXCLUSIVE").await;
    let OriginError::Failed(error) = load(&origin, "Tom").await.unwrap_err() else {
        panic!("not a failure");
    };
    let cause = error.source().unwrap().downcast_ref::<sqlx::Error>();
    assert!(matches!(cause, Some(sqlx::Error::Database(_))), "{cause:?}");
    let text = error.to_string();
    assert!(text.contains("locked"), "{text}");
    assert!(text.contains(database.path().to_str().unwrap()), "{text}");
    assert!(!text.contains("Tom"), "{text}");

    database.write("COMMIT").await;
    assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "630");
}

#[tokio::test]
async fn a_writer_in_wal_mode_does_not_keep_readers_out() {
    let mut database = Database::new().await;
    database.write("PRAGMA journal_mode = WAL").await;
    database.insert("Tom", b"630").await;
    let options = SqliteOptions {
        busy_timeout: Duration::ZERO,
        ..database.options()
    };
    let origin = SqliteOrigin::open(options).await.unwrap();

    database.write("BEGIN IMMEDIATE").await;
    database.write("UPDATE scores SET value = 631").await;
    assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "630");
    database.write("COMMIT").await;
    assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "631");
}

#[tokio::test]
async fn a_load_dropped_on_its_way_leaves_a_working_origin() {
    let mut database = Database::new().await;
    database.insert("Tom", b"630").await;
    let options = SqliteOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(60),
        busy_timeout: Duration::from_secs(60),
        ..database.options()
    };
    let origin = SqliteOrigin::open(options).await.unwrap();

    for polls in 1..20 {
        // The lock keeps the load from finishing, so that each round drops it before its end.
        database.write("BEGIN EXCLUSIVE").await;
        {
            let mut load = std::pin::pin!(load(&origin, "Tom"));
            for _ in 0..polls {
                std::future::poll_fn(|cx| {
                    assert!(load.as_mut().poll(cx).is_pending());
                    std::task::Poll::Ready(())
                })
                .await;
                tokio::task::yield_now().await;
            }
        }
        database.write("COMMIT").await;
        assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "630");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_loads_share_a_few_connections() {
    let mut database = Database::new().await;
    database
        .write(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
             INSERT INTO scores SELECT 'user' || i, i * 2 FROM n",
        )
        .await;
    let options = SqliteOptions {
        max_connections: 3,
        ..database.options()
    };
    let origin = SqliteOrigin::open(options).await.unwrap();
    let mut loads = tokio::task::JoinSet::new();
    for task in 0..50 {
        let origin = origin.clone();
        loads.spawn(async move {
            for i in (task * 200..).take(200) {
                let value = load(&origin, format!("user{i}")).await.unwrap().unwrap();
                assert_eq!(value, (i * 2).to_string());
            }
        });
    }
    while let Some(done) = loads.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn a_custom_pool_works_as_well() {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    pool.execute("CREATE TABLE scores (key TEXT, value TEXT)")
        .await
        .unwrap();
    pool.execute("INSERT INTO scores VALUES ('Tom', '630')")
        .await
        .unwrap();
    let origin = SqliteOrigin::from_pool(pool.clone(), QUERY, KeyType::Text)
        .await
        .unwrap();
    assert_eq!(load(&origin, "Tom").await.unwrap().unwrap(), "630");

    let error = SqliteOrigin::from_pool(pool.clone(), "SELECT 1", KeyType::Text)
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::Query { .. }), "{error}");

    pool.close().await;
    assert!(matches!(
        load(&origin, "Tom").await,
        Err(OriginError::Failed(_))
    ));
}
