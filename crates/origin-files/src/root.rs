//! The root: the directory that a path names now, which need not be the one that it named first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use cap_fs_ext::MetadataExt as _;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use tokio::time::Instant;

/// How old the last check of the path may be.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// A path, and the directory that it names.
pub(crate) struct Root {
    /// As it was given, for errors.
    given: PathBuf,
    /// The same as an absolute path, independent of the working directory.
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// `None` if the path named no directory at the last check.
    current: Option<Arc<Opened>>,
    /// When the last check began.
    looked: Instant,
}

/// A directory that is open.
pub(crate) struct Opened {
    pub(crate) dir: Dir,
    /// Device and inode. Another directory cannot get them while this one is open.
    id: (u64, u64),
    /// Distinguishes its files from those of earlier directories; `None` for the first one.
    pub(crate) edition: Option<u64>,
}

/// The path names no directory any more, or none that can be opened.
#[derive(Debug, thiserror::Error)]
#[error("the root cannot be opened: {0}")]
pub(crate) struct Lost(#[source] io::Error);

impl Root {
    /// Opens the directory. Blocks.
    pub(crate) fn open(given: &Path) -> io::Result<Self> {
        let path = std::path::absolute(given)?;
        let looked = Instant::now();
        let (dir, id) = open(&path)?;
        let current = Opened {
            dir,
            id,
            edition: None,
        };
        Ok(Self {
            given: given.to_path_buf(),
            path,
            state: Mutex::new(State {
                current: Some(Arc::new(current)),
                looked,
            }),
        })
    }

    pub(crate) fn given(&self) -> &Path {
        &self.given
    }

    /// The directory that the path named within the last second. May block.
    pub(crate) fn current(&self) -> Result<Arc<Opened>, Lost> {
        let mut state = self.state();
        match &state.current {
            Some(current) if state.looked.elapsed() < BETWEEN_LOOKS => Ok(Arc::clone(current)),
            _ => self.look_at(&mut state),
        }
    }

    /// The directory that the path names now. Blocks.
    pub(crate) fn look(&self) -> Result<Arc<Opened>, Lost> {
        self.look_at(&mut self.state())
    }

    /// The lock is held during the system call, so that the later of two checks counts.
    fn look_at(&self, state: &mut State) -> Result<Arc<Opened>, Lost> {
        let began = Instant::now();
        let (dir, id) = match open(&self.path) {
            Ok(found) => found,
            Err(error) => {
                state.current = None;
                return Err(Lost(error));
            }
        };
        state.looked = began;
        match &state.current {
            Some(current) if current.id == id => Ok(Arc::clone(current)),
            _ => {
                let edition = Some(edition(SystemTime::now()));
                let opened = Arc::new(Opened { dir, id, edition });
                state.current = Some(Arc::clone(&opened));
                Ok(opened)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> io::Result<(Dir, (u64, u64))> {
    let dir = Dir::open_ambient_dir(path, ambient_authority())?;
    let metadata = dir.dir_metadata()?;
    Ok((dir, (metadata.dev(), metadata.ino())))
}

/// A number that is unique for a change of roots, on this node and others: its time in
/// nanoseconds. (It overflows in the year 2554, and is still unique.)
#[allow(
    clippy::cast_possible_truncation,
    reason = "any bits that differ will do"
)]
fn edition(now: SystemTime) -> u64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_nanos() as u64
}
