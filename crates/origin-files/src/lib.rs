//! Values from the files below one directory.
//!
//! A key is a path relative to the root; the value is the whole content of the file.
//! [`FilesOrigin`] opens the root and looks up every key from that handle, so that no key leads
//! outside: not by `..`, not as an absolute path, not by a symbolic link.
//!
//! ```
//! use gaggle_group::{Content, Key, Load, Origin};
//! use gaggle_origin_files::FilesOrigin;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let root = tempfile::tempdir()?;
//! std::fs::write(root.path().join("motd"), "hello")?;
//!
//! let origin = FilesOrigin::open(root.path())?;
//! let key = Key::from("motd");
//! let found = origin.load(Load::new(&key, 1024)).await?;
//! assert_eq!(found.content, Content::Value("hello".into()));
//! // With the metadata of the last answer, it does not read the file again.
//! let again = origin.load(Load::new(&key, 1024).with_stale(&found.metadata)).await?;
//! assert_eq!(again.content, Content::NotModified);
//! let outside = origin.load(Load::new(&Key::from("../motd"), 1024)).await?;
//! assert_eq!(outside.content, Content::Absent);
//! # Ok(()) }
//! ```
//!
//! # What a key names
//!
//! | key | answer |
//! |---|---|
//! | `a/b` where that is a regular file, or a symbolic link to one below the root | its bytes |
//! | a file that does not exist; a directory, FIFO, socket or device | not found |
//! | empty, absolute, with NUL, `a//b`, `a/`, `./a`, `a/../b`, a name too long for the file system | not found |
//! | a link that leads outside, even through an absolute path that ends below the root; a loop of links | a failure |
//! | no permission, an I/O error | a failure |
//! | a file over the limit | [`OriginError::TooLarge`](gaggle_group::OriginError::TooLarge) |
//! | a missing root | a failure, until it exists again |
//!
//! A failure's text names the root, and is for the log of the node that loads. Clients and other
//! nodes do not get it.
//!
//! Only the canonical spelling of a path is a key. If `./a` were an alias of `a`, the cache would
//! hold the file twice, at two owners, and a removal of one would leave the other.
//!
//! On Unix a key's bytes are the name's bytes, whatever they are. On other systems a key must be
//! UTF-8, and one with a backslash or a colon is not found.
//!
//! # Metadata and revalidation
//!
//! A value's [`Metadata`](gaggle_group::Metadata) has the time of the file's last write as
//! `Last-Modified`, and an `ETag` of its length and that time in nanoseconds. A load with a stale
//! value of the same tag is answered without reading the file: the value is still correct. The
//! group decides how long a value is fresh. No content type is guessed from a name.
//!
//! A file that is written while it is read has no metadata, so that it is read again.
//!
//! # Another directory at the root's path
//!
//! The path of the root may be, or lead through, a symbolic link that is changed to another
//! directory, as Kubernetes does with `..data` and as deployments do with `current`. A load that
//! arrives a second or more after the last check of the path checks it again, by device and inode,
//! and continues below the directory that is there now. A file that is not found is looked up
//! again below that directory immediately, so that a tree that is removed after it is replaced
//! never makes its files "not found". If the directory is missing, loads fail until it exists
//! again.
//!
//! Entity tags below a later root have the time of the change at their end: tags of earlier files
//! never match them, whatever their lengths and times. Changes of the root while no node was
//! running are not known; only the length and the time count then.
//!
//! # Memory
//!
//! A file of 4 KiB or more draws on [`Load::budget`](gaggle_group::Load::budget) for its length
//! before it is read. One that grows while it is read has to wait for room for twice what was
//! read, up to the limit.
//!
//! # Trade-offs
//!
//! * Each load occupies a thread of tokio's blocking pool, for as long as the disk takes. At most
//!   64 loads run at the same time, and others wait. A dropped load's read ends within its next
//!   256 KiB. A file system that hangs keeps its threads, and a runtime that is dropped waits for
//!   them: shut it down with `Runtime::shutdown_timeout` or `shutdown_background`.
//! * A file that is written in place can be read half old, half new. Write a new file and rename
//!   it over the old one.
//! * A change that keeps a file's length and its modification time is not seen by a revalidation.
//!   Tools that set the time back make such changes (`cp -p`, `rsync -t`, `touch -r`), and so do
//!   two writes within one tick of the file system's clock, a few milliseconds on Linux. A removal
//!   of the key makes the group read the file again.
//! * For up to a second after a root becomes another directory, files of the previous one may be
//!   read. After the change, each stale value is read again once. Symbolic links *below* the root
//!   are followed again on each load.
//! * A file system that ignores case, or that normalises Unicode, makes aliases that this crate
//!   does not see.
//! * Hidden files are served like all others: the root should hold only values.

mod origin;
mod path;
mod reading;
mod root;
mod state;

pub use origin::{FilesOrigin, OpenError};
