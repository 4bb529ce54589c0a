//! Values from a SQL database: one query that takes the key and returns the value, and for how
//! long it is fresh.
//!
//! [`SqliteOrigin`] asks a SQLite file through a bounded pool of read-only connections. SQLite
//! itself is compiled in.
//!
//! ```
//! use gaggle_group::{Content, Hint, Key, Load, Origin};
//! use gaggle_origin_sql::{KeyType, SqliteOrigin};
//! use sqlx::sqlite::SqlitePoolOptions;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A database of one's own; `SqliteOrigin::open` takes the path of a file instead.
//! let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
//! sqlx::query("CREATE TABLE scores (key TEXT PRIMARY KEY, value INTEGER, seconds)").execute(&pool).await?;
//! sqlx::query("INSERT INTO scores VALUES ('Tom', 630, 60)").execute(&pool).await?;
//!
//! // Or `SELECT value` alone, where the group decides for how long.
//! let query = "SELECT value, seconds FROM scores WHERE key = ?1";
//! let origin = SqliteOrigin::from_pool(pool, query, KeyType::Text).await?;
//! let found = origin.load(Load::new(&Key::from("Tom"), 1024)).await?;
//! assert_eq!(found.content, Content::Value("630".into()));
//! assert_eq!(found.freshness, Hint::ttl(std::time::Duration::from_secs(60)));
//! let found = origin.load(Load::new(&Key::from("Kesa"), 1024)).await?;
//! assert_eq!(found.content, Content::Absent);
//! # Ok(()) }
//! ```
//!
//! # The query
//!
//! One `SELECT` with one parameter, written `?1`, and one or two columns. It is prepared and run
//! once, with an empty key, before an origin is handed out, so that a missing table or a misspelt
//! column is an error at start. The key is always bound, never pasted into the text.
//!
//! | the first column of the first row | answer |
//! |---|---|
//! | `TEXT`, `BLOB` | its bytes |
//! | `INTEGER`, `REAL` | its text, as `CAST(… AS TEXT)` writes it: `630`, `1.5` |
//! | `NULL`, or no row at all | not found |
//!
//! An empty text or blob is a value of no bytes. `NULL` counts as "no value" because a cache has
//! no third answer.
//!
//! | the second column of the first row | freshness |
//! |---|---|
//! | none, or `NULL` | the group decides |
//! | `INTEGER`, `REAL` over zero | fresh for so many seconds, 2^31 - 1 at most |
//! | zero or less | not kept |
//! | `TEXT`, `BLOB` | a failure that names the column |
//!
//! It holds for a `NULL` value too: for so long the key counts as not found. Where there is no
//! row, the group decides. The type is that of the value and not the column's declared one: a
//! declared `INTEGER` can hold text.
//!
//! A query of more columns is an error at start. A `*` that comes to stand for more later is a
//! failure of loads.
//!
//! A failure's text names the database's file and what SQLite said, and is for the log of the node
//! that loads. Clients and other nodes are told no more than its
//! [`OriginFault`](gaggle_group::OriginFault).
//!
//! # Another file at the path
//!
//! * **Another file takes its place**, by a rename over it or by a link that is turned. A load
//!   that comes a second or more after the last look at the path waits for another one, which
//!   compares device and inode. A new file is opened and its query checked; loads that have begun
//!   end on the old one. Writes to the file itself show at once, as ever.
//! * **There is none any more**: loads fail, and are never "not found", until there is one. The
//!   same holds of a file that cannot be used, such as one that is still being copied: write it
//!   under another name, and rename it.
//! * **It has a `-wal` file.** SQLite takes that for the new file's, whosesoever it is. Replace
//!   only what is in no use by a writer, by a database that is whole in its one file.
//! * A pool of its owner's ([`SqliteOrigin::from_pool`]) is not followed.
//!
//! # A directory without write permission
//!
//! To read a database in WAL mode SQLite needs a `-shm` file beside it. Where it can neither open
//! nor make one, and no `-wal` file holds changes, the database is read as one that nobody changes
//! (`immutable=1`). It is opened again within a second after its length, its time of writing or
//! its `-wal` file has changed; a load that meets the change itself may fail or bring what was half
//! written. Changes in a `-wal` file that cannot be read are an error that names it, since without
//! them old rows would be served.
//!
//! # Bounds
//!
//! * A load waits for a connection for [`acquire_timeout`](SqliteOptions::acquire_timeout), and
//!   then fails and says so. It waits no longer for a look at the path.
//! * A dropped load's statement ends: SQLite looks every 1,000 instructions whether the load is
//!   still waited for. Its connection is of use again some milliseconds later.
//! * Where the first column is stored, and not computed, its length is asked for first: a value
//!   over the limit is refused unread, and one over 64 KiB is reserved in
//!   [`Load::budget`](gaggle_group::Load::budget) and then read by a second look-up. Other values
//!   are reserved once they are read. A load that has to wait for bytes lets go of its connection
//!   and of what it has read, and looks the value up again when it has them: so it holds nobody
//!   up, and no more values than there are connections are in memory unreserved. What is below
//!   4 KiB draws on no budget.
//!
//! # Trade-offs
//!
//! * A value that is computed rather than stored is read whole before its length is known: over
//!   the limit, it costs three times its size in memory for a moment. Where bytes are short it is
//!   computed twice. The same holds for each value of a database whose encoding is UTF-16, whose
//!   lengths are not those of the UTF-8 that comes out of it.
//! * While a writer holds the lock that a statement waits for, a dropped load's connection is of
//!   no use: for the [busy timeout](SqliteOptions::busy_timeout) at most. Give the key column an
//!   index.
//! * To end abandoned statements, each load sets the progress handler of its connection, which
//!   costs one more round trip to the connection's thread, a third of a load's time. It replaces a
//!   handler that the owner of a shared pool may have set.
//! * Each connection is a thread with a page cache of its own: more than a few times the cores
//!   only cost memory.
//! * Nothing tells whether a value has changed: a load that follows a stale value reads it again.
//! * Each load is a statement of its own; keys are not gathered into one.
//! * The key reaches the database as text or as bytes by [`KeyType`], not as the column's type.
//!   Comparing with an `INTEGER` column works, since SQLite converts text there; a `BLOB` column
//!   needs [`KeyType::Blob`].

#[cfg(any(feature = "sqlite", feature = "_server"))]
mod columns;
mod error;
#[cfg(any(feature = "sqlite", feature = "_server"))]
mod freshness;
mod key;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "_server")]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use error::OpenError;
pub use key::KeyType;
#[cfg(feature = "mysql")]
pub use mysql::MysqlOrigin;
#[cfg(feature = "postgres")]
pub use postgres::PostgresOrigin;
#[cfg(feature = "_server")]
pub use server::ServerOptions;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteOptions, SqliteOrigin};
