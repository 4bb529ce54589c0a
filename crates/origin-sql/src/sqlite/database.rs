//! One opened database: its pool and its query, and the reading of its rows.

use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Hint, Key, Loaded, OriginError, OriginFault};
use sqlx::Row as _;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqlitePool, SqliteRow};
use tokio::time::timeout;

use super::query::Lookup;
use super::running::{Answer, first_row};
use crate::columns::usable;
use crate::error::{Failure, said};
use crate::freshness::hint;
use crate::{KeyType, OpenError};

/// How long the trial look-up at open may take.
const FIRST_LOOKUP: Duration = Duration::from_secs(30);

/// A database whose query was checked. Its connections close once it is dropped and each has ended
/// its statement.
#[derive(Debug)]
pub(super) struct Database {
    pool: SqlitePool,
    lookup: Lookup,
    /// `sqlite PATH`, for errors.
    name: String,
}

impl Database {
    /// Checks the query, and tries it.
    pub(super) async fn checked(
        pool: SqlitePool,
        query: String,
        key_type: KeyType,
        name: String,
    ) -> Result<Self, OpenError> {
        let unusable = |reason: String| OpenError::Query {
            database: name.clone(),
            reason,
        };
        let lookup = Lookup::check(&pool, query, key_type).await;
        let database = Self {
            lookup: lookup.map_err(unusable)?,
            pool,
            name: name.clone(),
        };
        // Some mistakes show only when a key is bound, such as a parameter with a name.
        let tried = async {
            let connection = database.pool.acquire().await?;
            let (lookup, key) = (database.lookup.clone(), Key::new());
            first_row(connection, lookup, key, 0).await
        };
        match timeout(FIRST_LOOKUP, tried).await {
            Ok(Ok(_)) => Ok(database),
            Ok(Err(error)) => Err(unusable(said(&error))),
            Err(_) => Err(unusable(format!("no answer within {FIRST_LOOKUP:?}"))),
        }
    }

    pub(super) async fn connection(&self) -> Result<PoolConnection<Sqlite>, OriginError> {
        let connection = self.pool.acquire().await;
        connection.map_err(|error| self.failed(error))
    }

    pub(super) async fn first_row(
        &self,
        connection: PoolConnection<Sqlite>,
        key: &Key,
        room: u64,
    ) -> Result<(Option<SqliteRow>, PoolConnection<Sqlite>), OriginError> {
        let answer: Answer = first_row(connection, self.lookup.clone(), key.clone(), room).await;
        answer.map_err(|error| self.failed(error))
    }

    /// The content of a row, except a value that is too large to be returned with it.
    pub(super) fn read(&self, row: &SqliteRow) -> Result<Row, OriginError> {
        // Counted at open, but a `*` can stand for more columns by now.
        usable(self.lookup.columns_of(row)).map_err(|reason| self.unusable(reason))?;
        let freshness = hint(row).map_err(|reason| self.unusable(reason))?;
        let len = self.lookup.len_of(row);
        let len = len.map_err(|error| self.failed(error))?;
        Ok(Row { freshness, len })
    }

    /// Whether the value of a row came with it.
    pub(super) fn brings_value(&self, row: &SqliteRow) -> bool {
        self.lookup.brings_value(row)
    }

    /// A copy of the value in a row.
    pub(super) fn loaded(
        &self,
        row: &SqliteRow,
        freshness: Hint,
        max_value: u64,
    ) -> Result<Loaded, OriginError> {
        // Unchecked by type: SQLite returns a number as its text when bytes are requested.
        let value: &[u8] = row
            .try_get_unchecked(0)
            .map_err(|error| self.failed(error))?;
        // The earlier length was SQLite's own.
        within_limit(value.len() as u64, max_value)?;
        Ok(Loaded::value(Bytes::copy_from_slice(value)).with_freshness(freshness))
    }

    fn failed(&self, error: sqlx::Error) -> OriginError {
        let fault = match &error {
            sqlx::Error::PoolTimedOut => OriginFault::Busy,
            _ => OriginFault::Other,
        };
        let reason = match &error {
            // It counts against the database as any failure does, since there is no kind of error
            // for it. It is rare if the group admits no more loads than there are connections.
            sqlx::Error::PoolTimedOut => {
                let options = self.pool.options();
                format!(
                    "no connection within {:?}: all {} are in use",
                    options.get_acquire_timeout(),
                    options.get_max_connections()
                )
            }
            error => said(error),
        };
        OriginError::failed(Failure {
            database: self.name.clone(),
            reason,
            source: Some(error),
        })
        .known_as(fault)
    }

    fn unusable(&self, reason: String) -> OriginError {
        OriginError::failed(Failure {
            database: self.name.clone(),
            reason,
            source: None,
        })
        .known_as(OriginFault::Unusable)
    }
}

/// The content of a row except the value itself.
pub(super) struct Row {
    pub(super) freshness: Hint,
    /// The bytes of the value; `None` where it is `NULL`.
    pub(super) len: Option<u64>,
}

pub(super) fn within_limit(len: u64, limit: u64) -> Result<(), OriginError> {
    if len > limit {
        return Err(OriginError::TooLarge {
            len: Some(len),
            limit,
        });
    }
    Ok(())
}
