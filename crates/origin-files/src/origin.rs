//! The origin: look a path up from the root's handle, and read it.

use std::error::Error;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cap_fs_ext::OpenOptionsSyncExt as _;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use gaggle_group::{Field, Load, Loaded, Metadata, Origin, OriginError};

use crate::path::path_of;
use crate::state::State;

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

/// A failure of a load, with what the system or the runtime said.
#[derive(Debug, thiserror::Error)]
#[error("files below {}: {source}", .root.display())]
struct Failure {
    root: PathBuf,
    source: Box<dyn Error + Send + Sync>,
}

/// What a read of one path brought.
enum Found {
    Value(Vec<u8>, Metadata),
    Unchanged(Metadata),
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
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let Some(path) = path_of(load.key) else {
            return Ok(Loaded::absent());
        };
        let max_value = load.max_value;
        let known = load.stale.and_then(|stale| stale.get(Field::ETag));
        let known = known.map(<[u8]>::to_vec);
        let root = Arc::clone(&self.root);
        let read =
            tokio::task::spawn_blocking(move || root.read(&path, max_value, known.as_deref()));
        match read.await {
            Ok(Ok(Found::Value(value, metadata))) => {
                Ok(Loaded::value(value).with_metadata(metadata))
            }
            Ok(Ok(Found::Unchanged(metadata))) => {
                Ok(Loaded::not_modified().with_metadata(metadata))
            }
            Ok(Ok(Found::Nothing)) => Ok(Loaded::absent()),
            Ok(Ok(Found::TooLarge(len))) => Err(OriginError::TooLarge {
                len,
                limit: max_value,
            }),
            Ok(Err(error)) => Err(self.failed(error)),
            // It panicked, or the runtime is shutting down.
            Err(ended) => Err(self.failed(ended)),
        }
    }
}

impl FilesOrigin {
    fn failed(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> OriginError {
        OriginError::failed(Failure {
            root: self.root.path.clone(),
            source: source.into(),
        })
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
    /// Reads a file, unless it is in the state that the entity tag `known` tells of.
    fn read(&self, path: &Path, max_value: u64, known: Option<&[u8]>) -> io::Result<Found> {
        self.read_if_there(path, max_value, known).or_else(|error| {
            if names_nothing(&error) {
                Ok(Found::Nothing)
            } else {
                Err(error)
            }
        })
    }

    fn read_if_there(
        &self,
        path: &Path,
        max_value: u64,
        known: Option<&[u8]>,
    ) -> io::Result<Found> {
        // Looked at before it is opened, as opening a device can have effects. What takes its place in between is
        // caught by the second look, at what was opened; without `nonblock`, a FIFO that did would hang the open.
        if !self.dir.metadata(path)?.is_file() {
            return Ok(Found::Nothing);
        }
        let mut file = self
            .dir
            .open_with(path, OpenOptions::new().read(true).nonblock(true))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Found::Nothing);
        }
        if metadata.len() > max_value {
            return Ok(Found::TooLarge(Some(metadata.len())));
        }
        let state = State::of(&metadata);
        if let Some(state) = &state
            && known == Some(state.entity_tag().as_bytes())
        {
            return Ok(Found::Unchanged(state.metadata()));
        }
        let mut value = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        // It may have grown since; one byte over the limit is enough to know.
        (&mut file)
            .take(max_value.saturating_add(1))
            .read_to_end(&mut value)?;
        if value.len() as u64 > max_value {
            return Ok(Found::TooLarge(None));
        }
        // The value stays in memory for long, and spare capacity with it.
        value.shrink_to_fit();
        // A file that was written meanwhile may have been read half old, half new. No tag may say later that this is it.
        let settled = State::of(&file.metadata()?) == state;
        let metadata = state.filter(|_| settled).map(|state| state.metadata());
        Ok(Found::Value(value, metadata.unwrap_or_default()))
    }
}

/// Whether the error says that there is no file of this name, rather than that looking failed.
fn names_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};

    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}
