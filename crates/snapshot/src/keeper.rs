//! Warms a group, and keeps its snapshot from then on.

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

/// How long a snapshot that holds most of what an incomplete warm start should have loaded is
/// kept: the origin may have failed, and the keys are of use at the next start.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// How a [`Keeper`] goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The time between one snapshot and the next. `None`: there is one at the end alone. Default
    /// 5 minutes.
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

/// Has a group load the keys of its snapshot, and then writes a new one at intervals and when it
/// is [stopped](Self::stop). Dropped, it ends without that.
///
/// What happens goes to the log: a line when the group is warm, and a warning when a file cannot
/// be used or written.
#[derive(Debug)]
pub struct Keeper {
    stop: oneshot::Sender<Duration>,
    has_warmed: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts it. To be called when the group's [`Router`](gaggle_group::Router) knows who the
    /// members are: a node loads what it owns then. Needs a tokio runtime.
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

    /// Whether the keys of the snapshot have been loaded, or there was none that could be used.
    pub fn has_warmed(&self) -> bool {
        self.has_warmed.load(Relaxed)
    }

    /// Writes a last snapshot, for so long at most, and ends; after a second more in any case. If
    /// the group is still being warmed, that ends, and the earlier snapshot stays.
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
    /// Until when a snapshot with much more keys stays, as a warm start did not load all of them.
    kept_until: Option<Instant>,
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
                // Asked to stop meanwhile, it is the last one.
                None => {
                    if self.write(&mut stop).await {
                        return;
                    }
                }
                Some(Ok(within)) => {
                    self.write_within(within, pending()).await;
                    return;
                }
                // Whoever could ask for a last one is gone.
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

    /// Writes a snapshot for which there is time unless `stop` says otherwise. True if it did.
    async fn write(&self, stop: &mut oneshot::Receiver<Duration>) -> bool {
        let mut stopped = false;
        let hurry = async {
            match stop.await {
                Ok(within) => {
                    stopped = true;
                    within
                }
                // The handle is gone, and the task with it.
                Err(_) => pending().await,
            }
        };
        self.write_within(WriteOptions::default().within, hurry)
            .await;
        stopped
    }

    /// Says whether the file is one to be replaced.
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
                self.kept_until = (!is_whole).then(|| Instant::now() + KEPT);
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
        let mut options = WriteOptions::default();
        options.within = within;
        if self.kept_until.is_some_and(|until| Instant::now() < until) {
            options.at_least = self.snapshot.keys() / 2;
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
            Err(SnapshotError { flaw, .. }) => {
                warn!(%group, %path, reason = %flaw, "the snapshot cannot be written");
            }
        }
    }
}
