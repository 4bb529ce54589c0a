//! Who sends the queue: turns that end, and gets that have waited long enough.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use gaggle_group::Guest;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{Brought, Queue, Sending};
use crate::client::asker::Asker;
use crate::client::batch;

/// A request that others wait for. Dropped, it sends them.
#[derive(Debug)]
pub(in crate::client) struct Turn {
    asker: Arc<Asker>,
    round: u64,
}

/// A get that waits for its answer.
pub(in crate::client) struct Waiting<'a> {
    asker: Arc<Asker>,
    answer: oneshot::Receiver<Brought>,
    first: Option<First<'a>>,
}

/// What a get watches over that came first.
#[derive(Clone, Copy)]
pub(super) enum First<'a> {
    /// The queue, which had been sent that often by then; nobody is to be waited for.
    Tick(u64),
    /// The queue, which had been sent that often by then.
    Queue(u64),
    /// What gathers of its party.
    Party(&'a Guest),
}

impl Asker {
    /// Sends what was in the queue. Each batch is a task of its own: it belongs to none of its gets.
    fn dispatch(self: &Arc<Self>, send: impl FnOnce(&Queue) -> Option<Sending>) {
        let Some(sending) = self.queue.as_ref().and_then(send) else {
            return;
        };
        for item in sending.alone {
            // Err says that the caller is gone; its turn is over then.
            let _ = item
                .answer
                .send(Brought::Turn(Turn::new(self, sending.round)));
        }
        // A turn may end with its runtime; then so do those who wait.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        for items in sending.batches {
            runtime.spawn(batch::run(items, Turn::new(self, sending.round)));
        }
    }
}

impl Turn {
    /// Of one that is counted already.
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

impl Drop for Turn {
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

    /// What the batch brings; `None` if it ends without.
    pub(in crate::client) async fn answer(mut self) -> Option<Brought> {
        let most = self.asker.options().batching.as_ref()?.longest_wait;
        if let Some(First::Party(guest)) = self.first {
            let _ = timeout(most, guest.all_here()).await;
            let mut watch = None;
            self.asker
                .dispatch(|queue| queue.gathered(guest, Some(&mut watch)));
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
        // Gone before it has sent the others: they have nobody else to do it.
        match self.first {
            Some(First::Tick(sent)) => self.asker.dispatch(|queue| queue.tick_over(sent)),
            Some(First::Queue(sent)) => self.asker.dispatch(|queue| queue.overdue(sent)),
            Some(First::Party(guest)) => {
                // It is none of them any more.
                self.answer.close();
                self.asker.dispatch(|queue| queue.gathered(guest, None));
            }
            None => {}
        }
    }
}
