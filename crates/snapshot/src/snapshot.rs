//! The handle of a snapshot file: writes it, and warms a group from it.

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

/// How long after its deadline a snapshot may take to be synchronised and renamed.
const TO_DISK: Duration = Duration::from_secs(1);

/// The longest time that a write may be given.
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24);

/// Parts of a file that are read in advance.
const AHEAD: usize = 2;

/// The file in which a group's keys are kept. A cheap-clone handle; nothing is opened until it is
/// used.
#[derive(Debug, Clone)]
pub struct Snapshot {
    path: Arc<Path>,
    /// Held by the thread that writes, which may continue after its caller has timed out.
    writing: Arc<Mutex<()>>,
    /// How many keys the file has, as far as this handle has read or written it; 0 before.
    keys: Arc<AtomicU64>,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The number of keys. With 0, nothing was written, and an earlier file is unchanged.
    pub keys: u64,
    /// How many bytes the file has.
    pub bytes: u64,
    /// Whether there was time for all keys; otherwise the least valuable are missing. Also `true`
    /// for a file that is full.
    pub complete: bool,
    /// Whether this is the group's snapshot now. An earlier one stays if it is more valuable: it
    /// has more keys and there was no time for all keys now, or there were fewer keys than
    /// [`WriteOptions::at_least`].
    pub replaced: bool,
}

/// Bounds of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// How long it may take. Keys that could not be written by then are left out. Default 1
    /// minute.
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
    /// A snapshot at that path. Its directory must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into().into(),
            writing: Arc::default(),
            keys: Arc::default(),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many keys the file has, as far as this handle or a clone has read or written it; 0
    /// before that.
    pub fn keys(&self) -> u64 {
        self.keys.load(Relaxed)
    }

    /// Writes the keys that this node keeps as their owner, the most valuable first, in place of
    /// an earlier snapshot of the group. Keys that could not be written within `within` are left
    /// out; the call ends at most a second after that.
    ///
    /// Of two concurrent calls, the later one fails, even if the earlier one has timed out and its
    /// disk is still busy.
    ///
    /// # Errors
    ///
    /// If the file cannot be written, another process is writing it, or an existing file is no
    /// snapshot of this group. An earlier snapshot is unchanged. The error's path may be that of
    /// the file next to it, which is written first, or that of a link's target.
    pub async fn write(&self, group: &Group, within: Duration) -> Result<Written, SnapshotError> {
        let options = WriteOptions {
            within,
            ..WriteOptions::default()
        };
        self.write_with(group, &options, pending()).await
    }

    /// Like [`write`](Self::write), with these bounds. When `hurry` resolves, the time that is
    /// left is reduced to its output.
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
        // A longer time than the clock can represent is taken as a day.
        let within = options.within.min(LONGEST);
        let until = Deadline::new(Instant::now() + within);
        let (alone, deadline) = (Arc::clone(&self.writing), until.clone());
        let keys = Arc::clone(&self.keys);
        let mut writing = spawn_blocking(move || {
            // Both would use one temporary file.
            let Ok(_alone) = alone.try_lock() else {
                return Err(Flaw::Io(ErrorKind::ResourceBusy.into()).at(&path));
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
        let failed = |failure| Flaw::Io(failure).at(&self.path);
        loop {
            tokio::select! {
                written = &mut writing => {
                    break written.unwrap_or_else(|lost| Err(failed(lost_thread(lost))));
                }
                () = &mut over => break Err(failed(ErrorKind::TimedOut.into())),
                left = &mut hurry, if !is_hurried => {
                    is_hurried = true;
                    let left = left.min(LONGEST);
                    until.shorten(Instant::now() + left);
                    let then = tokio::time::Instant::now() + left + TO_DISK;
                    let at = then.min(over.deadline());
                    over.as_mut().reset(at);
                }
            }
        }
    }

    /// Makes the group load the keys of the snapshot: [`Group::warm`]. `None` if there is no file.
    /// If this future is dropped, no more loads begin.
    ///
    /// # Errors
    ///
    /// If the file is no intact snapshot of this group; nothing has been loaded then. A disk that
    /// fails later is reported after the keys before that have been loaded.
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
        // Ends when the receiver is dropped.
        let reading = spawn_blocking(move || file.read(|part| send.blocking_send(part).is_ok()));
        let parts = stream::poll_fn(move |cx| receive.poll_recv(cx));
        let warmed = group.warm(parts.flat_map(stream::iter), options).await;
        reading.await.map_err(lost_thread)??;
        Ok(Some(warmed))
    }
}

/// A thread that panicked, or that the runtime did not start because it shuts down.
fn lost_thread(lost: JoinError) -> io::Error {
    io::Error::other(lost)
}
