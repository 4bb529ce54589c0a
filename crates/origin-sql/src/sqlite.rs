//! SQLite: options, and the load.

mod query;
mod running;

use std::fmt;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_group::{
    ByteBudget, Hint, Key, Load, Loaded, Origin, OriginError, OriginFault, Reservation,
};
use sqlx::Row as _;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use tokio::time::timeout;

use self::query::{Lookup, usable};
use self::running::{Answer, first_row};
use crate::error::{Failure, said};
use crate::freshness::hint;
use crate::{KeyType, OpenError};

/// Which file to ask, what, and how.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The database file. It must exist; `:memory:` and `file:` have no special meaning.
    pub path: PathBuf,
    /// One `SELECT` with the parameter `?1` and one column, the value, or two, the value and for
    /// how many seconds it is fresh.
    pub query: String,
    /// As what the key is bound. Text.
    pub key_type: KeyType,
    /// Whether the file is opened for reading only. On; a database in WAL mode that lies in a
    /// directory without write permission needs it off, or no writer.
    pub read_only: bool,
    /// The most connections, each with its thread; a load over it waits. 8. Best as many as the
    /// loads that a group lets ask its origin at one time, if that is less.
    pub max_connections: u32,
    /// How long a load waits for a connection before it fails. 1 s.
    pub acquire_timeout: Duration,
    /// How long a statement waits for a lock that a writer holds. 1 s, and 24 days at most.
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            query: String::new(),
            key_type: KeyType::default(),
            read_only: true,
            max_connections: 8,
            acquire_timeout: Duration::from_secs(1),
            busy_timeout: Duration::from_secs(1),
        }
    }
}

/// A query of a SQLite database. A clone shares the connections.
#[derive(Clone)]
pub struct SqliteOrigin {
    pool: SqlitePool,
    lookup: Lookup,
    /// `sqlite PATH`, for errors.
    name: String,
}

/// The largest value that is read together with its length. A larger one is looked up once more,
/// when there is room for it.
const IN_PASSING: u64 = 64 << 10;
/// How long the look-up may take by which the query is tried at open.
const FIRST_LOOKUP: Duration = Duration::from_secs(30);

impl SqliteOrigin {
    /// Opens the file and checks the query.
    pub async fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        let database = format!("sqlite {}", options.path.display());
        let refused = |reason: String| OpenError::Open {
            database: database.clone(),
            reason,
        };
        if options.max_connections == 0 {
            return Err(refused("max_connections must be at least 1".to_owned()));
        }
        // Absolute, because SQLite takes `:memory:`, an empty name and `file:…` for something else
        // than a file's name.
        let path = std::path::absolute(&options.path)
            .map_err(|error| refused(format!("path is not usable: {error}")))?;
        // The driver hands SQLite its milliseconds as an `i32`, and panics over it.
        let busy_timeout = options
            .busy_timeout
            .min(Duration::from_millis(i32::MAX as u64));
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .read_only(options.read_only)
            .create_if_missing(false)
            .busy_timeout(busy_timeout);
        let pool = SqlitePoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            // A file does not hang up; each connection is tested when it comes back in any case.
            .test_before_acquire(false)
            .connect_with(connect)
            .await
            .map_err(|error| refused(said(&error)))?;
        Self::checked(pool, options.query, options.key_type, database).await
    }

    /// Asks through a pool of one's own, whose bounds and timeouts then hold, and checks the
    /// query.
    pub async fn from_pool(
        pool: SqlitePool,
        query: impl Into<String>,
        key_type: KeyType,
    ) -> Result<Self, OpenError> {
        let database = format!("sqlite {}", pool.connect_options().get_filename().display());
        Self::checked(pool, query.into(), key_type, database).await
    }

    async fn checked(
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
        let origin = Self {
            lookup: lookup.map_err(unusable)?,
            pool,
            name: name.clone(),
        };
        // Some mistakes show only when a key is bound, such as a parameter with a name.
        let tried = async {
            let connection = origin.pool.acquire().await?;
            origin.first_row(connection, &Key::new(), 0).await
        };
        match timeout(FIRST_LOOKUP, tried).await {
            Ok(Ok(_)) => Ok(origin),
            Ok(Err(error)) => Err(unusable(said(&error))),
            Err(_) => Err(unusable(format!("no answer within {FIRST_LOOKUP:?}"))),
        }
    }

    async fn first_row(&self, connection: PoolConnection<Sqlite>, key: &Key, room: u64) -> Answer {
        first_row(connection, self.lookup.clone(), key.clone(), room).await
    }

    /// What is in a row, but for a value that is too large to have come with it.
    fn read(&self, row: &SqliteRow) -> Result<Row, OriginError> {
        // Counted at open, but a `*` can stand for more by now.
        usable(self.lookup.columns_of(row)).map_err(|reason| self.unusable(reason))?;
        let freshness = hint(row).map_err(|reason| self.unusable(reason))?;
        let len = self.lookup.len_of(row);
        let len = len.map_err(|error| self.failed(error))?;
        Ok(Row { freshness, len })
    }

    fn failed(&self, error: sqlx::Error) -> OriginError {
        let fault = match &error {
            sqlx::Error::PoolTimedOut => OriginFault::Busy,
            _ => OriginFault::Other,
        };
        let reason = match &error {
            // It counts against the database as any failure does, since there is no kind of error
            // for it. It is rare where no more loads are let in than there are connections.
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

#[async_trait]
impl Origin for SqliteOrigin {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let connection = self.connection().await?;
        let (row, connection) = self
            .first_row(connection, load.key, IN_PASSING.min(load.max_value))
            .await
            .map_err(|error| self.failed(error))?;
        let Some(row) = row else {
            return Ok(Loaded::absent());
        };
        let Row { freshness, len } = self.read(&row)?;
        let Some(len) = len else {
            return Ok(Loaded::absent().with_freshness(freshness));
        };
        let mut reserving = pin!(Reserved::of(&load, len));
        let (mut reserved, connection) = match at_once(reserving.as_mut()).await {
            Some(reserved) => {
                let reserved = reserved?;
                if self.lookup.brings_value(&row) {
                    return self.loaded(&row, freshness, load.max_value);
                }
                drop(row);
                (reserved, connection)
            }
            // Others need the connection meanwhile, and not all that is read may wait in memory.
            None => {
                drop(row);
                drop(connection);
                (reserving.await?, self.connection().await?)
            }
        };
        let (row, _connection) = self
            .first_row(connection, load.key, load.max_value)
            .await
            .map_err(|error| self.failed(error))?;
        // The row may be another one by now.
        let Some(row) = row else {
            return Ok(Loaded::absent());
        };
        let Row { freshness, len } = self.read(&row)?;
        let Some(len) = len else {
            return Ok(Loaded::absent().with_freshness(freshness));
        };
        // Waits only where the value has grown since, for which a connection is held.
        reserved.grow_to(&load, len).await?;
        self.loaded(&row, freshness, load.max_value)
    }
}

impl SqliteOrigin {
    async fn connection(&self) -> Result<PoolConnection<Sqlite>, OriginError> {
        let connection = self.pool.acquire().await;
        connection.map_err(|error| self.failed(error))
    }

    /// A copy of the value in a row.
    fn loaded(
        &self,
        row: &SqliteRow,
        freshness: Hint,
        max_value: u64,
    ) -> Result<Loaded, OriginError> {
        // Unchecked by type: SQLite hands a number over as its text when asked for bytes.
        let value: &[u8] = row
            .try_get_unchecked(0)
            .map_err(|error| self.failed(error))?;
        // The length that was asked for is what SQLite said of it.
        within_limit(value.len() as u64, max_value)?;
        Ok(Loaded::value(Bytes::copy_from_slice(value)).with_freshness(freshness))
    }
}

fn within_limit(len: u64, limit: u64) -> Result<(), OriginError> {
    if len > limit {
        return Err(OriginError::TooLarge {
            len: Some(len),
            limit,
        });
    }
    Ok(())
}

/// What a future comes to if that is without a wait; otherwise it goes on where it was.
async fn at_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// What is in a row beside the value itself.
struct Row {
    freshness: Hint,
    /// The bytes of the value; `None` where it is `NULL`.
    len: Option<u64>,
}

/// Bytes that are reserved for a value, where it is one that counts.
struct Reserved(Option<Reservation>);

impl Reserved {
    async fn of(load: &Load<'_>, len: u64) -> Result<Self, OriginError> {
        let mut none = Self(None);
        none.grow_to(load, len).await?;
        Ok(none)
    }

    async fn grow_to(&mut self, load: &Load<'_>, len: u64) -> Result<(), OriginError> {
        within_limit(len, load.max_value)?;
        match (&mut self.0, load.budget) {
            (Some(reserved), _) => reserved.grow_to(len).await?,
            (None, Some(budget)) if len >= ByteBudget::SMALL as u64 => {
                self.0 = Some(budget.reserve(len).await?);
            }
            (None, _) => {}
        }
        Ok(())
    }
}

impl fmt::Debug for SqliteOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOrigin")
            .field("database", &self.name)
            .field("lookup", &self.lookup)
            .finish_non_exhaustive()
    }
}
