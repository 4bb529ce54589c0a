//! The file beside a snapshot to which the next one is written.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tracing::debug;

use crate::{Flaw, SnapshotError};

/// The suffix of a file that is being written. No snapshot may have such a name: what has it is
/// removed.
const SUFFIX: &str = ".gaggle-partial";

/// A new file, which is locked for as long as this is held.
///
/// The lock is how another process that writes the same snapshot is noticed: only the holder of a
/// file's lock removes it from this path. A process that ends, in whatever way, leaves its file
/// unlocked.
#[derive(Debug)]
pub(crate) struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    /// Creates the file beside that one, in place of what a run that was killed has left there:
    /// the name is fixed. After a power loss it can hold anything.
    ///
    /// # Errors
    ///
    /// If another process writes it, or what is there is no regular file and no link. A link is
    /// removed and not followed.
    pub(crate) fn beside(path: &Path) -> Result<Self, SnapshotError> {
        let mut name = path.as_os_str().to_owned();
        name.push(SUFFIX);
        let path = PathBuf::from(name);
        match create(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(failure) => Err(Flaw::Io(failure).at(&path)),
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// An error of this file.
    pub(crate) fn failed(&self, failure: io::Error) -> SnapshotError {
        Flaw::Io(failure).at(&self.path)
    }

    /// Puts it in the place of that file, in one step.
    pub(crate) fn replace(&self, path: &Path) -> Result<(), SnapshotError> {
        fs::rename(&self.path, path).map_err(|failure| Flaw::Io(failure).at(path))
    }

    pub(crate) fn remove(&self) -> Result<(), SnapshotError> {
        fs::remove_file(&self.path).map_err(|failure| self.failed(failure))
    }
}

fn create(path: &Path) -> io::Result<File> {
    let left = remove_left(path)?;
    let mut options = OpenOptions::new();
    // A new file: no link is followed, and the permissions are these.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|failure| match failure.kind() {
        ErrorKind::AlreadyExists => busy(),
        _ => failure,
    })?;
    lock(&file, path)?;
    drop(left);
    Ok(file)
}

/// Removes what is at the path, and returns it if it is a file.
fn remove_left(path: &Path) -> io::Result<Option<File>> {
    let kind = match fs::symlink_metadata(path) {
        Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata?.file_type(),
    };
    let left = if kind.is_file() {
        let left = open(path)?;
        lock(&left, path)?;
        Some(left)
    } else if kind.is_symlink() {
        None
    } else {
        let what = "is not a regular file, and no snapshot can be written there";
        return Err(io::Error::new(ErrorKind::AlreadyExists, what));
    };
    fs::remove_file(path)?;
    Ok(left)
}

/// Over NFS, only a file that can be written to can be locked.
fn open(path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(failure) if failure.kind() == ErrorKind::PermissionDenied => File::open(path),
        file => file,
    }
}

/// Locks the file at the path. An error if another process has locked it, or has replaced it since
/// it was opened: the lock is then of a file that nobody can find.
fn lock(file: &File, path: &Path) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(busy()),
        // Some file systems have no locks. A snapshot is written there nevertheless.
        Err(TryLockError::Error(error)) => {
            debug!(path = %path.display(), %error, "the partial snapshot cannot be locked");
        }
    }
    if is_at(file, path)? {
        Ok(())
    } else {
        Err(busy())
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    let there = match fs::symlink_metadata(path) {
        Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(false),
        metadata => metadata?,
    };
    let file = file.metadata()?;
    Ok((file.dev(), file.ino()) == (there.dev(), there.ino()))
}

/// The standard library has no identity of files there.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    fs::exists(path)
}

fn busy() -> io::Error {
    let what = "another process is writing this snapshot";
    io::Error::new(ErrorKind::ResourceBusy, what)
}
