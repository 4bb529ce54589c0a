//! A snapshot's place: writing it, and warming by it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use gaggle_group::{Group, Key, WarmOptions, Warmed};
use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

use crate::file::{self, Checked};
use crate::{Flaw, SnapshotError};

/// How long after its time is over a snapshot may take to be synchronised and renamed.
const TO_DISK: Duration = Duration::from_secs(1);

/// Parts of a file that are read ahead.
const AHEAD: usize = 2;

/// The file in which a group's keys are kept. A cheap-clone handle; nothing is opened before it is used.
#[derive(Debug, Clone)]
pub struct Snapshot {
    path: Arc<Path>,
    /// Held by the thread that writes, which may go on after its caller has given up.
    writing: Arc<Mutex<()>>,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// How many keys. With none, nothing was written, and an earlier file is as it was.
    pub keys: u64,
    /// How many bytes the file has.
    pub bytes: u64,
    /// Whether there was time for all keys; otherwise those that are worth least are missing. A file that is full counts.
    pub complete: bool,
}

impl Snapshot {
    /// One at that path. Its directory must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
            writing: Arc::default(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the keys of what this node keeps as their owner, those that are worth most first, in place of an earlier
    /// snapshot of the group. What could not be written after `within` is left out; the call ends a second after that at
    /// the latest.
    ///
    /// Of two calls at one time, the later one fails, also where the earlier one has timed out and its disk still works.
    ///
    /// # Errors
    ///
    /// If the file cannot be written, or there is one that is no snapshot of this group. An earlier snapshot is as it was.
    pub async fn write(&self, group: &Group, within: Duration) -> Result<Written, SnapshotError> {
        let (path, group) = (Arc::clone(&self.path), group.clone());
        // More than a clock can tell is as good as a day.
        let within = within.min(Duration::from_secs(60 * 60 * 24));
        let until = Instant::now() + within;
        let alone = Arc::clone(&self.writing);
        let writing = spawn_blocking(move || {
            // Both would use one temporary file, and the first would put the half of the second in place.
            let Ok(_alone) = alone.try_lock() else {
                return Err(Flaw::Io(ErrorKind::ResourceBusy.into()));
            };
            file::write(&path, &group, until)
        });
        let written = match timeout(within + TO_DISK, writing).await {
            Ok(written) => written.unwrap_or_else(|lost| Err(Flaw::Io(lost_thread(lost)))),
            Err(_) => Err(Flaw::Io(ErrorKind::TimedOut.into())),
        };
        written.map_err(|flaw| flaw.at(&self.path))
    }

    /// Has the group load the keys of the snapshot: [`Group::warm`]. `None` if there is no file. Dropped, it begins no more
    /// loads.
    ///
    /// # Errors
    ///
    /// If the file is no intact snapshot of this group; nothing has been loaded then. A disk that fails later shows once
    /// the keys before that have been loaded.
    pub async fn warm(
        &self,
        group: &Group,
        options: &WarmOptions,
    ) -> Result<Option<Warmed>, SnapshotError> {
        let warmed = self.try_warm(group, options).await;
        warmed.map_err(|flaw| flaw.at(&self.path))
    }

    async fn try_warm(&self, group: &Group, options: &WarmOptions) -> Result<Option<Warmed>, Flaw> {
        let (path, name) = (Arc::clone(&self.path), Arc::clone(group.name()));
        let opening = spawn_blocking(move || Checked::open(&path, &name));
        let Some(file) = opening.await.map_err(lost_thread)?? else {
            return Ok(None);
        };
        let (send, mut receive) = mpsc::channel::<Vec<Key>>(AHEAD);
        // Ends when the receiver is gone.
        let reading = spawn_blocking(move || file.read(|part| send.blocking_send(part).is_ok()));
        let parts = stream::poll_fn(move |cx| receive.poll_recv(cx));
        let warmed = group.warm(parts.flat_map(stream::iter), options).await;
        reading.await.map_err(lost_thread)??;
        Ok(Some(warmed))
    }
}

/// A thread that panicked, or that the runtime has not begun as it shuts down.
fn lost_thread(lost: JoinError) -> io::Error {
    io::Error::other(lost)
}
