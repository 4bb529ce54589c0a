//! The origin: look a path up from the root's handle, and read it.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cap_fs_ext::OpenOptionsSyncExt as _;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use gaggle_group::{Key, Loaded, Origin, OriginError};

use crate::path::path_of;

/// The files below one directory. A clone shares the directory's handle.
#[derive(Clone)]
pub struct FilesOrigin {
    root: Arc<Root>,
}

/// Why the root could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the root {}: {source}", .root.display())]
pub struct OpenError {
    /// The root, as it was given.
    pub root: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

struct Root {
    dir: Dir,
    /// For errors only.
    path: PathBuf,
}

/// What a read of one path brought.
enum Found {
    Value(Vec<u8>),
    Nothing,
    TooLarge(Option<u64>),
}

impl FilesOrigin {
    /// Opens `root`, which must be a directory. Blocks for one look-up in the file system.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = root.as_ref().to_path_buf();
        match Dir::open_ambient_dir(&path, ambient_authority()) {
            Ok(dir) => Ok(Self {
                root: Arc::new(Root { dir, path }),
            }),
            Err(source) => Err(OpenError { root: path, source }),
        }
    }

    /// The root, as it was given to [`open`](Self::open).
    pub fn root(&self) -> &Path {
        &self.root.path
    }
}

#[async_trait]
impl Origin for FilesOrigin {
    async fn load(&self, key: &Key, max_value: u64) -> Result<Option<Loaded>, OriginError> {
        let Some(path) = path_of(key) else {
            return Ok(None);
        };
        let root = Arc::clone(&self.root);
        let read = tokio::task::spawn_blocking(move || root.read(&path, max_value));
        match read.await {
            Ok(Ok(Found::Value(value))) => Ok(Some(value.into())),
            Ok(Ok(Found::Nothing)) => Ok(None),
            Ok(Ok(Found::TooLarge(len))) => Err(OriginError::TooLarge {
                len,
                limit: max_value,
            }),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(ended) if ended.is_panic() => Err(self.failed("the read panicked")),
            Err(_) => Err(self.failed("the read was cancelled")),
        }
    }
}

impl FilesOrigin {
    fn failed(&self, reason: impl fmt::Display) -> OriginError {
        OriginError::failed(format!(
            "files below {}: {reason}",
            self.root.path.display()
        ))
    }
}

impl fmt::Debug for FilesOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesOrigin")
            .field("root", &self.root.path)
            .finish()
    }
}

impl Root {
    fn read(&self, path: &Path, max_value: u64) -> io::Result<Found> {
        self.read_if_there(path, max_value).or_else(|error| {
            if names_nothing(&error) {
                Ok(Found::Nothing)
            } else {
                Err(error)
            }
        })
    }

    fn read_if_there(&self, path: &Path, max_value: u64) -> io::Result<Found> {
        // Looked at before it is opened, as opening a device can have effects. What takes its place in between is
        // caught by the second look, at what was opened; without `nonblock`, a FIFO that did would hang the open.
        if !self.dir.metadata(path)?.is_file() {
            return Ok(Found::Nothing);
        }
        let file = self
            .dir
            .open_with(path, OpenOptions::new().read(true).nonblock(true))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Found::Nothing);
        }
        if metadata.len() > max_value {
            return Ok(Found::TooLarge(Some(metadata.len())));
        }
        let mut value = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        // It may have grown since; one byte over the limit is enough to know.
        file.take(max_value.saturating_add(1))
            .read_to_end(&mut value)?;
        if value.len() as u64 > max_value {
            return Ok(Found::TooLarge(None));
        }
        // The value stays in memory for long, and spare capacity with it.
        value.shrink_to_fit();
        Ok(Found::Value(value))
    }
}

/// Whether the error says that there is no file of this name, rather than that looking failed.
fn names_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};

    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}
