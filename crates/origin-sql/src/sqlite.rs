//! SQLite: options, the checks at start, and the load.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gaggle_group::{Key, Load, Loaded, Origin, OriginError};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{
    AssertSqlSafe, Connection as _, Either, Executor as _, Row as _, SqlSafeStr as _, SqlStr,
    Statement as _,
};
use sqlx::{ValueRef as _, query::Query};
use tokio::time::timeout;

use crate::error::{Failure, said};
use crate::freshness::hint;
use crate::key::Parameter;
use crate::{KeyType, OpenError};

/// Which file to ask, what, and how.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The database file. It must exist; `:memory:` and `file:` have no special meaning.
    pub path: PathBuf,
    /// One `SELECT` with the parameter `?1` and one column, the value, or two, the value and for how many seconds it is
    /// fresh.
    pub query: String,
    /// As what the key is bound. Text.
    pub key_type: KeyType,
    /// Whether the file is opened for reading only. On; a database in WAL mode that lies in a directory without write
    /// permission needs it off, or no writer.
    pub read_only: bool,
    /// The most connections, each with its thread; a load over it waits. 8.
    pub max_connections: u32,
    /// How long a load waits for a connection. 5 s.
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
            acquire_timeout: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(1),
        }
    }
}

/// A query of a SQLite database. A clone shares the connections.
#[derive(Clone)]
pub struct SqliteOrigin {
    pool: SqlitePool,
    query: SqlStr,
    key_type: KeyType,
    /// `sqlite PATH`, for errors.
    name: String,
}

/// How long a connection that has just answered a query may take to show that it is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

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
        // Absolute, because SQLite takes `:memory:`, an empty name and `file:…` for something else than a file's name.
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

    /// Asks through a pool of one's own, whose bounds and timeouts then hold, and checks the query.
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
        if let Err(reason) = check(&pool, &query).await {
            return Err(OpenError::Query {
                database: name,
                reason,
            });
        }
        let query = AssertSqlSafe(query).into_sql_str();
        let origin = Self {
            pool,
            query,
            key_type,
            name,
        };
        // Some mistakes show only when a key is bound, such as a parameter with a name.
        match origin.first_row(&Key::new()).await {
            Ok(_) => Ok(origin),
            Err(error) => Err(OpenError::Query {
                database: origin.name,
                reason: said(&error),
            }),
        }
    }

    async fn first_row(&self, key: &[u8]) -> Result<Option<SqliteRow>, sqlx::Error> {
        let query: Query<'_, sqlx::Sqlite, _> = sqlx::query(self.query.clone());
        let query = match self.key_type.parameter(key) {
            Parameter::Text(text) => query.bind(text),
            Parameter::Blob(blob) => query.bind(blob),
        };
        let mut connection = self.pool.acquire().await?;
        let row = query.fetch_optional(&mut *connection).await?;
        if row.is_none() {
            // The driver's thread panics if a statement that it keeps has got more columns, and that looks like no row.
            // A thread that has ended does not answer, and may leave the question lying: such a connection is given up, and
            // not back to the pool, which would ask it, too.
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
        Ok(row)
    }

    fn failed(&self, error: sqlx::Error) -> OriginError {
        OriginError::failed(Failure {
            database: self.name.clone(),
            reason: said(&error),
            source: Some(error),
        })
    }

    fn unusable(&self, reason: String) -> OriginError {
        OriginError::failed(Failure {
            database: self.name.clone(),
            reason,
            source: None,
        })
    }
}

#[async_trait]
impl Origin for SqliteOrigin {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let row = self
            .first_row(load.key)
            .await
            .map_err(|error| self.failed(error))?;
        let Some(row) = row else {
            return Ok(Loaded::absent());
        };
        // Counted at open, but a `*` can stand for more by now.
        usable(row.len()).map_err(|reason| self.unusable(reason))?;
        let freshness = hint(&row).map_err(|reason| self.unusable(reason))?;
        let value = row.try_get_raw(0).map_err(|error| self.failed(error))?;
        if value.is_null() {
            return Ok(Loaded::absent().with_freshness(freshness));
        }
        // Unchecked by type: SQLite hands a number over as its text when asked for bytes.
        let value: &[u8] = row
            .try_get_unchecked(0)
            .map_err(|error| self.failed(error))?;
        let len = value.len() as u64;
        if len > load.max_value {
            return Err(OriginError::TooLarge {
                len: Some(len),
                limit: load.max_value,
            });
        }
        Ok(Loaded::value(Bytes::copy_from_slice(value)).with_freshness(freshness))
    }
}

impl fmt::Debug for SqliteOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteOrigin")
            .field("database", &self.name)
            .field("query", &self.query.as_str())
            .field("key_type", &self.key_type)
            .finish_non_exhaustive()
    }
}

/// Whether the query is one `SELECT` with one parameter and one or two columns; if not, why.
async fn check(pool: &SqlitePool, query: &str) -> Result<(), String> {
    let mut connection = pool.acquire().await.map_err(|error| said(&error))?;
    let statement = connection
        .prepare(AssertSqlSafe(query).into_sql_str())
        .await
        .map_err(|error| said(&error))?;
    let parameters = match statement.parameters() {
        Some(Either::Left(types)) => types.len(),
        Some(Either::Right(count)) => count,
        None => 0,
    };
    let columns = statement.columns().len();
    if parameters != 1 {
        return Err(format!(
            "it has {parameters} parameters, where one is needed: the key, as ?1"
        ));
    }
    usable(columns)?;
    // Only a single `SELECT` can stand in parentheses: several statements, or one that writes, cannot. The line break
    // ends a comment on the query's last line.
    let alone = query.trim_end().trim_end_matches(';');
    let nested = format!("SELECT * FROM (\n{alone}\n)");
    match connection
        .prepare(AssertSqlSafe(nested).into_sql_str())
        .await
    {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("it must be a single SELECT: {}", said(&error))),
    }
}

/// Whether so many columns have a meaning; if not, why.
fn usable(columns: usize) -> Result<(), String> {
    if (1..=2).contains(&columns) {
        return Ok(());
    }
    Err(format!(
        "it returns {columns} columns, where one or two are needed: the value, and the seconds for which it is fresh"
    ))
}
