//! From the opening of a feed to its close.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use gaggle_group::{Group, Key};
use tokio::select;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use crate::apply::{Applied, apply};
use crate::contact::{Missing, OVERHEAD};
use crate::leadership::Leadership;
use crate::ledger::{BatchId, Ledger};
use crate::plan::Plan;
use crate::puts::{RecentPuts, settle};
use crate::source::{Source, text_of};
use crate::stats::Progress;
use crate::{Batch, Feed, FeedError, Opened, Position};

/// How often this node checks whether it still leads, and which nodes are in contact.
pub(crate) const LOOKS_EVERY: Duration = Duration::from_millis(250);
/// How often a position is confirmed, at most.
const CONFIRMS_EVERY: Duration = Duration::from_millis(250);
/// The most batches in progress at the same time. Their keys and bytes are bounded as well: at
/// most one batch more than that is read.
const BATCHES: usize = 8;
const KEYS: usize = 8_192;
const BYTES: usize = 4 << 20;
/// How long a session that ends waits for batches in progress, and for its last confirmation.
const ENDS_WITHIN: Duration = Duration::from_millis(700);
const CONFIRMS_LAST_WITHIN: Duration = Duration::from_millis(250);

/// Why a session has ended.
pub(crate) enum End {
    /// The follower was stopped.
    Stopped,
    /// Another node follows, or must be able to.
    NotOurs,
    /// The source was lost, or could not be reached.
    Failed(FeedError),
}

pub(crate) struct Session<'a, F> {
    group: &'a Group,
    source: &'a mut Source<F>,
    progress: &'a Arc<Progress>,
    ledger: Ledger,
    missing: Missing,
    work: JoinSet<Done>,
    keys: usize,
    bytes: usize,
    /// A batch with values, which begins once nothing else is in progress.
    waiting: Option<(BatchId, Plan)>,
    /// The keys of the values in the batch in progress, which is then the only one.
    alone: Option<Arc<[Key]>>,
    recent: RecentPuts,
    /// Whether another node may follow by now.
    lost: Arc<AtomicBool>,
    confirmed: Option<Position>,
    confirms_at: Instant,
    looks_at: Instant,
}

struct Done {
    id: BatchId,
    keys: usize,
    bytes: usize,
    applied: Applied,
}

impl<'a, F: Feed> Session<'a, F> {
    pub(crate) fn new(
        group: &'a Group,
        source: &'a mut Source<F>,
        progress: &'a Arc<Progress>,
    ) -> Self {
        let now = Instant::now();
        Self {
            group,
            source,
            progress,
            ledger: Ledger::default(),
            missing: Missing::default(),
            work: JoinSet::new(),
            keys: 0,
            bytes: 0,
            waiting: None,
            alone: None,
            recent: RecentPuts::default(),
            lost: Arc::default(),
            confirmed: None,
            confirms_at: now,
            looks_at: now,
        }
    }

    /// Applies changes until there is a reason to end. The feed is still open.
    pub(crate) async fn run(mut self, opened: Opened, leadership: &mut Leadership) -> End {
        if let Opened::Missed(reason) = opened {
            warn!(group = %self.group.name(), reason, "changes may have been missed; all keys of the group are removed");
            let id = self.ledger.begin(None, Duration::ZERO);
            self.start(id, Plan::everything(), true);
        }
        let end = loop {
            let Err(end) = self.step(leadership).await else {
                continue;
            };
            break end;
        };
        self.wind_up(&end).await;
        end
    }

    async fn step(&mut self, leadership: &mut Leadership) -> Result<(), End> {
        let room = self.has_room();
        let to_confirm = self.to_confirm();
        select! {
            biased;
            () = leadership.stopped() => return Err(End::Stopped),
            Some(done) = self.work.join_next() => self.finish(done)?,
            () = sleep_until(self.looks_at) => self.look(leadership)?,
            () = sleep_until(self.confirms_at), if to_confirm.is_some() => {
                self.confirm(to_confirm, leadership).await?;
            }
            batch = self.source.next(), if room => {
                self.take(batch.map_err(End::Failed)?);
                // A feed that always has changes must not starve other tasks on the thread.
                tokio::task::yield_now().await;
            }
        }
        self.progress.set_oldest(self.ledger.oldest());
        Ok(())
    }

    fn has_room(&self) -> bool {
        let ordered = self.waiting.is_none() && self.alone.is_none();
        ordered && self.work.len() < BATCHES && self.keys < KEYS && self.bytes < BYTES
    }

    fn take(&mut self, batch: Batch) {
        Progress::count(&self.progress.changes, batch.changes.len());
        let age = batch.age.unwrap_or_default();
        let id = self.ledger.begin(batch.position, age);
        let plan = Plan::of(batch.changes);
        if plan.is_empty() {
            self.ledger.finish(id, []);
        } else if plan.puts.is_empty() {
            self.start(id, plan, false);
        } else if self.work.is_empty() {
            self.start(id, plan, true);
        } else {
            // The order of a key's values and removals is kept by doing one batch at a time.
            self.waiting = Some((id, plan));
        }
    }

    fn start(&mut self, id: BatchId, plan: Plan, alone: bool) {
        let (keys, bytes) = (plan.key_count(), plan.bytes());
        self.keys += keys;
        self.bytes += bytes;
        let (group, progress) = (self.group.clone(), Arc::clone(self.progress));
        let put: Arc<[Key]> = plan.puts.iter().map(|(key, _)| key.clone()).collect();
        if alone {
            self.alone = Some(Arc::clone(&put));
        }
        let lost = Arc::clone(&self.lost);
        let apply = async move {
            let applied = apply(&group, plan, &progress).await;
            if lost.load(SeqCst) {
                settle(&group, put.to_vec(), &progress);
            }
            Done {
                id,
                keys,
                bytes,
                applied,
            }
        };
        // A task of its own inside that of the set, since dropping the set must not cancel it: a
        // value that is being sent has to be waited for.
        let apply = tokio::spawn(apply);
        self.work.spawn(async move {
            match apply.await {
                Ok(done) => done,
                Err(failure) => resume(failure).await,
            }
        });
    }

    fn finish(&mut self, done: Result<Done, JoinError>) -> Result<(), End> {
        let done = done.map_err(|failure| {
            let panic = failure.try_into_panic();
            let text = panic.as_deref().map_or("it was cancelled", text_of);
            End::Failed(FeedError::new(format!(
                "changes could not be applied: {text}"
            )))
        })?;
        self.keys -= done.keys;
        self.bytes -= done.bytes;
        for name in &done.applied.missed {
            debug!(group = %self.group.name(), node = %name, "a node is to learn of a removal later");
            self.missing
                .missed(name, done.bytes + (done.keys + 1) * OVERHEAD);
        }
        self.ledger.finish(done.id, done.applied.missed);
        settle(self.group, done.applied.unsure, self.progress);
        if let Some(keys) = self.alone.take() {
            self.recent.push(keys);
        }
        if self.work.is_empty()
            && let Some((id, plan)) = self.waiting.take()
        {
            self.start(id, plan, true);
        }
        Ok(())
    }

    fn look(&mut self, leadership: &mut Leadership) -> Result<(), End> {
        self.looks_at = Instant::now() + LOOKS_EVERY;
        if !leadership.look() {
            return Err(End::NotOurs);
        }
        if !self.missing.is_empty() {
            let router = self.group.router();
            self.missing.look(&*router, &self.group.contacts());
            let missing = &self.missing;
            self.ledger.review(|name, at| missing.knows(name, at));
            self.missing.keep(self.ledger.missed());
        }
        self.recent.forget();
        self.progress.set_behind(self.source.behind_bytes());
        Ok(())
    }

    fn to_confirm(&self) -> Option<Position> {
        let clear = self.ledger.clear();
        clear.filter(|clear| self.confirmed.is_none_or(|confirmed| confirmed < *clear))
    }

    async fn confirm(
        &mut self,
        position: Option<Position>,
        leadership: &mut Leadership,
    ) -> Result<(), End> {
        let Some(position) = position else {
            return Ok(());
        };
        select! {
            biased;
            // The feed is closed next.
            () = leadership.stopped() => Err(End::Stopped),
            confirmed = self.source.confirm(position) => {
                confirmed.map_err(End::Failed)?;
                self.confirmed = Some(position);
                self.confirms_at = Instant::now() + CONFIRMS_EVERY;
                Ok(())
            }
        }
    }

    /// Waits a moment for batches in progress, so that the next node need not repeat them. Batches
    /// that have not ended by then, or that a lost source makes doubtful, are not confirmed.
    async fn wind_up(&mut self, end: &End) {
        self.waiting = None;
        let failed = matches!(end, End::Failed(_));
        let mut ended = false;
        if !failed {
            let until = Instant::now() + ENDS_WITHIN;
            while let Ok(Some(done)) = tokio::time::timeout_at(until, self.work.join_next()).await {
                if self.finish(done).is_err() {
                    break;
                }
            }
            ended = self.work.is_empty();
            if let Some(position) = self.to_confirm() {
                let confirmed = timeout(CONFIRMS_LAST_WITHIN, self.source.confirm(position)).await;
                debug!(group = %self.group.name(), ?confirmed, "the last position is confirmed");
            }
        }
        if !ended {
            // Batches in progress read this when they end.
            self.lost.store(true, SeqCst);
            let mut keys = self
                .alone
                .take()
                .map(|keys| keys.to_vec())
                .unwrap_or_default();
            if failed {
                keys.extend(self.recent.take());
            }
            settle(self.group, keys, self.progress);
        }
    }
}

async fn resume(failure: JoinError) -> Done {
    match failure.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // The runtime is shutting down, so there is nothing to wait for.
        Err(_) => match std::future::pending::<Infallible>().await {},
    }
}
