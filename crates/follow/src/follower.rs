//! The follower of a group's source: its handle, and its task.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gaggle_group::{FollowState, Group};
use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::complaints::Complaints;
use crate::leadership::Leadership;
use crate::options::Pauses;
use crate::session::{End, LOOKS_EVERY, Session};
use crate::source::Source;
use crate::stats::Progress;
use crate::{Feed, FeedError, Opened, Options};

/// How long stopping may take.
const STOPS_WITHIN: Duration = Duration::from_millis(2_500);
/// The longest pause while another node holds the source: that node may release it at any time.
const HELD_PAUSE: Duration = Duration::from_secs(1);

/// Follows a group's source in a task of its own, until it is stopped or dropped.
///
/// Both close the feed, so that another node can follow; only [`stop`](Self::stop) waits for it.
#[derive(Debug)]
#[must_use = "dropping it ends the following"]
pub struct Follower {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    group: Arc<str>,
}

impl Follower {
    /// Starts to follow: while this node leads, it removes from `group`, on every node, the keys
    /// that `feed` reports as changed. It needs a tokio runtime.
    ///
    /// [`Group::stats`] reports the progress from now on. A group has one follower at a time; a
    /// second one would apply each change twice, over two connections.
    pub fn start(group: Group, feed: impl Feed, options: Options) -> Self {
        let (stop, stopped) = watch::channel(false);
        let name = Arc::clone(group.name());
        let progress = Progress::of(&group);
        let runner = Runner {
            leadership: Leadership::new(&group, options.everywhere, stopped),
            source: Source::new(feed),
            complaints: Complaints::new(Arc::clone(&name)),
            pauses: Pauses::new(&options),
            group,
            options,
            progress,
        };
        Self {
            stop,
            task: tokio::spawn(runner.run()),
            group: name,
        }
    }

    /// Finishes the batches in progress, confirms them and closes the feed: within about two
    /// seconds, even if something hangs.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let mut task = self.task;
        match timeout(STOPS_WITHIN, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                warn!(group = %self.group, error = %failure, "following has ended with a failure");
            }
            Err(_) => {
                task.abort();
                warn!(group = %self.group, "following did not end in time; it was cancelled");
            }
        }
    }
}

struct Runner<F> {
    group: Group,
    options: Options,
    leadership: Leadership,
    source: Source<F>,
    complaints: Complaints,
    pauses: Pauses,
    progress: Arc<Progress>,
}

impl<F: Feed> Runner<F> {
    async fn run(mut self) {
        while self.comes_to_turn().await {
            match self.attempt().await {
                End::Stopped => break,
                End::NotOurs => {
                    self.complaints.not_ours();
                    self.pauses.reset();
                }
                End::Failed(error) => {
                    if !self.pause(&error).await {
                        break;
                    }
                }
            }
        }
        self.progress.enter(FollowState::Standby);
    }

    /// Waits until this node has to follow; false once it is stopped.
    async fn comes_to_turn(&mut self) -> bool {
        while !self.leadership.look() {
            self.progress.enter(FollowState::Standby);
            if !self.waits(LOOKS_EVERY).await {
                return false;
            }
        }
        true
    }

    /// Waits; false once it is stopped.
    async fn waits(&mut self, time: Duration) -> bool {
        select! {
            biased;
            () = self.leadership.stopped() => false,
            () = sleep(time) => true,
        }
    }

    /// Opens the feed, applies its changes, and closes it.
    async fn attempt(&mut self) -> End {
        let first = self.pauses.is_first();
        if first {
            self.progress.enter(FollowState::Connecting);
        }
        let end = match self.open().await {
            Err(end) => end,
            Ok(opened) => {
                let began = Instant::now();
                self.progress.enter(FollowState::Following);
                self.complaints.over();
                if first {
                    info!(group = %self.group.name(), "this node follows the group's source");
                }
                let session = Session::new(&self.group, &mut self.source, &self.progress);
                let end = session.run(opened, &mut self.leadership).await;
                if began.elapsed() >= self.options.longest_pause {
                    self.pauses.reset();
                }
                end
            }
        };
        self.source.close(self.group.name()).await;
        end
    }

    async fn open(&mut self) -> Result<Opened, End> {
        let mut open = pin!(self.source.open(self.options.open_timeout));
        loop {
            select! {
                biased;
                () = self.leadership.stopped() => return Err(End::Stopped),
                opened = &mut open => return opened.map_err(End::Failed),
                () = sleep(LOOKS_EVERY) => {
                    if !self.leadership.look() {
                        return Err(End::NotOurs);
                    }
                }
            }
        }
    }

    /// Waits after a failure before the next attempt, and checks meanwhile whether this node still
    /// has to follow. False once it is stopped.
    async fn pause(&mut self, error: &FeedError) -> bool {
        let mut longest = self.options.longest_pause;
        let mut failing = true;
        if error.is_held_elsewhere() {
            failing = self.complaints.held(error);
            // A node that is cut off leaves the source to others, which try more often.
            if !self.leadership.is_cut_off() {
                longest = HELD_PAUSE;
            }
        } else {
            self.progress.failures.fetch_add(1, Relaxed);
            self.complaints.failed(error);
        }
        let state = if failing {
            FollowState::Failing
        } else {
            FollowState::Connecting
        };
        self.progress.enter(state);
        let until = Instant::now() + self.pauses.next(longest);
        while Instant::now() < until && self.leadership.look() {
            let left = until.saturating_duration_since(Instant::now());
            if !self.waits(left.min(LOOKS_EVERY)).await {
                return false;
            }
        }
        true
    }
}
