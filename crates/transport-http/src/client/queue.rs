//! Gets that wait for company.
//!
//! A get that finds fewer than [`Batching::requests_at_once`] requests under way takes a [`Turn`] and leaves at once.
//! Others wait, and the first turn to end sends all of them, in one batch or as many as it takes; each batch has a turn of
//! its own. So batches are as large as the peer is busy, and a lone get waits for nothing. Where only a few wait, they go
//! by themselves, each with a turn: a batch costs more than a plain request.
//!
//! A turn ends with the first answer. If it does not within [`Batching::longest_wait`], because an origin is slow or the
//! peer is gone, the get that waits longest sends the queue on its way and starts a new *round*, in which turns of older
//! rounds count no more. Whoever makes an empty queue non-empty watches that clock; if it goes away before, it sends the
//! queue as it leaves. So a non-empty queue always has somebody to send it.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gaggle_group::{Fetch, Fetched, Key, PeerError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::asker::Asker;
use super::{Batching, batch};

/// The most gets in one batch.
const MAX_KEYS: usize = 256;

/// About the most bytes of one batch's request, and of a key that travels in one.
const MAX_BYTES: usize = 64 << 10;

/// What the fields of an item and its answer's address take, rounded up, in bytes.
const ITEM_BYTES: usize = 64;

/// The gets of one peer.
pub(super) struct Queue {
    options: Batching,
    state: Mutex<State>,
    /// Gets in the queue or in a batch.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    /// How often the queue was sent: tells whether an item of then can still be in it.
    sent: u64,
    round: u64,
    /// Turns of this round.
    turns: usize,
}

/// One get on its way into a batch.
pub(super) struct Item {
    pub(super) group: String,
    pub(super) key: Key,
    pub(super) max_value: u64,
    /// When the answer is of no more use.
    pub(super) until: Instant,
    pub(super) answer: oneshot::Sender<Brought>,
}

/// What a batch brings to one of its gets.
#[derive(Debug)]
pub(super) enum Brought {
    Answer(Result<Fetched, PeerError>),
    /// To be asked for by a request of its own.
    Separately,
    /// The same, and others wait for it: too few came together for a batch.
    Turn(Turn),
}

/// How a get is to go on.
pub(super) enum Entered {
    /// By itself, and uncounted.
    Alone,
    /// By itself, and others wait for it.
    Turn(Turn),
    /// In a batch.
    Waiting(Waiting),
    /// Not at all.
    Full { limit: usize },
}

/// A request that others wait for. Dropped, it sends them.
#[derive(Debug)]
pub(super) struct Turn {
    asker: Arc<Asker>,
    round: u64,
}

/// A get that waits for its answer.
pub(super) struct Waiting {
    asker: Arc<Asker>,
    answer: oneshot::Receiver<Brought>,
    /// Of the get that came first into an empty queue: how often the queue had been sent by then.
    first: Option<u64>,
}

/// What was in the queue. Each batch and each get that goes alone is counted as a turn already.
struct Sending {
    batches: Vec<Vec<Item>>,
    alone: Vec<Item>,
    round: u64,
}

impl Queue {
    pub(super) fn new(options: Batching) -> Self {
        Self {
            options,
            state: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(super) fn enter(&self, asker: &Arc<Asker>, fetch: &Fetch<'_>, began: Instant) -> Entered {
        let Some(until) = began.checked_add(fetch.deadline) else {
            return Entered::Alone;
        };
        if fetch.group.len() + fetch.key.len() > MAX_BYTES - ITEM_BYTES {
            return Entered::Alone;
        }
        let mut state = self.state();
        if state.items.is_empty() && state.turns < self.options.requests_at_once {
            state.turns += 1;
            return Entered::Turn(Turn {
                asker: Arc::clone(asker),
                round: state.round,
            });
        }
        let limit = self.options.max_waiting;
        // Grows under the lock only, so that the limit holds.
        if self.waiting.load(Relaxed) >= limit {
            return Entered::Full { limit };
        }
        self.waiting.fetch_add(1, Relaxed);
        let (sender, answer) = oneshot::channel();
        let first = state.items.is_empty().then_some(state.sent);
        state.items.push(Item {
            group: fetch.group.to_owned(),
            key: fetch.key.clone(),
            max_value: fetch.max_value,
            until,
            answer: sender,
        });
        Entered::Waiting(Waiting {
            asker: Arc::clone(asker),
            answer,
            first,
        })
    }

    /// A turn of `round` has ended.
    fn turn_ended(&self, round: u64) -> Option<Sending> {
        let mut state = self.state();
        if state.round != round {
            return None;
        }
        state.turns = state.turns.saturating_sub(1);
        state.send(self.options.smallest_batch)
    }

    /// Nobody has sent what entered the queue when it had been sent `sent` times.
    fn overdue(&self, sent: u64) -> Option<Sending> {
        let mut state = self.state();
        if state.sent != sent {
            return None;
        }
        state.round += 1;
        state.turns = 0;
        state.send(self.options.smallest_batch)
    }

    /// Whether there is neither a turn nor a get that waits.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.items.is_empty() && state.turns == 0 && self.waiting.load(Relaxed) == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under the lock: a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&mut self, smallest_batch: usize) -> Option<Sending> {
        if self.items.is_empty() {
            return None;
        }
        self.sent += 1;
        let items = std::mem::take(&mut self.items);
        let (batches, alone) = if items.len() < smallest_batch {
            (Vec::new(), items)
        } else {
            (batches(items), Vec::new())
        };
        self.turns += batches.len() + alone.len();
        Some(Sending {
            batches,
            alone,
            round: self.round,
        })
    }
}

/// The same gets in batches that keep the bounds.
fn batches(items: Vec<Item>) -> Vec<Vec<Item>> {
    let size = |item: &Item| item.group.len() + item.key.len() + ITEM_BYTES;
    if items.len() <= MAX_KEYS && items.iter().map(size).sum::<usize>() <= MAX_BYTES {
        return vec![items];
    }
    let mut batches = vec![Vec::new()];
    let mut bytes = 0;
    for item in items {
        bytes += size(&item);
        match batches.last_mut() {
            Some(last) if last.len() < MAX_KEYS && bytes <= MAX_BYTES => last.push(item),
            _ => {
                bytes = size(&item);
                batches.push(vec![item]);
            }
        }
    }
    batches
}

impl Asker {
    /// Sends what was in the queue. Each batch is a task of its own: it belongs to none of its gets.
    fn dispatch(self: &Arc<Self>, send: impl FnOnce(&Queue) -> Option<Sending>) {
        let Some(sending) = self.queue.as_ref().and_then(send) else {
            return;
        };
        let turn = || Turn {
            asker: Arc::clone(self),
            round: sending.round,
        };
        for item in sending.alone {
            // Err says that the caller is gone; its turn is over then.
            let _ = item.answer.send(Brought::Turn(turn()));
        }
        // A turn may end with its runtime; then so do those who wait.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        for items in sending.batches {
            runtime.spawn(batch::run(items, turn()));
        }
    }
}

impl Turn {
    pub(super) fn asker(&self) -> &Arc<Asker> {
        &self.asker
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.asker.dispatch(|queue| queue.turn_ended(self.round));
    }
}

impl Waiting {
    /// What the batch brings; `None` if it ends without.
    pub(super) async fn answer(mut self) -> Option<Brought> {
        let most = self.asker.queue.as_ref().map(|q| q.options.longest_wait);
        if let (Some(sent), Some(most)) = (self.first, most) {
            match timeout(most, &mut self.answer).await {
                Ok(answer) => return answer.ok(),
                Err(_) => self.asker.dispatch(|queue| queue.overdue(sent)),
            }
            self.first = None;
        }
        (&mut self.answer).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(queue) = &self.asker.queue {
            queue.waiting.fetch_sub(1, Relaxed);
        }
        // Gone before its clock ran out: those behind it have nobody else to watch it.
        if let Some(sent) = self.first {
            self.asker.dispatch(|queue| queue.overdue(sent));
        }
    }
}
