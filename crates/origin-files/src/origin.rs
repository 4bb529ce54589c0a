//! The origin: look a path up from the root's handle, and read it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cap_fs_ext::OpenOptionsSyncExt as _;
use cap_std::fs::OpenOptions;
use gaggle_group::{
    ByteBudget, Field, Load, Loaded, Origin, OriginError, OriginFault, Reservation,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::path::path_of;
use crate::reading::{Abandoned, Found, Reading, Step};
use crate::root::{Lost, Opened, Root};
use crate::state::State;

/// The files below one directory. A clone shares the directory's handle.
#[derive(Clone)]
pub struct FilesOrigin {
    root: Arc<Root>,
    reads: Arc<Semaphore>,
}

/// Why the root could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the root {}: {source}", .root.display())]
pub struct OpenError {
    /// The root, as it was given.
    pub root: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

/// A failure of a load, with the error of the system or the runtime.
#[derive(Debug, thiserror::Error)]
#[error("files below {}: {source}", .root.display())]
struct Failure {
    root: PathBuf,
    source: Box<dyn Error + Send + Sync>,
}

/// The most concurrent reads of one origin, including those whose loads were dropped: tokio's
/// blocking pool has 512 threads for all blocking work, and a file system that hangs must not take
/// them all.
const MAX_READS: usize = 64;

/// How often a missing file is looked up again while the root becomes another one each time.
const MAX_ROOTS: usize = 4;

impl FilesOrigin {
    /// Opens `root`, which must be a directory. Blocks for one look-up in the file system.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = root.as_ref();
        match Root::open(path) {
            Ok(root) => Ok(Self {
                root: Arc::new(root),
                reads: Arc::new(Semaphore::new(MAX_READS)),
            }),
            Err(source) => Err(OpenError {
                root: path.to_path_buf(),
                source,
            }),
        }
    }

    /// The root, as it was given to [`open`](Self::open).
    pub fn root(&self) -> &Path {
        self.root.given()
    }
}

#[async_trait]
impl Origin for FilesOrigin {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let Some(path) = path_of(load.key) else {
            return Ok(Loaded::absent());
        };
        match self.read(path, &load).await? {
            Found::Value(value, metadata) => Ok(Loaded::value(value).with_metadata(metadata)),
            Found::Unchanged(metadata) => Ok(Loaded::not_modified().with_metadata(metadata)),
            Found::Nothing => Ok(Loaded::absent()),
            Found::TooLarge(len) => Err(OriginError::TooLarge {
                len,
                limit: load.max_value,
            }),
        }
    }
}

/// A read in progress, with its slot among those of the origin. Its drop notifies the thread that
/// reads.
struct Read {
    place: Arc<OwnedSemaphorePermit>,
    abandoned: Abandoned,
}

impl Read {
    /// Runs `work` in a blocking thread. The thread holds the slot for as long as that takes, even
    /// if the load is dropped.
    async fn run(
        &self,
        work: impl FnOnce(&Abandoned) -> io::Result<Step> + Send + 'static,
    ) -> Result<Step, Box<dyn Error + Send + Sync>> {
        let (place, abandoned) = (Arc::clone(&self.place), self.abandoned.clone());
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            abandoned.check()?;
            work(&abandoned)
        });
        // The error is that it panicked, or that the runtime is shutting down.
        Ok(done.await??)
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        self.abandoned.set();
    }
}

impl FilesOrigin {
    /// Reads a file, unless it is in the state that the load knows. Its bytes are reserved first.
    async fn read(&self, path: PathBuf, load: &Load<'_>) -> Result<Found, OriginError> {
        let max_value = load.max_value;
        let known = load.stale.and_then(|stale| stale.get(Field::ETag));
        let known = known.map(<[u8]>::to_vec);
        let root = Arc::clone(&self.root);
        let place = Arc::clone(&self.reads).acquire_owned().await;
        let read = Read {
            place: Arc::new(place.map_err(|error| self.failed(error))?),
            abandoned: Abandoned::default(),
        };
        let mut step = read
            .run(move |abandoned| look(&root, &path, max_value, known.as_deref(), abandoned))
            .await;
        let mut reserved: Option<Reservation> = None;
        loop {
            match step.map_err(|error| self.failed(error))? {
                Step::Done(found) => return Ok(found),
                Step::More(reading) => {
                    let room = reading.room(max_value);
                    match (&mut reserved, load.budget) {
                        (Some(reserved), _) => reserved.grow_to(room).await?,
                        (None, Some(budget)) => reserved = Some(budget.reserve(room).await?),
                        (None, None) => {}
                    }
                    step = read
                        .run(move |abandoned| reading.go_on(room, max_value, abandoned))
                        .await;
                }
            }
        }
    }
}

impl FilesOrigin {
    fn failed(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> OriginError {
        let source = source.into();
        let inner = source
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let fault = if inner.is_some_and(<dyn Error + Send + Sync>::is::<Lost>) {
            OriginFault::Unreachable
        } else {
            OriginFault::Other
        };
        OriginError::failed(Failure {
            root: self.root.given().to_path_buf(),
            source,
        })
        .known_as(fault)
    }
}

impl fmt::Debug for FilesOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesOrigin")
            .field("root", &self.root.given())
            .finish()
    }
}

/// Looks a file up and reads it if it is small, unless it is in the state of the entity tag
/// `known`. Blocks.
fn look(
    root: &Root,
    path: &Path,
    max_value: u64,
    known: Option<&[u8]>,
    abandoned: &Abandoned,
) -> io::Result<Step> {
    let mut opened = root.current().map_err(io::Error::other)?;
    for _ in 0..MAX_ROOTS {
        let error = match look_below(&opened, path, max_value, known, abandoned) {
            Err(error) => error,
            found => return found,
        };
        // A directory that has been removed has no readable files: the one that the path names now
        // counts.
        let now = root.look().map_err(io::Error::other)?;
        if !Arc::ptr_eq(&opened, &now) {
            opened = now;
        } else if names_nothing(&error) {
            return Ok(Step::Done(Found::Nothing));
        } else {
            return Err(error);
        }
    }
    Err(io::Error::other("the root is another one at each look"))
}

fn look_below(
    root: &Opened,
    path: &Path,
    max_value: u64,
    known: Option<&[u8]>,
    abandoned: &Abandoned,
) -> io::Result<Step> {
    // Checked before it is opened, since opening a device can have effects. If it is replaced in
    // between, the second check, of the opened file, detects it; without `nonblock`, a FIFO in its
    // place would make the open hang.
    if !root.dir.metadata(path)?.is_file() {
        return Ok(Step::Done(Found::Nothing));
    }
    let file = root
        .dir
        .open_with(path, OpenOptions::new().read(true).nonblock(true))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Step::Done(Found::Nothing));
    }
    if metadata.len() > max_value {
        return Ok(Step::Done(Found::TooLarge(Some(metadata.len()))));
    }
    let state = State::of(&metadata, root.edition);
    if let Some(state) = &state
        && known == Some(state.entity_tag().as_bytes())
    {
        return Ok(Step::Done(Found::Unchanged(state.metadata())));
    }
    let reading = Reading::of(file, state, root.edition, metadata.len());
    // A smaller file draws on no budget.
    if metadata.len() < ByteBudget::SMALL as u64 {
        let room = reading.room(max_value);
        return reading.go_on(room, max_value, abandoned);
    }
    Ok(Step::More(reading))
}

/// Whether the error says that there is no file of this name, rather than that the look-up failed.
fn names_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};

    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}
