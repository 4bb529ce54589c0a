//! Values from the files below one directory.
//!
//! A key is a path relative to the root; the value is the file's content, whole. [`FilesOrigin`]
//! opens the root and looks every key up from that handle, so that no key leads outside: not by
//! `..`, not as an absolute path, not by a symbolic link.
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
//! // Asked again with what it said of the file, it does not read the file again.
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
//! | a link that leads outside, even by way of an absolute path that ends below the root; a loop of links | a failure |
//! | no permission, an I/O error | a failure |
//! | a file over the limit | [`OriginError::TooLarge`](gaggle_group::OriginError::TooLarge) |
//! | a root that is gone | a failure, until it is back |
//!
//! A failure's text names the root, and is for the log of the node that loads. Clients and other
//! nodes are not told it.
//!
//! Only the canonical spelling of a path is a key. Were `./a` an alias of `a`, the cache would
//! hold the file twice, at two owners, and a remove of one would leave the other.
//!
//! Key bytes are name bytes on Unix, whatever they are. Elsewhere a key must be UTF-8, and one
//! with a backslash or a colon is not found.
//!
//! # Metadata and revalidation
//!
//! A value's [`Metadata`](gaggle_group::Metadata) has the time of the file's last write as
//! `Last-Modified`, and an `ETag` of its length and that time in nanoseconds. A load with a stale
//! value of the same tag is answered without reading the file: the value is still right. How long
//! a value is fresh is for the group to decide. No content type is guessed from a name.
//!
//! A file that is written while it is read has no metadata, so that it is read again.
//!
//! # Another directory at the root's path
//!
//! The path of the root may be, or lead by way of, a symbolic link that is turned to another
//! directory, as Kubernetes does with `..data` and as deployments do with `current`. A load that
//! comes a second or more after the last look at the path looks again, by device and inode, and
//! goes on below the directory that is there now. A file that is not found is looked for once more
//! below that one at once, so that a tree that is removed once it is replaced never makes its
//! files "not found". Where there is no directory any more, loads fail until there is one.
//!
//! Entity tags below a later root have the time of the change at their end: those of the files
//! before it match none of them, whatever their lengths and times. What a root was turned to while
//! no node ran is not known; there the length and the time decide.
//!
//! # Memory
//!
//! A file of 4 KiB or more draws on [`Load::budget`](gaggle_group::Load::budget) for its length
//! before it is read. One that grows while it is read has to wait for room for twice what was
//! read, up to the limit.
//!
//! # Trade-offs
//!
//! * Each load occupies a thread of tokio's blocking pool, for as long as the disk takes; 64 at a
//!   time, and others wait. A dropped load's read ends within its next 256 KiB. A file system that
//!   hangs keeps its threads, and a runtime that is dropped waits for them: end it by
//!   `Runtime::shutdown_timeout` or `shutdown_background`.
//! * A file that is written in place can be read half old, half new. Write a new file and rename
//!   it over the old one.
//! * A change that keeps a file's length and its time of writing is not seen by a revalidation.
//!   Tools that set the time back make such changes (`cp -p`, `rsync -t`, `touch -r`), and so do
//!   two writes within one tick of the file system's clock, a few milliseconds on Linux. A remove
//!   of the key makes the group read the file again.
//! * For up to a second after a root is turned, files of the one before may be read. After it, each
//!   stale value is read again once. Symbolic links *below* the root are followed again on each
//!   load.
//! * A file system that ignores case, or that normalises Unicode, makes aliases that this crate
//!   does not see.
//! * Hidden files are served like all others: the root should hold nothing else than values.

mod origin;
mod path;
mod reading;
mod root;
mod state;

pub use origin::{FilesOrigin, OpenError};
