//! A query that ends when its load is dropped.
//!
//! The driver runs a query in a thread, which does not notice that the load was dropped: an
//! abandoned query would run to its end, and keep its connection until then. Here a progress
//! handler checks for that, and ends the query (`SQLITE_INTERRUPT`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use gaggle_group::Key;
use sqlx::Connection as _;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqliteRow};
use tokio::time::timeout;

use super::query::Lookup;

/// How many instructions of SQLite's machine lie between two checks whether the load was dropped:
/// some tens of microseconds.
const BETWEEN_LOOKS: i32 = 1_000;
/// How long a connection that has just answered a query may take to answer a ping.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

const RUNNING: u8 = 0;
const ABANDONED: u8 = 1;
const OVER: u8 = 2;

/// The result of a query: its first row, and its connection, which can be used again.
pub(super) type Answer = Result<(Option<SqliteRow>, PoolConnection<Sqlite>), sqlx::Error>;

/// Asks for the first row ([`Lookup::first_row`]). If this future is dropped, the query ends soon,
/// and its connection goes back to the pool as soon as it has.
pub(super) async fn first_row(
    connection: PoolConnection<Sqlite>,
    lookup: Lookup,
    key: Key,
    room: u64,
) -> Answer {
    let waiting = Waiting(Arc::new(AtomicU8::new(RUNNING)));
    let state = Arc::clone(&waiting.0);
    // A task of its own runs the query to its end, even if the load is dropped.
    let running = tokio::spawn(run(connection, lookup, key, room, state));
    match running.await {
        Ok(answer) => answer,
        // It does not panic; the runtime may be shutting down.
        Err(_) => Err(sqlx::Error::WorkerCrashed),
    }
}

/// Abandons the query when it is dropped, if the query has not ended.
struct Waiting(Arc<AtomicU8>);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self
            .0
            .compare_exchange(RUNNING, ABANDONED, Relaxed, Relaxed);
    }
}

async fn run(
    mut connection: PoolConnection<Sqlite>,
    lookup: Lookup,
    key: Key,
    room: u64,
    state: Arc<AtomicU8>,
) -> Answer {
    let seen = Arc::clone(&state);
    let look = move || seen.load(Relaxed) != ABANDONED;
    connection
        .lock_handle()
        .await?
        .set_progress_handler(BETWEEN_LOOKS, look);
    let row = lookup.first_row(&mut connection, &key, room).await;
    // From here on it cannot be abandoned, so that the handler, which stays until the next load,
    // never ends the queries of others on a shared pool.
    if state
        .compare_exchange(RUNNING, OVER, Relaxed, Relaxed)
        .is_err()
    {
        connection.lock_handle().await?.remove_progress_handler();
    }
    let row = row?;
    if row.is_none() {
        // The driver's thread panics if a statement that it keeps has got more columns, which
        // looks like no row. A thread that has ended does not answer, and may never report that:
        // such a connection is dropped, and not returned to the pool, which would ask it as well.
        let answered = timeout(SIGN_OF_LIFE, connection.ping()).await;
        let lost = match answered {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(sqlx::Error::WorkerCrashed),
        };
        if let Some(error) = lost {
            drop(connection.detach());
            return Err(error);
        }
    }
    Ok((row, connection))
}
