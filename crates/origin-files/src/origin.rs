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
    /// What the system said.
    pub source: io::Error,
}

/// A failure of a load, with what the system or the runtime said.
#[derive(Debug, thiserror::Error)]
#[error("files below {}: {source}", .root.display())]
struct Failure {
    root: PathBuf,
    source: Box<dyn Error + Send + Sync>,
}

/// The most reads of one origin at a time, those included that nobody waits for any more: tokio's
/// blocking pool has 512 threads for all that blocks, and a file system that hangs must not take
/// them all.
const MAX_READS: usize = 64;

/// How often a file is looked for that is not there while the root becomes another one each time.
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

/// A read that is under way, with its place among those of the origin. Dropped, it tells the
/// thread that reads.
struct Turn {
    place: Arc<OwnedSemaphorePermit>,
    abandoned: Abandoned,
}

impl Turn {
    /// Runs `work` in a thread that may block. The thread has the place for as long as that takes,
    /// whoever waits.
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

impl Drop for Turn {
    fn drop(&mut self) {
        self.abandoned.set();
    }
}

impl FilesOrigin {
    /// Reads a file, unless it is in the state that the load knows of. What is to be read is
    /// reserved before.
    async fn read(&self, path: PathBuf, load: &Load<'_>) -> Result<Found, OriginError> {
        let max_value = load.max_value;
        let known = load.stale.and_then(|stale| stale.get(Field::ETag));
        let known = known.map(<[u8]>::to_vec);
        let root = Arc::clone(&self.root);
        let place = Arc::clone(&self.reads).acquire_owned().await;
        let turn = Turn {
            place: Arc::new(place.map_err(|error| self.failed(error))?),
            abandoned: Abandoned::default(),
        };
        let mut step = turn
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
                    step = turn
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

/// Looks a file up and reads it if it is small, unless it is in the state that the entity tag
/// `known` tells of. Blocks.
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
        // Nothing is there, or can be read, in a directory that has been removed: what counts is
        // the one that the path names by now.
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
    // Looked at before it is opened, as opening a device can have effects. What takes its
    // place in between is caught by the second look, at what was opened; without `nonblock`, a
    // FIFO that did would hang the open.
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
    // What is below that draws on no budget.
    if metadata.len() < ByteBudget::SMALL as u64 {
        let room = reading.room(max_value);
        return reading.go_on(room, max_value, abandoned);
    }
    Ok(Step::More(reading))
}

/// Whether the error says that there is no file of this name, rather than that looking failed.
fn names_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};

    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}
