//! Tells which files below a directory have changed, so that their cached values are removed.
//!
//! [`FilesFeed`] watches the root of a [gaggle-origin-files] origin, by inotify on Linux, and is a
//! [`Feed`](gaggle_follow::Feed) for a [`Follower`](gaggle_follow::Follower). Values then need no
//! time to live: a file that is written is read again at the next get.
//!
//! [gaggle-origin-files]: https://docs.rs/gaggle-origin-files
//!
//! ```
//! use gaggle_follow::{Follower, Options};
//! use gaggle_follow_files::FilesFeed;
//! use gaggle_group::Group;
//! use gaggle_origin_files::FilesOrigin;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let root = tempfile::tempdir()?;
//! # std::fs::write(root.path().join("motd"), "hello")?;
//! let pages = Group::builder("pages").origin(FilesOrigin::open(root.path())?).build()?;
//! let feed = FilesFeed::new(root.path())?;
//! let follower = Follower::start(pages.clone(), feed, Options::default());
//! assert_eq!(pages.get("motd").await?, "hello");
//!
//! std::fs::write(root.path().join("motd"), "good evening")?;
//! # let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
//! while pages.get("motd").await? != "good evening" {
//!     // The change is told within milliseconds.
//!     tokio::task::yield_now().await;
//! #   assert!(std::time::Instant::now() < until);
//! }
//! follower.stop().await;
//! # Ok(()) }
//! ```
//!
//! # What is told
//!
//! | what happens below the root | what is told |
//! |---|---|
//! | a file is made, written, truncated, closed after writing, touched, moved, deleted | its key: the path relative to the root |
//! | the same of a file to which symbolic links lead, or to a directory above it | each of its keys |
//! | a symbolic link is made, changed or deleted, or what it leads through is another link for which that is so | its key, or everything where it leads to a directory |
//! | what a dangling link leads to is made | the key of the link too |
//! | a directory is made, or moved here | the keys of all files that it has; it is watched from then on |
//! | a directory, or a link to one, is moved away or deleted | everything: which files it had is not known |
//! | the root's path leads to another directory | everything, and again 1.25 s later, as the origin reads from the one before for up to a second |
//! | more changes than are kept, here (8,192 paths, 2 MiB) or by the operating system | everything |
//! | the root is gone | a failure, until it is back |
//!
//! Each [`open`](gaggle_follow::Feed::open) says that changes may have been missed, so that the
//! group is removed: nobody watched before. It is removed once more 1.25 s later, for the reason
//! above. Batches have no position.
//!
//! # Which nodes have to follow
//!
//! * **One directory that all nodes share**, on one machine or on a file system that tells of
//!   changes: one node follows, as with any source.
//! * **A directory of each node's own**, as in an image or on a local disk: every node has to
//!   follow its own, with [`Options::everywhere`](gaggle_follow::Options::everywhere). Each
//!   removes what has changed from all nodes, as copies of its values may be anywhere. A node that
//!   starts removes the group.
//! * **NFS, SMB, FUSE, a mounted bucket**: the operating system tells only what this machine has
//!   changed. What other machines write is not seen. Use a time to live there.
//!
//! # Limits of the operating system
//!
//! A watch is needed for each directory, not for each file: about 1 KiB of the kernel's memory.
//! Beyond `fs.inotify.max_user_watches` opening fails with an error that names it. A directory
//! that may not be read cannot be watched: opening fails with an error that names it, and so does a
//! feed below whose root one appears. The follower opens it again and again, and so goes on once the
//! directory may be read or is gone.
//!
//! # Trade-offs
//!
//! * A file that is written in place is told at its first write and at each later one, and may be
//!   loaded half-written in between; it is told once more when it is closed. Write a new file and
//!   rename it.
//! * Writes by way of `mmap` are told when the file is closed, those by another hard link not at
//!   all.
//! * Reading is told by the operating system, too, and passed over here: each load costs an event.
//!   If 16,384 of them (`fs.inotify.max_queued_events`) are waiting, everything is removed.
//! * With more than 1,024 symbolic links, dangling ones included, each change removes the group. So
//!   does each change of a file that has more than 64 names by links.
//! * A link that leads outside of the root, and from there back into it, is looked at only when a
//!   link or a directory below the root changes: nothing outside is watched.
//! * After an overflow, and when the root is turned, the whole tree is read again.
//! * It is made for Linux. Elsewhere `notify` may tell less, or nothing without its features.

mod error;
mod feed;
mod key;
mod links;
mod pending;
mod tree;

pub use feed::FilesFeed;
