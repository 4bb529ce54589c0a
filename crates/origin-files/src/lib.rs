//! Values from the files below one directory.
//!
//! A key is a path relative to the root; the value is the file's content, whole. [`FilesOrigin`] opens the root once and
//! looks every key up from that handle, so that no key leads outside: not by `..`, not as an absolute path, not by a
//! symbolic link.
//!
//! ```
//! use gaggle_group::{Key, Origin};
//! use gaggle_origin_files::FilesOrigin;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let root = tempfile::tempdir()?;
//! std::fs::write(root.path().join("motd"), "hello")?;
//!
//! let origin = FilesOrigin::open(root.path())?;
//! let found = origin.load(&Key::from("motd"), 1024).await?;
//! assert_eq!(found.map(|loaded| loaded.value), Some("hello".into()));
//! assert_eq!(origin.load(&Key::from("../motd"), 1024).await?, None);
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
//!
//! Only the canonical spelling of a path is a key. Were `./a` an alias of `a`, the cache would hold the file twice, at two
//! owners, and a remove of one would leave the other.
//!
//! Key bytes are name bytes on Unix, whatever they are. Elsewhere a key must be UTF-8, and one with a backslash or a colon
//! is not found.
//!
//! # Trade-offs
//!
//! * Each load occupies a thread of tokio's blocking pool, for as long as the disk takes. A dropped load is no longer
//!   waited for, but its read runs to the end. The group bounds how many loads run at once.
//! * A file that is written in place can be read half old, half new. Write a new file and rename it over the old one.
//! * The root is the directory that was opened. If it is moved, it is still read; if another takes its place, that one is
//!   not. Symbolic links *below* the root are followed anew on each load.
//! * A file system that ignores case, or that normalises Unicode, makes aliases that this crate does not see.
//! * Hidden files are served like all others: the root should hold nothing else than values.

mod origin;
mod path;

pub use origin::{FilesOrigin, OpenError};
