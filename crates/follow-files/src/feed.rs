//! The feed.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gaggle_follow::{Batch, Change, Feed, FeedError, Opened, Position};
use tokio::select;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use crate::error::Error;
use crate::pending::Pending;
use crate::tree::{Found, Tree};

/// How often the path of the root is checked, even without a notification: a link in the middle of
/// it may have changed.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// gaggle-origin-files reads from the previous directory for up to a second after the root's path
/// leads to another one. Values that it loads meanwhile have to be removed as well.
const AGAIN_AFTER: Duration = Duration::from_millis(1_250);
/// The most changes in a batch.
const AT_ONCE: usize = 1_024;

/// Reports which files below a directory have changed.
///
/// A key is a path relative to the root, as in gaggle-origin-files. The root may be a symbolic
/// link, or lead through one, that is changed to another directory.
#[derive(Debug)]
pub struct FilesFeed {
    root: PathBuf,
    watching: Option<Watching>,
}

struct Watching {
    tree: Arc<Mutex<Tree>>,
    pending: Arc<Pending>,
    /// A check of the paths that were seen to change.
    look: Option<JoinHandle<Result<Found, Error>>>,
    ready: VecDeque<Change>,
    looks_at: Instant,
    /// When everything has to be removed again.
    again_at: Option<Instant>,
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watching").finish_non_exhaustive()
    }
}

impl FilesFeed {
    /// A feed of the directory at that path. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// If the path is empty, or is relative and there is no working directory.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self {
            root: std::path::absolute(root)?,
            watching: None,
        })
    }
}

#[async_trait]
impl Feed for FilesFeed {
    async fn open(&mut self) -> Result<Opened, FeedError> {
        self.watching = None;
        let pending = Arc::<Pending>::default();
        let (root, noted) = (self.root.clone(), Arc::clone(&pending));
        let tree = spawn_blocking(move || Tree::open(&root, &noted)).await;
        let tree = tree.map_err(Error::from)??;
        let now = Instant::now();
        self.watching = Some(Watching {
            tree: Arc::new(Mutex::new(tree)),
            pending,
            look: None,
            ready: VecDeque::new(),
            looks_at: now,
            // The root may have become another directory a moment ago.
            again_at: Some(now + AGAIN_AFTER),
        });
        Ok(Opened::Missed(
            "files may have changed before they were watched".into(),
        ))
    }

    async fn next(&mut self) -> Result<Batch, FeedError> {
        let watching = self.watching.as_mut().ok_or(Error::Closed)?;
        loop {
            if !watching.ready.is_empty() {
                let count = watching.ready.len().min(AT_ONCE);
                let changes = watching.ready.drain(..count).collect();
                return Ok(Batch {
                    changes,
                    ..Batch::default()
                });
            }
            if let Some(look) = &mut watching.look {
                let found = look.await;
                watching.look = None;
                watching.found(found.map_err(Error::from)??);
            } else {
                watching.wait().await;
            }
        }
    }

    async fn confirm(&mut self, _position: Position) -> Result<(), FeedError> {
        // No batch has a position: the feed cannot repeat changes.
        Ok(())
    }

    async fn close(&mut self) {
        self.watching = None;
    }
}

impl Watching {
    /// Waits until it is time for a check, and starts it.
    async fn wait(&mut self) {
        let again_at = self.again_at.unwrap_or(self.looks_at);
        select! {
            () = self.pending.changed() => {}
            () = sleep_until(self.looks_at) => self.looks_at = Instant::now() + LOOKS_EVERY,
            () = sleep_until(again_at), if self.again_at.is_some() => {
                self.again_at = None;
                self.ready.push_back(Change::All);
                return;
            }
        }
        let taken = self.pending.take();
        let tree = Arc::clone(&self.tree);
        // Calls to the file system may take long.
        self.look = Some(spawn_blocking(move || {
            tree.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .look(taken)
        }));
    }

    fn found(&mut self, found: Found) {
        if found.turned {
            self.again_at = Some(Instant::now() + AGAIN_AFTER);
        }
        if found.all {
            self.ready = [Change::All].into();
        } else {
            self.ready.extend(found.keys.into_iter().map(Change::Key));
        }
    }
}
