//! Reads a file that may be being written.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::time::sleep;

use crate::FileError;

/// The most bytes that a file may have.
pub const MAX_BYTES: usize = 1 << 20;

/// How many times a changing file is read before that is an error.
const TRIES: usize = 5;
/// The longest wait between two reads.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A file as it was when it was read.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    modified: Option<SystemTime>,
    file: FileId,
}

/// Distinguishes two states of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    modified: Option<SystemTime>,
    file: FileId,
    length: usize,
    hash: u64,
}

/// The device and the inode, if the system has them: a file that replaces another has its own.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(metadata: &std::fs::Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn file_id(_: &std::fs::Metadata) -> FileId {
    (0, 0)
}

impl Content {
    pub(crate) fn look(&self) -> Look {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.bytes);
        Look {
            modified: self.modified,
            file: self.file,
            length: self.bytes.len(),
            hash: hasher.finish(),
        }
    }

    /// Whether it was not written for that long.
    fn rests(&self, since: Duration) -> bool {
        // A modification time in the future says nothing.
        let age = self.modified.and_then(|modified| modified.elapsed().ok());
        age.is_some_and(|age| age >= since)
    }
}

/// The file as it is now, perhaps half written.
pub(crate) async fn read(path: &Path) -> Result<Content, FileError> {
    // Checked before it is opened, since opening a pipe waits for its writer.
    if !tokio::fs::metadata(path).await?.is_file() {
        return Err(FileError::NotAFile);
    }
    let file = File::open(path).await?;
    let metadata = file.metadata().await?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).await?;
    if bytes.len() > MAX_BYTES {
        return Err(FileError::TooLarge);
    }
    Ok(Content {
        bytes,
        modified: metadata.modified().ok(),
        file: file_id(&metadata),
    })
}

/// The file once it no longer changes: it was written at least `every` ago, or two reads, `every`
/// apart, are equal. Otherwise a file that is written in place could be read half-written.
pub(crate) async fn read_at_rest(path: &Path, every: Duration) -> Result<Content, FileError> {
    let mut content = read(path).await?;
    for _ in 1..TRIES {
        if content.rests(every) {
            return Ok(content);
        }
        sleep(every.min(LONGEST_WAIT)).await;
        let again = read(path).await?;
        if again.look() == content.look() {
            return Ok(again);
        }
        content = again;
    }
    Err(FileError::Changing)
}
