//! A snapshot's place: writing it, and warming by it.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use gaggle_group::{Group, Key, WarmOptions, Warmed};
use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;

use crate::file::{self, Checked, Deadline};
use crate::{Flaw, SnapshotError};

/// How long after its time is over a snapshot may take to be synchronised and renamed.
const TO_DISK: Duration = Duration::from_secs(1);

/// The longest time that a write may be given.
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24);

/// Parts of a file that are read ahead.
const AHEAD: usize = 2;

/// The file in which a group's keys are kept. A cheap-clone handle; nothing is opened before it is
/// used.
#[derive(Debug, Clone)]
pub struct Snapshot {
    path: Arc<Path>,
    /// Held by the thread that writes, which may go on after its caller has given up.
    writing: Arc<Mutex<()>>,
    /// How many keys the file has, as far as this handle has read or written it; 0 before.
    keys: Arc<AtomicU64>,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// How many keys. With none, nothing was written, and an earlier file is as it was.
    pub keys: u64,
    /// How many bytes the file has.
    pub bytes: u64,
    /// Whether there was time for all keys; otherwise those that are worth least are missing. A
    /// file that is full counts.
    pub complete: bool,
    /// Whether this is the group's snapshot now. An earlier one stays where it is worth more: it
    /// has more keys, and there was no time for all keys now, or fewer than
    /// [`WriteOptions::at_least`] were there.
    pub replaced: bool,
}

/// Bounds of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// How long it may take. What could not be written after that is left out. Default a minute.
    pub within: Duration,
    /// With fewer keys than that, an earlier snapshot stays. Default 0.
    pub at_least: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            within: Duration::from_secs(60),
            at_least: 0,
        }
    }
}

impl Snapshot {
    /// One at that path. Its directory must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
            writing: Arc::default(),
            keys: Arc::default(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many keys the file has, as far as this handle or a clone has read or written it; 0
    /// before that.
    pub fn keys(&self) -> u64 {
        self.keys.load(Relaxed)
    }

    /// Writes the keys of what this node keeps as their owner, those that are worth most first, in
    /// place of an earlier snapshot of the group. What could not be written after `within` is left
    /// out; the call ends a second after that at the latest.
    ///
    /// Of two calls at one time, the later one fails, also where the earlier one has timed out and
    /// its disk still works.
    ///
    /// # Errors
    ///
    /// If the file cannot be written, or there is one that is no snapshot of this group. An
    /// earlier snapshot is as it was.
    pub async fn write(&self, group: &Group, within: Duration) -> Result<Written, SnapshotError> {
        let mut options = WriteOptions::default();
        options.within = within;
        self.write_with(group, &options, pending()).await
    }

    /// The same within those bounds. When `hurry` is ready, only so much time is left as it says.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write).
    pub async fn write_with(
        &self,
        group: &Group,
        options: &WriteOptions,
        hurry: impl Future<Output = Duration>,
    ) -> Result<Written, SnapshotError> {
        let (path, group, at_least) = (Arc::clone(&self.path), group.clone(), options.at_least);
        // More than a clock can tell is as good as a day.
        let within = options.within.min(LONGEST);
        let until = Deadline::new(Instant::now() + within);
        let (alone, deadline) = (Arc::clone(&self.writing), until.clone());
        let keys = Arc::clone(&self.keys);
        let mut writing = spawn_blocking(move || {
            // Both would use one temporary file, and the first would put the half of the second in
            // place.
            let Ok(_alone) = alone.try_lock() else {
                return Err(Flaw::Io(ErrorKind::ResourceBusy.into()));
            };
            let written = file::write(&path, &group, &deadline, at_least, keys.load(Relaxed))?;
            if written.replaced {
                keys.store(written.keys, Relaxed);
            }
            Ok(written)
        });
        let mut over = pin!(sleep(within + TO_DISK));
        let mut hurry = pin!(hurry);
        let mut is_hurried = false;
        let written = loop {
            tokio::select! {
                written = &mut writing => {
                    break written.unwrap_or_else(|lost| Err(Flaw::Io(lost_thread(lost))));
                }
                () = &mut over => break Err(Flaw::Io(ErrorKind::TimedOut.into())),
                left = &mut hurry, if !is_hurried => {
                    is_hurried = true;
                    let left = left.min(LONGEST);
                    until.shorten(Instant::now() + left);
                    let then = tokio::time::Instant::now() + left + TO_DISK;
                    let at = then.min(over.deadline());
                    over.as_mut().reset(at);
                }
            }
        };
        written.map_err(|flaw| flaw.at(&self.path))
    }

    /// Has the group load the keys of the snapshot: [`Group::warm`]. `None` if there is no file.
    /// Dropped, it begins no more loads.
    ///
    /// # Errors
    ///
    /// If the file is no intact snapshot of this group; nothing has been loaded then. A disk that
    /// fails later shows once the keys before that have been loaded.
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
        self.keys.store(file.keys(), Relaxed);
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
