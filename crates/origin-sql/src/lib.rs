//! Values from a SQL database: one query that takes the key and returns the value, and for how
//! long it is fresh.
//!
//! | origin | source | feature |
//! |---|---|---|
//! | [`SqliteOrigin`] | a SQLite file, through a bounded pool of read-only connections; SQLite is compiled in | `sqlite`, on by default |
//! | `PostgresOrigin` | a PostgreSQL server, and its replicas | `postgres` |
//! | `MysqlOrigin` | a MySQL or MariaDB server, and its replicas | `mysql` |
//!
//! ```
//! use gaggle_group::{Content, Hint, Key, Load, Origin};
//! use gaggle_origin_sql::{KeyType, SqliteOrigin};
//! use sqlx::sqlite::SqlitePoolOptions;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A pool of your own; `SqliteOrigin::open` takes the path of a file instead.
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
//! # The query for SQLite
//!
//! One `SELECT` with one parameter, written `?1`, and one or two columns. It is prepared and run
//! once, with an empty key, before an origin is handed out, so that a missing table or a misspelt
//! column is an error at start. The key is always bound, never inserted into the text.
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
//! | `INTEGER`, `REAL` over zero | fresh for that many seconds, 2^31 - 1 at most |
//! | zero or less | not kept |
//! | `TEXT`, `BLOB` | a failure that names the column |
//!
//! It applies to a `NULL` value too: the key counts as not found for that time. If there is no
//! row, the group decides. The type is that of the value and not the column's declared one: a
//! declared `INTEGER` can hold text.
//!
//! A query of more columns is an error at start. If a `*` later stands for more columns, loads
//! fail.
//!
//! A failure's text names the database's file and what SQLite said, and is for the log of the node
//! that loads. Clients and other nodes get only its [`OriginFault`](gaggle_group::OriginFault).
//!
//! # Another file at the path
//!
//! * **Another file takes its place**, by a rename over it or by a changed link. A load that
//!   arrives a second or more after the last check of the path waits for another check, which
//!   compares device and inode. A new file is opened and its query checked; loads that have begun
//!   end on the old file. Writes to the file itself show at once, as always.
//! * **There is no file any more**: loads fail, and are never "not found", until there is one. The
//!   same holds for a file that cannot be used, such as one that is still being copied: write it
//!   under another name, and rename it.
//! * **It has a `-wal` file.** SQLite takes that for the new file's, whichever database wrote it.
//!   Replace a database only if no writer uses it, and only by a database that is complete in its
//!   one file.
//! * The path of a pool that the caller supplies ([`SqliteOrigin::from_pool`]) is not checked.
//!
//! # A directory without write permission
//!
//! To read a database in WAL mode SQLite needs a `-shm` file beside it. If it can neither open nor
//! make one, and no `-wal` file holds changes, the database is read as one that does not change
//! (`immutable=1`). It is opened again within a second after its length, its modification time or
//! its `-wal` file has changed; a load during the change itself may fail or return half-written
//! data. Changes in a `-wal` file that cannot be read are an error that names it, since without
//! them old rows would be served.
//!
//! # Bounds
//!
//! * A load waits for a connection for [`acquire_timeout`](SqliteOptions::acquire_timeout), and
//!   then fails and says so. It waits no longer than that for a check of the path.
//! * A dropped load's statement ends: SQLite checks every 1,000 instructions whether the load
//!   still has a caller. Its connection is free again some milliseconds later.
//! * If the first column is stored, and not computed, its length is read first: a value over the
//!   limit is refused unread, and one over 64 KiB is reserved in
//!   [`Load::budget`](gaggle_group::Load::budget) and then read by a second look-up. Other values
//!   are reserved once they are read. A load that has to wait for bytes releases its connection
//!   and drops what it has read, and looks the value up again when it has the bytes. It therefore
//!   blocks no other load, and at most one value for each connection is in memory unreserved. A
//!   value below 4 KiB draws on no budget.
//!
//! # PostgreSQL, MySQL and MariaDB
//!
//! Both take `ServerOptions`. The query is one `SELECT` with one parameter: `$1` (PostgreSQL, as
//! often as needed) or `?` (MySQL and MariaDB, once). It is checked and tried with an empty key
//! when an origin is opened. A semicolon or a comment at its end is allowed; a second statement
//! is an error. The columns mean the same as for SQLite, except that the second must have a
//! numeric type; otherwise opening fails.
//!
//! The server converts the value to bytes:
//!
//! | the type of the value | PostgreSQL | MySQL and MariaDB |
//! |---|---|---|
//! | bytes | `bytea`: as they are | `BLOB`, `VARBINARY`: as they are; `BINARY(n)` with its zeros |
//! | text, also of another encoding | UTF-8; `char(n)` without blanks at its end | the same |
//! | numbers | their text: `630`, `1.50`, `0.1` | the same; `BIT` as a number |
//! | booleans | `true`, `false` | `1`, `0` |
//! | times | ISO 8601 with a blank, in UTC: `2024-01-02 03:04:05+00` | the same, without a zone |
//! | JSON | `json` as it was written, `jsonb` as PostgreSQL writes it | as it was written (MariaDB) |
//! | anything else | its text (`::text`): UUIDs, arrays, enumerations, rows | enumerations and sets: their text |
//! | `NULL`, or no row | not found | not found |
//!
//! **Keys** are bound as text. One that is not UTF-8 or holds a NUL is refused
//! ([`OriginFault::Key`](gaggle_group::OriginFault)) before the server is asked; [`KeyType::Blob`]
//! takes any. In PostgreSQL a key column of another type needs a cast, as in
//! `WHERE id = $1::bigint`; a key that cannot be cast is refused as the request's fault, and so is
//! one that is not a valid pattern, search or JSON if the query reads it as such. MySQL and
//! MariaDB compare text by the column's collation, usually ignoring case and trailing blanks, so
//! that `tom` finds `Tom`: give the key column `utf8mb4_bin` or `utf8mb4_nopad_bin` (MySQL:
//! `utf8mb4_0900_bin`). They compare text with a number column as numbers: `7x` finds 7.
//!
//! **Lengths.** The server returns the length of a value, and sends the value only if it is within
//! the limit. A value of up to 64 KiB arrives with its length. A larger one is reserved in the
//! budget, without a connection, and then looked up once more.
//!
//! **Batches.** `load_many` looks up at most `max_batch` keys in one statement. PostgreSQL joins
//! the query laterally to an array of keys, by the key column's index. MySQL and MariaDB get a
//! `UNION ALL` of one subselect for each key, of 2, 4, 8… keys; a query for which they would write
//! temporary tables (`ORDER BY`, `LIMIT`, `GROUP BY`, `UNION`) is run key by key, and so is one
//! that PostgreSQL cannot join: a line in the log says so. A statement returns 8 MiB of values at
//! most; larger values are looked up one by one after it. If a row or a key fails, the batch is
//! split into halves, so that it fails alone. If the statement takes half of the statement
//! timeout, its keys are looked up in smaller parts, the slow one alone at the end, and the whole
//! batch within the timeout.
//!
//! **Time.** A statement ends on the server after `statement_timeout`. Each runs in a task of its
//! own, so that a connection is never given to another load in the middle of one. PostgreSQL 14
//! and later ends the statement of a dropped load within about a second, since its connection is
//! closed. MySQL and MariaDB do not notice: the statement runs to its end or its timeout, and
//! keeps its connection until then.
//!
//! **Sessions** are read-only (`read_only`): a function that the query calls cannot write.
//!
//! **The URL** names the user. The password can come from `password_file`, which is read for each
//! new connection. The environment (`PGHOST`, `PGSSLMODE`…) and `~/.pgpass` are not read; if
//! `PGOPTIONS`, `PGSSLCERT` or `PGSSLKEY` is set, opening fails, since the driver would use it.
//! Any other parameter than these is an error at open that contains its name and not its value:
//!
//! | PostgreSQL | MySQL and MariaDB |
//! |---|---|
//! | `sslmode` | `ssl-mode` |
//! | `sslrootcert`, `sslcert`, `sslkey`: files | `ssl-ca`, `ssl-cert`, `ssl-key` |
//! | `application_name` (`gaggle`) | `charset` (only `utf8mb4`), `collation` |
//! | `options=-c name=value`, `options[name]=value` | `time-zone` (`+00:00`) |
//! | `host=/directory` of a socket | `socket`: its file |
//! | `statement-cache-capacity` (100) | the same |
//!
//! **Changes of the tables.** A prepared statement that no longer fits costs one retry, on a new
//! connection. If the type of the value changes between text and bytes, the look-up follows.
//!
//! **Opening** connects once to each server. One that refuses the user, the password or the
//! database is an error, even if it is a replica. A replica that cannot be reached is a warning in
//! the log, and so is a primary, if a replica answers.
//!
//! **Connections.** A connection that turns out to be dead, as after a restart of the server,
//! costs no load an error: the statement runs once more, on a new connection. A server that cannot
//! be reached is an error immediately, not only after `acquire_timeout`.
//!
//! **TLS** is by rustls, with Mozilla's list of authorities and those of `ca_file` or `ca_pem`.
//! Only `sslmode=verify-full` (`ssl-mode=VERIFY_IDENTITY`) protects against a false server.
//! MySQL's `caching_sha2_password` needs TLS.
//!
//! | failure | reported as |
//! |---|---|
//! | no connection could be made | `Unreachable` |
//! | all connections are in use, here or on the server | `Busy` |
//! | the statement timeout; the wait for a lock | `TimedOut` |
//! | the connection broke in a statement | `BrokeOff` |
//! | the key cannot be bound, cast or computed with | `Key` |
//! | a value that MySQL cannot send, being longer than its `max_allowed_packet` | `Unusable` |
//! | a row that raises an error, and anything else | `Other` |
//!
//! # Trade-offs
//!
//! * A value that is computed rather than stored is read whole before its length is known: over
//!   the limit, it costs three times its size in memory for a moment. If the budget is short of
//!   bytes it is computed twice. The same holds for each value of a database whose encoding is
//!   UTF-16, since its lengths are not those of the UTF-8 text that SQLite returns.
//! * While a writer holds the lock that a statement waits for, a dropped load's connection cannot
//!   be used, for the [busy timeout](SqliteOptions::busy_timeout) at most. Give the key column an
//!   index.
//! * To end abandoned statements, each load sets the progress handler of its connection, which
//!   costs one more round trip to the connection's thread, a third of a load's time. It replaces a
//!   handler that the owner of a shared pool may have set.
//! * Each connection is a thread with a page cache of its own: more than a few times the cores
//!   only cost memory.
//! * A database does not report whether a value has changed: a load that follows a stale value
//!   reads it again.
//! * In SQLite each load is a statement of its own; keys are not gathered into one.
//! * A replica may lag: if removals follow the database's changes, a removed key can be loaded
//!   from a replica as it was before, and is then kept.
//! * The message of an error may contain keys and values, unless the error is known to be about
//!   the statement or the server. Such a message is logged at `debug`, and the failure contains
//!   its SQLSTATE, and MySQL's number.
//! * An error about a stored value looks like one about the key: all data exceptions (SQLSTATE
//!   22…) are reported as the key's fault, which does not count against the group's breaker.
//! * Slow keys take time from the others of their batch: with more than a few of them, others time
//!   out, too.
//! * Each change between single look-ups and batches on a connection costs it one more round trip,
//!   to set the statement timeout. A connection that was last used for the same kind is taken
//!   first.
//! * The key reaches a SQLite database as text or as bytes by [`KeyType`], not as the column's
//!   type. Comparing with an `INTEGER` column works, since SQLite converts text there; a `BLOB`
//!   column needs [`KeyType::Blob`].

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
