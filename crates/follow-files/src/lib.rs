//! Reports which files below a directory have changed, so that their cached values are removed.
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
//!     // The change is reported within milliseconds.
//!     tokio::task::yield_now().await;
//! #   assert!(std::time::Instant::now() < until);
//! }
//! follower.stop().await;
//! # Ok(()) }
//! ```
//!
//! # What is reported
//!
//! | what happens below the root | what is reported |
//! |---|---|
//! | a file is made, written, truncated, closed after writing, touched, moved, deleted | its key: the path relative to the root |
//! | the same for a file that symbolic links lead to, directly or by a directory above it | each of its keys |
//! | a symbolic link is made, changed or deleted, or another link that it leads through is | its key, or everything if it leads to a directory |
//! | the target of a dangling link is made | the key of the link too |
//! | a directory is made, or moved here | the keys of all files that it has; it is watched from then on |
//! | a directory, or a link to one, is moved away or deleted | everything, since it is not known which files it had |
//! | the root's path leads to another directory | everything, and again 1.25 s later, since the origin reads from the previous one for up to a second |
//! | more changes than are kept, here (8,192 paths, 2 MiB) or by the operating system | everything |
//! | the root is missing | a failure, until it exists again |
//!
//! Each [`open`](gaggle_follow::Feed::open) reports that changes may have been missed, since
//! nothing was watched before, so that the group is removed. It is removed once more 1.25 s later,
//! for the reason above. Batches have no position.
//!
//! # Which nodes have to follow
//!
//! * **One directory that all nodes share**, on one machine or on a file system that reports
//!   changes: one node follows, as with any source.
//! * **A separate directory for each node**, as in an image or on a local disk: every node has to
//!   follow its own, with [`Options::everywhere`](gaggle_follow::Options::everywhere). Each
//!   removes its changes from all nodes, since any node may have copies of its values. A node that
//!   starts removes the group.
//! * **NFS, SMB, FUSE, a mounted bucket**: the operating system reports only changes by this
//!   machine, not those by other machines. Use a time to live there.
//!
//! # Limits of the operating system
//!
//! A watch is needed for each directory, not for each file: about 1 KiB of the kernel's memory.
//! Beyond `fs.inotify.max_user_watches`, opening fails with an error that names it. A directory
//! that may not be read cannot be watched: opening fails with an error that names it, and a feed
//! fails in the same way when one appears below its root. The follower retries the opening, and so
//! continues once the directory can be read or has been removed.
//!
//! # Trade-offs
//!
//! * A file that is written in place is reported at each write, and may be loaded half-written in
//!   between; it is reported once more when it is closed. Write a new file and rename it.
//! * Writes through `mmap` are reported when the file is closed. Writes through another hard link
//!   are not reported.
//! * The operating system reports reads too, and this crate ignores them: each load costs an
//!   event. If 16,384 of them (`fs.inotify.max_queued_events`) are waiting, everything is removed.
//! * With more than 1,024 symbolic links, dangling ones included, each change removes the group.
//!   So does each change of a file that has more than 64 names by links.
//! * A link that leads outside of the root, and from there back into it, is checked only when a
//!   link or a directory below the root changes: nothing outside is watched.
//! * After an overflow, and when the root becomes another directory, the whole tree is read again.
//! * It is made for Linux. On other systems `notify` may report less, or nothing without its
//!   features.

mod error;
mod feed;
mod key;
mod links;
mod pending;
mod tree;

pub use feed::FilesFeed;
