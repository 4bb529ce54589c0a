//! SQLite: options, and the load.

mod database;
mod follow;
mod opening;
mod query;
mod running;

use std::fmt;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use gaggle_group::{ByteBudget, Load, Loaded, Origin, OriginError, Reservation};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use self::database::{Database, Row, within_limit};
use self::follow::Follower;
use self::opening::Opening;
use crate::{KeyType, OpenError};

/// The file, the query, and the limits.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The database file. It must exist; `:memory:` and `file:` have no special meaning. When
    /// another file replaces it, that one is opened within a second.
    pub path: PathBuf,
    /// One `SELECT` with the parameter `?1` and one column, the value, or two, the value and for
    /// how many seconds it is fresh.
    pub query: String,
    /// The type with which the key is bound. Text.
    pub key_type: KeyType,
    /// Whether the file is opened read-only. On. A database in WAL mode in a directory without
    /// write permission is then read as one that does not change (`immutable=1`) as long as it has
    /// no `-wal` file with changes.
    pub read_only: bool,
    /// The most connections, each with its thread; a load over it waits. 8. It should be the
    /// group's limit of concurrent loads, if that is less.
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
    source: Source,
}

/// The source of the connections.
#[derive(Clone)]
enum Source {
    Path(Follower),
    /// A pool that the caller supplies.
    Pool(Arc<Database>),
}

/// The largest value that is read together with its length. A larger one is looked up once more,
/// when there is room for it.
const IN_PASSING: u64 = 64 << 10;

impl SqliteOrigin {
    /// Opens the file and checks the query.
    pub async fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        let name = format!("sqlite {}", options.path.display());
        let refused = |reason: String| OpenError::Open {
            database: name.clone(),
            reason,
        };
        if options.max_connections == 0 {
            return Err(refused("max_connections must be at least 1".to_owned()));
        }
        // Absolute, because SQLite gives `:memory:`, an empty name and `file:…` a special meaning.
        let path = std::path::absolute(&options.path)
            .map_err(|error| refused(format!("path is not usable: {error}")))?;
        // The driver passes milliseconds to SQLite as an `i32`, and panics if they overflow.
        let busy_timeout = options
            .busy_timeout
            .min(Duration::from_millis(i32::MAX as u64));
        let connect = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(options.read_only)
            .create_if_missing(false)
            .busy_timeout(busy_timeout);
        let pool = SqlitePoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            // A file does not disconnect, and each connection is tested when it is returned.
            .test_before_acquire(false);
        let opening = Opening {
            path,
            name,
            query: options.query,
            key_type: options.key_type,
            read_only: options.read_only,
            connect,
            pool,
        };
        let follower = Follower::open(opening, options.acquire_timeout).await?;
        Ok(Self {
            source: Source::Path(follower),
        })
    }

    /// Uses a pool of the caller, with its bounds and timeouts, and checks the query. The caller
    /// has to watch whether another file has replaced the pool's file.
    pub async fn from_pool(
        pool: SqlitePool,
        query: impl Into<String>,
        key_type: KeyType,
    ) -> Result<Self, OpenError> {
        let name = format!("sqlite {}", pool.connect_options().get_filename().display());
        let database = Database::checked(pool, query.into(), key_type, name).await?;
        Ok(Self {
            source: Source::Pool(Arc::new(database)),
        })
    }

    async fn database(&self) -> Result<Arc<Database>, OriginError> {
        match &self.source {
            Source::Path(follower) => follower.current().await,
            Source::Pool(database) => Ok(Arc::clone(database)),
        }
    }
}

#[async_trait]
impl Origin for SqliteOrigin {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let database = self.database().await?;
        let connection = database.connection().await?;
        let (row, connection) = database
            .first_row(connection, load.key, IN_PASSING.min(load.max_value))
            .await?;
        let Some(row) = row else {
            return Ok(Loaded::absent());
        };
        let Row { freshness, len } = database.read(&row)?;
        let Some(len) = len else {
            return Ok(Loaded::absent().with_freshness(freshness));
        };
        let mut reserving = pin!(Reserved::of(&load, len));
        let (mut reserved, connection) = match at_once(reserving.as_mut()).await {
            Some(reserved) => {
                let reserved = reserved?;
                if database.brings_value(&row) {
                    return database.loaded(&row, freshness, load.max_value);
                }
                drop(row);
                (reserved, connection)
            }
            // Others need the connection meanwhile, and not every value that was read may wait in
            // memory.
            None => {
                drop(row);
                drop(connection);
                (reserving.await?, database.connection().await?)
            }
        };
        let (row, _connection) = database
            .first_row(connection, load.key, load.max_value)
            .await?;
        // The row may be another one by now.
        let Some(row) = row else {
            return Ok(Loaded::absent());
        };
        let Row { freshness, len } = database.read(&row)?;
        let Some(len) = len else {
            return Ok(Loaded::absent().with_freshness(freshness));
        };
        // It waits only if the value has grown since, and then holds a connection.
        reserved.grow_to(&load, len).await?;
        database.loaded(&row, freshness, load.max_value)
    }
}

/// The result of a future if it is ready without a wait; otherwise the future continues later.
async fn at_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Bytes that are reserved for a value, if it draws on the budget.
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
        let mut shown = f.debug_struct("SqliteOrigin");
        match &self.source {
            Source::Path(follower) => shown.field("path", follower),
            Source::Pool(database) => shown.field("pool", database),
        };
        shown.finish()
    }
}
