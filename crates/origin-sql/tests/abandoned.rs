//! Abandoned queries, and loads that wait for their connections.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use gaggle_group::OriginFault;
use gaggle_origin_sql::{KeyType, SqliteOptions, SqliteOrigin};
use sqlx::Executor as _;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use support::{Database, load};
use tokio::task::JoinHandle;

/// How long a test waits for an expected event.
const BOUND: Duration = Duration::from_secs(30);

/// Counts without an end if the key is `endless`, and meanwhile holds a lock of the table for
/// reading.
const QUERY: &str = "WITH RECURSIVE n(i) AS (
        SELECT 1 FROM scores WHERE ?1 = 'endless' UNION ALL SELECT i + 1 FROM n
    ) SELECT coalesce(max(i), 'none') FROM n";

async fn database() -> Database {
    let mut database = Database::new().await;
    database.insert("a", b"row").await;
    // So that it does not wait for readers.
    database.write("PRAGMA busy_timeout = 0").await;
    database
}

fn one_connection(database: &Database) -> SqliteOptions {
    SqliteOptions {
        query: QUERY.into(),
        max_connections: 1,
        acquire_timeout: BOUND,
        ..database.options()
    }
}

/// Whether a query reads the table at this moment.
async fn is_read(database: &mut Database) -> bool {
    match database.writer.execute("BEGIN EXCLUSIVE").await {
        Ok(_) => {
            database.write("COMMIT").await;
            false
        }
        Err(error) => {
            assert!(error.to_string().contains("locked"), "{error}");
            true
        }
    }
}

async fn until_read(database: &mut Database, wanted: bool) {
    let change = async {
        while is_read(database).await != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, change).await.unwrap();
}

fn start(origin: &SqliteOrigin) -> JoinHandle<()> {
    let origin = origin.clone();
    tokio::spawn(async move {
        let loaded = load(&origin, "endless").await;
        panic!("it ended: {loaded:?}");
    })
}

async fn abandon(load: JoinHandle<()>) {
    load.abort();
    assert!(load.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn an_abandoned_query_ends_and_its_connection_serves_the_next_load() {
    let mut database = database().await;
    let origin = SqliteOrigin::open(one_connection(&database)).await.unwrap();
    for _ in 0..5 {
        let endless = start(&origin);
        until_read(&mut database, true).await;
        abandon(endless).await;
        assert_eq!(load(&origin, "quick").await.unwrap().unwrap(), "none");
        until_read(&mut database, false).await;
    }
}

#[tokio::test]
async fn queries_of_others_on_a_shared_pool_are_never_ended() {
    let mut database = database().await;
    let pool: SqlitePool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(database.path()))
        .await
        .unwrap();
    let origin = SqliteOrigin::from_pool(pool.clone(), QUERY, KeyType::Text)
        .await
        .unwrap();
    let endless = start(&origin);
    until_read(&mut database, true).await;
    abandon(endless).await;
    // Long enough to check many times whether a load waits.
    let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) \
                SELECT sum(i) FROM n";
    for _ in 0..2 {
        pool.execute(long).await.unwrap();
        assert_eq!(load(&origin, "quick").await.unwrap().unwrap(), "none");
    }
}

#[tokio::test]
async fn a_load_waits_for_a_connection_no_longer_than_it_may() {
    let mut database = database().await;
    let options = SqliteOptions {
        acquire_timeout: Duration::from_secs(2),
        ..one_connection(&database)
    };
    let origin = SqliteOrigin::open(options).await.unwrap();
    let endless = start(&origin);
    until_read(&mut database, true).await;

    let waiting = tokio::spawn({
        let origin = origin.clone();
        async move { load(&origin, "quick").await }
    });
    // Its only connection is in use, so that only time can end the wait.
    tokio::time::pause();
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.fault(), OriginFault::Busy);
    let text = error.to_string();
    tokio::time::resume();
    assert!(
        text.contains("no connection within 2s: all 1 are in use"),
        "{text}"
    );
    assert!(text.contains(database.path().to_str().unwrap()), "{text}");
    abandon(endless).await;
}
