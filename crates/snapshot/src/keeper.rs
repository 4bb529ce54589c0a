//! Warms a group, and writes its snapshots from then on.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use gaggle_group::{Group, WarmEnd, WarmOptions};
use tokio::sync::oneshot::{self, error::RecvError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::{debug, error, info, warn};

use crate::{Snapshot, SnapshotError, WriteOptions, Written};

/// How long a snapshot stays that holds most of the keys which an incomplete warm start should
/// have loaded: the origin may have failed, and the keys are useful at the next start.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// The options of a [`Keeper`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The time between two snapshots. `None`: only the last one is written. Default 5 minutes.
    pub interval: Option<Duration>,
    /// How fast keys are loaded at the start, and for how long.
    pub warm: WarmOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interval: Some(Duration::from_secs(300)),
            warm: WarmOptions::default(),
        }
    }
}

/// Makes a group load the keys of its snapshot, and then writes a new one at intervals and when it
/// is [stopped](Self::stop). If it is dropped, it ends without that last snapshot.
///
/// It logs a line when the group is warm, and a warning when a file cannot be used or written.
#[derive(Debug)]
pub struct Keeper {
    stop: oneshot::Sender<Duration>,
    has_warmed: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts it. To be called when the group's [`Router`](gaggle_group::Router) knows the
    /// members: a node then loads the keys that it owns. Needs a tokio runtime.
    pub fn start(group: Group, snapshot: Snapshot, options: Options) -> Self {
        let (stop, stopped) = oneshot::channel();
        let has_warmed = Arc::new(AtomicBool::new(false));
        let keeping = Keeping {
            group,
            snapshot,
            options,
            has_warmed: Arc::clone(&has_warmed),
            kept_until: None,
        };
        Self {
            stop,
            has_warmed,
            task: tokio::spawn(keeping.run(stopped)),
        }
    }

    /// Whether the keys of the snapshot have been loaded, or there was no usable snapshot.
    pub fn has_warmed(&self) -> bool {
        self.has_warmed.load(Relaxed)
    }

    /// Writes a last snapshot within at most `within`, and ends; at most a second later in any
    /// case. If the group is still being warmed, warming ends, and the earlier snapshot stays.
    pub async fn stop(mut self, within: Duration) {
        let most = within.saturating_add(Duration::from_secs(1));
        // An error means that it has ended.
        if self.stop.send(within).is_ok() && timeout(most, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

struct Keeping {
    group: Group,
    snapshot: Snapshot,
    options: Options,
    has_warmed: Arc<AtomicBool>,
    /// Until when the snapshot stays unless there are half of that many keys, as a warm start did
    /// not load all of them.
    kept_until: Option<(Instant, u64)>,
}

impl Keeping {
    async fn run(mut self, mut stop: oneshot::Receiver<Duration>) {
        let usable = tokio::select! {
            usable = self.warm() => usable,
            _ = &mut stop => return,
        };
        self.has_warmed.store(true, Relaxed);
        if !usable {
            return;
        }
        loop {
            match self.asked_to_stop(&mut stop).await {
                // If it was asked to stop meanwhile, this is the last one.
                None => {
                    if self.write(&mut stop).await {
                        return;
                    }
                }
                Some(Ok(within)) => {
                    self.write_within(within, pending()).await;
                    return;
                }
                // The handle was dropped, so no last one can be requested.
                Some(Err(_)) => return,
            }
        }
    }

    /// `None` when it is time for the next snapshot.
    async fn asked_to_stop(
        &self,
        stop: &mut oneshot::Receiver<Duration>,
    ) -> Option<Result<Duration, RecvError>> {
        match self.options.interval.filter(|every| !every.is_zero()) {
            Some(interval) => timeout(interval, stop).await.ok(),
            None => Some(stop.await),
        }
    }

    /// Writes a snapshot within the time that is left, which `stop` can shorten. True if it did.
    async fn write(&self, stop: &mut oneshot::Receiver<Duration>) -> bool {
        let mut stopped = false;
        let hurry = async {
            match stop.await {
                Ok(within) => {
                    stopped = true;
                    within
                }
                // The handle was dropped, and the task ends with it.
                Err(_) => pending().await,
            }
        };
        self.write_within(WriteOptions::default().within, hurry)
            .await;
        stopped
    }

    /// Returns whether the file may be replaced.
    async fn warm(&mut self) -> bool {
        let began = Instant::now();
        let (group, path) = (self.group.name(), self.snapshot.path().display());
        match self.snapshot.warm(&self.group, &self.options.warm).await {
            Ok(None) => info!(%group, %path, "there is no snapshot yet, so the group starts cold"),
            Ok(Some(warmed)) => {
                info!(
                    %group,
                    loaded = warmed.keys.loaded,
                    absent = warmed.keys.absent,
                    failed = warmed.keys.failed,
                    skipped = warmed.keys.skipped,
                    seconds = began.elapsed().as_secs_f64(),
                    end = warmed.end.as_str(),
                    "warmed"
                );
                let is_whole = warmed.end != WarmEnd::OutOfTime && warmed.keys.failed == 0;
                let kept = (Instant::now() + KEPT, self.snapshot.keys());
                self.kept_until = (!is_whole).then_some(kept);
            }
            Err(SnapshotError { flaw, .. }) if flaw.is_of_others() => {
                error!(
                    %group,
                    %path,
                    reason = %flaw,
                    "the snapshot is not used and will not be replaced, so the group starts cold each time"
                );
                return false;
            }
            Err(SnapshotError { flaw, .. }) => warn!(
                %group,
                %path,
                reason = %flaw,
                "the snapshot cannot be used, so the group starts cold"
            ),
        }
        true
    }

    async fn write_within(&self, within: Duration, hurry: impl Future<Output = Duration>) {
        let (group, path) = (self.group.name(), self.snapshot.path().display());
        let mut options = WriteOptions {
            within,
            ..WriteOptions::default()
        };
        if let Some((until, keys)) = self.kept_until
            && Instant::now() < until
        {
            options.at_least = keys / 2;
        }
        let written = self.snapshot.write_with(&self.group, &options, hurry);
        match written.await {
            Ok(Written {
                keys,
                bytes,
                complete,
                replaced,
                ..
            }) => debug!(%group, %path, keys, bytes, complete, replaced, "snapshot written"),
            // The path may be that of the file beside it.
            Err(SnapshotError { path, flaw }) => warn!(
                %group,
                path = %path.display(),
                reason = %flaw,
                "the snapshot cannot be written"
            ),
        }
    }
}
