//! Values from a SQL database: one query that takes the key and returns the value.
//!
//! [`SqliteOrigin`] asks a SQLite file through a bounded pool of read-only connections. SQLite itself is compiled in.
//!
//! ```
//! use gaggle_group::{Key, Origin};
//! use gaggle_origin_sql::{KeyType, SqliteOrigin};
//! use sqlx::sqlite::SqlitePoolOptions;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A database of one's own; `SqliteOrigin::open` takes the path of a file instead.
//! let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
//! sqlx::query("CREATE TABLE scores (key TEXT PRIMARY KEY, value INTEGER)").execute(&pool).await?;
//! sqlx::query("INSERT INTO scores VALUES ('Tom', 630)").execute(&pool).await?;
//!
//! let query = "SELECT value FROM scores WHERE key = ?1";
//! let origin = SqliteOrigin::from_pool(pool, query, KeyType::Text).await?;
//! let found = origin.load(&Key::from("Tom"), 1024).await?;
//! assert_eq!(found.map(|loaded| loaded.value), Some("630".into()));
//! assert_eq!(origin.load(&Key::from("Kesa"), 1024).await?, None);
//! # Ok(()) }
//! ```
//!
//! # The query
//!
//! One `SELECT` with one parameter, written `?1`, and one column. It is prepared and run once, with an empty key, before an
//! origin is handed out, so that a missing table or a misspelt column is an error at start. The key is always bound, never
//! pasted into the text.
//!
//! | the column of the first row | answer |
//! |---|---|
//! | `TEXT`, `BLOB` | its bytes |
//! | `INTEGER`, `REAL` | its text, as `CAST(… AS TEXT)` writes it: `630`, `1.5` |
//! | `NULL`, or no row at all | not found |
//!
//! An empty text or blob is a value of no bytes. `NULL` counts as "no value" because a cache has no third answer.
//!
//! # Trade-offs
//!
//! * SQLite reads a value whole before its length is known: a value over the limit costs its size in memory for a moment.
//! * A dropped load is no longer waited for, but a statement that runs is not interrupted. Its connection is of use
//!   again when the statement ends, or the [busy timeout](SqliteOptions::busy_timeout) does. Give the key column an index.
//! * Each connection is a thread with a page cache of its own: more than a few times the cores only cost memory.
//! * Each load is a statement of its own; keys are not gathered into one.
//! * The key reaches the database as text or as bytes by [`KeyType`], not as the column's type. Comparing with an `INTEGER`
//!   column works, since SQLite converts text there; a `BLOB` column needs [`KeyType::Blob`].

mod error;
mod key;
mod sqlite;

pub use error::OpenError;
pub use key::KeyType;
pub use sqlite::{SqliteOptions, SqliteOrigin};
