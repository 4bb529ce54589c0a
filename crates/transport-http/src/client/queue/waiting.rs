//! The senders of the queue: slots that end, and gets that have waited long enough.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use gaggle_group::BatchMember;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{Brought, Queue, Sending};
use crate::client::asker::Asker;
use crate::client::batch;

/// A request that others wait for. Its drop sends them.
#[derive(Debug)]
pub(in crate::client) struct Slot {
    asker: Arc<Asker>,
    round: u64,
}

/// A get that waits for its answer.
pub(in crate::client) struct Waiting<'a> {
    asker: Arc<Asker>,
    answer: oneshot::Receiver<Brought>,
    first: Option<First<'a>>,
}

/// What the first get watches.
#[derive(Clone, Copy)]
pub(super) enum First<'a> {
    /// The queue, which had been sent that often by then; it does not wait for a slot.
    Tick(u64),
    /// The queue, which had been sent that often by then.
    Queue(u64),
    /// The gathering gets of its call.
    Batch(&'a BatchMember),
}

impl Asker {
    /// Sends the gets of the queue. Each batch is a task of its own, and belongs to none of its
    /// gets.
    fn dispatch(self: &Arc<Self>, send: impl FnOnce(&Queue) -> Option<Sending>) {
        let Some(sending) = self.queue.as_ref().and_then(send) else {
            return;
        };
        for item in sending.alone {
            // Err means that the caller has been dropped; its slot ends then.
            let _ = item
                .answer
                .send(Brought::Slot(Slot::new(self, sending.round)));
        }
        // A slot may end with its runtime; the waiting gets end then as well.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        for items in sending.batches {
            runtime.spawn(batch::run(items, Slot::new(self, sending.round)));
        }
    }
}

impl Slot {
    /// For a slot that is already counted.
    pub(super) fn new(asker: &Arc<Asker>, round: u64) -> Self {
        Self {
            asker: Arc::clone(asker),
            round,
        }
    }

    pub(in crate::client) fn asker(&self) -> &Arc<Asker> {
        &self.asker
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.asker.dispatch(|queue| queue.turn_ended(self.round));
    }
}

impl<'a> Waiting<'a> {
    pub(super) fn new(
        asker: &Arc<Asker>,
        answer: oneshot::Receiver<Brought>,
        first: Option<First<'a>>,
    ) -> Self {
        Self {
            asker: Arc::clone(asker),
            answer,
            first,
        }
    }

    /// The result of the batch; `None` if it ends without one.
    pub(in crate::client) async fn answer(mut self) -> Option<Brought> {
        let most = self.asker.options().batching.as_ref()?.longest_wait;
        if let Some(First::Batch(member)) = self.first {
            let _ = timeout(most, member.all_ready()).await;
            let mut watch = None;
            self.asker
                .dispatch(|queue| queue.gathered(member, Some(&mut watch)));
            self.first = watch.map(First::Queue);
        }
        if let Some(First::Tick(sent)) = self.first {
            yield_now().await;
            self.asker.dispatch(|queue| queue.tick_over(sent));
            self.first = None;
        }
        if let Some(First::Queue(sent)) = self.first {
            match timeout(most, &mut self.answer).await {
                Ok(answer) => return answer.ok(),
                Err(_) => self.asker.dispatch(|queue| queue.overdue(sent)),
            }
            self.first = None;
        }
        (&mut self.answer).await.ok()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(queue) = &self.asker.queue {
            queue.waiting.fetch_sub(1, Relaxed);
        }
        // It is dropped before it has sent the others, which no other get would send.
        match self.first {
            Some(First::Tick(sent)) => self.asker.dispatch(|queue| queue.tick_over(sent)),
            Some(First::Queue(sent)) => self.asker.dispatch(|queue| queue.overdue(sent)),
            Some(First::Batch(member)) => {
                // It is no longer one of them.
                self.answer.close();
                self.asker.dispatch(|queue| queue.gathered(member, None));
            }
            None => {}
        }
    }
}
