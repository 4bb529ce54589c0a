//! Warm starts: a file of the keys that a group holds, from which it is loaded after a restart.
//!
//! A process that starts has an empty cache, and each of its first gets is a load. A [`Keeper`]
//! writes the keys of a [`Group`](gaggle_group::Group), the most valuable first, at intervals and
//! when it is [stopped](Keeper::stop). After the restart, the keeper reads them and makes the
//! group load those that it owns, in the background: see
//! [`Group::warm`](gaggle_group::Group::warm) for how that yields to callers.
//!
//! ```
//! use std::time::Duration;
//! use gaggle_group::Group;
//! use gaggle_snapshot::{Keeper, Options, Snapshot};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("users.keys");
//! let users = Group::builder("users")
//!     .origin_fn(|key: bytes::Bytes| async move { Ok::<_, std::io::Error>(Some(key)) })
//!     .build()?;
//! // Once the members of the cluster are known: a node warms what it owns.
//! let keeper = Keeper::start(users.clone(), Snapshot::new(&path), Options::default());
//! # while !keeper.has_warmed() { tokio::task::yield_now().await; }
//! users.get("Tom").await?;
//!
//! keeper.stop(Duration::from_secs(1)).await;
//! assert!(path.exists());
//! # Ok(()) }
//! ```
//!
//! [`Snapshot`] alone writes and warms once, for programs that have a schedule of their own.
//!
//! # The file
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `89 47 47 4C 4B 45 59 0A` |
//! | 4 | the version, 1 |
//! | 4, and that many bytes | the group's name |
//! | 4, and that many bytes, for each key | the key |
//! | 4 | `FF FF FF FF` |
//! | 8 | the number of keys |
//! | 8 | XXH3, of 64 bits and without a seed, of all bytes before |
//!
//! Numbers are little-endian. A file has at most 256 MiB; the least valuable keys beyond that are
//! left out. It is written next to its final path, with the suffix `.gaggle-partial`, synchronised
//! and renamed. A regular file with that name is removed first, whatever it holds: a run that was
//! killed, or a power loss, can leave one. If the path is a symbolic link, the file that it leads
//! to is replaced, and written next to that. On Unix only its owner can read it, as keys may be
//! confidential.
//!
//! A more valuable snapshot is not replaced by a less valuable one: a write that times out
//! replaces none with more keys, and for an hour after a warm start that could not load all keys,
//! none is replaced by one with less than half of them.
//!
//! A file is checked as a whole before its first key is loaded. One that is truncated, is damaged
//! or has a version that this release does not know is not used, and the next snapshot replaces
//! it. A file that is no snapshot, or is that of another group, is not used and never replaced:
//! the path is wrong.
//!
//! # Trade-offs
//!
//! * Keys are kept, and not values: values would have to be as fresh as the removals that a
//!   stopped node has missed. A warm start therefore asks the origin, or the node that owned a key
//!   meanwhile, once for each key.
//! * A snapshot is consistent for each key, but not over all keys. Keys that are stored or moved
//!   while it is written may be missing.
//! * Until warming has ended, the file of the previous run stays: it is more complete than a cache
//!   that is half full. A group that holds nothing leaves its file as it is, too.
//! * Two processes must not share a file. If one begins to write while the other is writing, its
//!   write fails, where the file system has locks. If they write at different times, and their
//!   groups have one name, that is not noticed.

mod error;
mod file;
mod format;
mod keeper;
mod partial;
mod snapshot;

pub use error::{Flaw, SnapshotError};
pub use keeper::{Keeper, Options};
pub use snapshot::{Snapshot, WriteOptions, Written};
