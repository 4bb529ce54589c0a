//! Follows changes of PostgreSQL, so that cached values are removed as their rows change.
//!
//! Two feeds implement [`gaggle_follow::Feed`]:
//!
//! * [`ReplicationFeed`] reads the server's log by logical replication (the plugin `pgoutput`, a
//!   publication, a durable slot). The server keeps changes until they are confirmed, so that no
//!   change is missed, even from a time without a follower. It needs PostgreSQL 13 or later (tests
//!   run against 15) and `wal_level = logical`.
//! * [`NotifyFeed`] listens to a channel that triggers notify. It needs no setting of the server
//!   and no privilege except to log in. Changes are lost while it is not connected, so each new
//!   connection removes the whole group.
//!
//! ```no_run
//! use gaggle_follow::{Feed as _, Opened};
//! use gaggle_follow_postgres::{ReplicationFeed, ReplicationOptions, TableMap, replication_sql};
//!
//! # async fn follow() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ReplicationOptions {
//!     url: "postgres://gaggle@db.example/app?sslmode=verify-full".into(),
//!     password: Some(std::fs::read_to_string("/run/secrets/db")?.trim().into()),
//!     tables: vec![TableMap::new("players", "player:{id}")],
//!     ..ReplicationOptions::default()
//! };
//! // What to run in the database, once.
//! print!("{}", replication_sql(&options, "scores")?);
//!
//! let mut feed = ReplicationFeed::new(options, "scores")?;
//! if let Opened::Missed(why) = feed.open().await? {
//!     println!("{why}: remove everything");
//! }
//! loop {
//!     let batch = feed.next().await?;
//!     for change in &batch.changes {
//!         println!("{change:?}");
//!     }
//!     if let Some(position) = batch.position {
//!         feed.confirm(position).await?;
//!     }
//! }
//! # }
//! ```
//!
//! # Keys
//!
//! A [`TableMap`] makes a key of a row's columns: `{id}`, `user:{id}`, `{tenant}/{id}`. An insert
//! reports its key, because the key may have been cached as absent. An update reports its key, and
//! the key that the row had before if that was different. A delete reports the key that the row
//! had. A truncated table is a change of everything ([`Change::All`](gaggle_follow::Change::All)).
//! With [`payload`](TableMap::payload), inserts and updates carry the value.
//!
//! Both feeds write a column into a key as the type's output function does, in a session whose
//! settings are fixed. Callers have to write the key in the same form:
//!
//! | type | in a key | as a payload |
//! |---|---|---|
//! | `bool` | `t`, `f` | `true`, `false`, as `column::text` |
//! | `inet` of a single host | `10.0.0.1` | `10.0.0.1/32`, as `column::text` |
//! | `char(n)` | without the blanks at its end | the same |
//! | `timestamptz` | `2026-01-02 03:04:05+00`: ISO 8601 in UTC | the same |
//! | `bytea` | its bytes by replication, `\x…` in a notice | its bytes |
//! | a domain | as the type that it is over | the same |
//! | any other | as `column::text` | the same |
//!
//! The key that a row had is known only if its columns are in the table's *replica identity*,
//! which is the primary key unless it was changed. [`ReplicationFeed`] refuses a table where a
//! column is missing from it, when it opens and whenever the table changes. The error names the
//! `ALTER TABLE … REPLICA IDENTITY` that fixes it. `REPLICA IDENTITY FULL` writes the whole old
//! row to the log at each update and delete.
//!
//! # Setting up
//!
//! [`replication_sql`] and [`notify_sql`] print the statements, which can be run again. For
//! replication they are, in short:
//!
//! ```sql
//! -- postgresql.conf: wal_level = logical (a restart), max_slot_wal_keep_size = '10GB' (a reload)
//! CREATE ROLE gaggle LOGIN REPLICATION;
//! CREATE PUBLICATION gaggle_scores FOR TABLE players WITH (publish_via_partition_root = true);
//! ```
//!
//! The publication and the slot are called `gaggle_` and the group's name unless the options name
//! others. Each group of each cluster needs a slot name of its own: two clusters that follow one
//! database with the same name would wait for each other, and each would read a part of the
//! changes. A feed connects with the `application_name` `gaggle/` and the group's name, unless the
//! URL has one, and [`SlotInUse`] says which connection holds the slot.
//!
//! **Synchronous replication.** A feed must not be a synchronous standby: commits would wait for
//! it to confirm them, while it waits until they are visible. It refuses to follow if
//! `synchronous_standby_names` is `*` or contains its `application_name`. Name the standbys there
//! one by one.
//!
//! **Retiring a group.** Stop following it, then run
//! `SELECT pg_drop_replication_slot('gaggle_scores')` and `DROP PUBLICATION gaggle_scores`. If
//! several groups share a publication that the options name, use `ALTER PUBLICATION … DROP TABLE`
//! for tables that no other group follows. Do not change a publication that is followed: the feed
//! fails, and the whole group is removed. A publication that was dropped and created again needs
//! another slot, because the log is decoded with the catalog of its time. The feed creates one, or
//! fails with that reason if [`create_slot`](ReplicationOptions::create_slot) is off.
//!
//! The slot is created when a feed first opens. Creating it waits for the transactions that are
//! running; a transaction that stays open for hours delays it as long.
//!
//! **Privileges.** A replication feed needs `LOGIN`, `REPLICATION`, `CONNECT` on the database and
//! a line of `pg_hba.conf` for the database (not for `replication`, which is for physical
//! replication). A role with `REPLICATION` can read every change of every table that is published:
//! give it to this user alone. A notify feed needs `LOGIN` and `CONNECT`. The owner of the tables
//! sets up publications and triggers.
//!
//! **The log.** A slot makes the server keep its log until changes are confirmed. Without a
//! follower the log grows and finally fills the disk. `max_slot_wal_keep_size` bounds that: beyond
//! it the server invalidates the slot, and the next open creates another one and returns
//! [`Opened::Missed`](gaggle_follow::Opened::Missed). Drop the slot of a group that is no longer
//! followed. Alert on `pg_replication_slots.wal_status` other than `reserved`.
//!
//! # The URL
//!
//! `postgres://user:password@host:port/database` with these parameters: `sslmode` (`disable`,
//! `prefer`, `require`, `verify-ca`, `verify-full`), `sslrootcert`, `sslcert` and `sslkey` (files
//! in PEM, read at each connect), `host` (also the directory of a Unix socket), `port`, `user`,
//! `password`, `dbname`, `application_name`. `prefer`, the default, and `require` take any
//! certificate. An attacker who can change packets on the network can then read the changes; use
//! `verify-full`. A [`password_file`](ReplicationOptions::password_file) is read at each connect,
//! so that a password can be replaced while a feed is in use. Passwords are sent by SCRAM-SHA-256
//! or MD5, and in clear text over verified TLS or a Unix socket only. Errors and `Debug` show the
//! user, host, port and database, and never the password.
//!
//! # What a feed does in which case
//!
//! | case | [`ReplicationFeed`] |
//! |---|---|
//! | the slot is new, or was lost | `Opened::Missed`, at each opening until a position is confirmed |
//! | another server, or another timeline of it (a promoted standby, a restored backup) than the same feed saw before in this process | `Opened::Missed` |
//! | the publication leaves out a table or an operation at an opening | an error, and `Opened::Missed` once it is fixed |
//! | the publication's settings for the tables change while they are followed | an error within `status_interval`, and `Opened::Missed` afterwards |
//! | the publication or a table's identity differs from what the same feed saw before in this process | `Opened::Missed` |
//! | the publication was dropped and created again | an error, and then a new slot and `Opened::Missed` |
//! | the feed is a synchronous standby | an error that says what to change |
//! | another connection creates the slot | [`SlotInUse`] that says so, and `Opened::Missed` once it exists |
//! | another connection holds the slot | [`SlotInUse`], as the source of the error |
//! | a large transaction | bounded batches without a position, and the position with or after the last one; the server waits |
//! | the caller does not ask for the next batch | the feed reports to the server every [`status_interval`](ReplicationOptions::status_interval) that it is alive |
//! | the server sends nothing for [`silence_timeout`](ReplicationOptions::silence_timeout), although it is asked to answer | an error |
//! | nothing happens in the tables | the slot moves on with the server's log by itself, once all changes are confirmed |
//! | the server is shut down | it waits for unconfirmed changes, 5 seconds at most once the feed has read everything; then an error |
//! | a commit is in the log but not yet visible to others: always for a moment, for longer if it waits for a synchronous standby | it is reported once a second session sees it, since a load before that would return the old row |
//! | a change of a row longer than [`max_row`](ReplicationOptions::max_row) | a change of everything, and a warning |
//! | a column of a key is renamed or dropped, or the table is renamed | an error that names it, after all earlier changes, until the options or the table are changed |
//! | the same, but it was fixed before the change was read | the changes of that time are reported as changes of everything, with a warning |
//! | another table takes the name | a change of everything |
//! | a table of the publication that is not mapped | ignored, with one warning |
//! | a key column is `NULL` | the row has no key |
//! | a long value that an update did not change | its payload is not sent: the key is removed |
//!
//! # Trade-offs
//!
//! * Messages, SCRAM and MD5 come from `postgres-protocol`, the layer below `tokio-postgres`; the
//!   connection, TLS and the replication stream are this crate's own. `tokio-postgres` and `sqlx`
//!   have no replication. `pgwire-replication` and `pg_walstream` bring a second cryptographic
//!   library (aws-lc), and the former neither notices a server that vanished nor bounds what it
//!   buffers in bytes.
//! * No channel binding (`SCRAM-SHA-256-PLUS`), no GSSAPI, and one host in the URL. A cluster of
//!   servers needs a name or an address that follows the primary.
//! * Only one feed of one process remembers which server, publication and tables it followed.
//!   Another node, or a restarted one, has nothing to compare them with: a slot that was restored
//!   or copied together with its server looks complete to it. Remove the group by hand after a
//!   restore.
//! * The publication is checked every [`status_interval`](ReplicationOptions::status_interval). If
//!   it is changed and changed back between two checks, the feed notices a table that was removed
//!   and added again, but not operations that were (`SET (publish = …)`).
//! * A slot lives on one server. After a failover it is missing (before PostgreSQL 17, or without
//!   `failover` slots), a new one is created, and the group is removed.
//! * A node that dies after it has created a slot and before it has removed the group leaves a
//!   slot that looks complete. What was cached before the slot was created may then stay until it
//!   expires.
//! * [`behind_bytes`](gaggle_follow::Feed::behind_bytes) knows the end of the log when the feed
//!   was opened and what the server has sent since. While the server reads through a backlog,
//!   newer log is not counted yet.
//! * Only what the server has flushed to disk is decoded. With `synchronous_commit = off`, which
//!   can be set for a transaction, a change arrives up to three times `wal_writer_delay` (200 ms)
//!   later.
//! * A server that is shut down waits until all of its log has been read. In the middle of a large
//!   transaction it waits for the follower that applies it.
//! * Each followed group decodes the server's log by a process of its own.
//! * DDL is not in the stream: a dropped table, a dropped or detached partition and a rewritten
//!   column remove nothing. `TRUNCATE` of a single partition is not reported for its table. Remove
//!   the group by hand.
//! * Sequences, large objects, unlogged tables and materialised views are not in the stream.
//! * A notice's payload has less than 8,000 bytes; a longer key is reported as a change of
//!   everything. A transaction with many changes fills the server's queue of notices (8 GB), and
//!   each costs the writer a call of the trigger. A `bytea` column arrives as `\x…` in a notice,
//!   and as bytes by replication. Triggers do not fire for changes that a subscription applies,
//!   unless they are set to `ENABLE ALWAYS`.
//! * `LISTEN` and replication need a session of their own: connect to the server, not to a pooler
//!   such as PgBouncer in transaction mode.

mod error;
mod lsn;
mod names;
mod notify;
mod options;
mod pgoutput;
mod replication;
mod sql;
mod template;
mod wire;

pub use error::{OptionsError, PostgresError, ServerError, SlotInUse};
pub use notify::NotifyFeed;
pub use options::{NotifyOptions, ReplicationOptions, TableMap};
pub use replication::ReplicationFeed;
pub use sql::{notify_sql, replication_sql};

use template::KeyTemplate;
