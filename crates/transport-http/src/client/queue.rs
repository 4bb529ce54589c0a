//! Gets that wait so that they can share a request.
//!
//! A get that finds fewer than [`Batching::requests_at_once`] requests in flight takes a [`Slot`]
//! and is sent at once. If the previous request was a batch, "at once" means as soon as the
//! runtime has run the other ready tasks, since gets that arrive together should be sent together.
//! Other gets wait, and the first slot to be released sends all of them, in as many batches as
//! needed; each batch has a slot of its own. So a busier peer gets larger batches, and a single
//! get does not wait. If only a few wait, each is sent by itself, each with a slot: a batch costs
//! more than a plain request.
//!
//! A slot is released at the first answer. If that takes longer than [`Batching::longest_wait`],
//! because an origin is slow or the peer is down, the get that has waited longest sends the queue
//! and starts a new *round*, in which slots of older rounds no longer count. The get that makes an
//! empty queue non-empty watches that time; if it is dropped earlier, its drop sends the queue. So
//! a non-empty queue always has a get that sends it.
//!
//! A peer's first answer shows whether it takes batches. Until then one get is in flight, whatever
//! the options say, and others wait for it as for any slot; then they are sent in a batch, or each
//! by itself. A peer that takes no batches is asked for each key separately from then on, and no
//! get waits.
//!
//! Members of one [`Batch`](gaggle_group::Batch), the gets of one call, announce each other, so an
//! idle peer gets all of them in one request: they gather outside of the queue, and are sent when
//! all are ready. The first one watches that, as it would the queue, and waits at most
//! [`Batching::longest_wait`]; later ones gather separately. If the peer is busy, the gets of a
//! small call join the queue instead: otherwise many such calls would send many small batches, and
//! a busier peer should get larger ones. The gets of a large call are a batch of their own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gaggle_group::{
    BatchMember, ByteBudget, Fetch, Fetched, Key, PeerError, RemovalId, TraceParent,
};
use gaggle_proto::notices::MAX_CARRIED;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::waiting::First;
use super::Batching;
use super::asker::Asker;
use crate::batch::{MAX_ITEMS, MAX_REQUEST};

mod waiting;

pub(super) use waiting::{Slot, Waiting};

/// The most gets in one batch, and about the most bytes of its request.
const MOST: Bounds = Bounds {
    keys: 256,
    bytes: 64 << 10,
};

/// The same for the gets of one call, which are not split without need.
const MOST_OF_CALL: Bounds = Bounds {
    keys: MAX_ITEMS,
    bytes: MAX_REQUEST,
};

/// This many gets of one call are sent at once: the cost of a request is small compared with them.
const LARGE_PARTY: usize = 64;

/// The bytes of an item's fields and its answer's address, rounded up.
const ITEM_BYTES: usize = 64;

/// The bytes of a removal that travels with a get, rounded up.
const REMOVAL_BYTES: usize = 24;

/// The bytes of a get's trace, rounded up.
const TRACE_BYTES: usize = 64;

/// The gets of one peer.
pub(super) struct Queue {
    options: Batching,
    state: Mutex<State>,
    /// Gets in the queue or in a batch.
    waiting: AtomicUsize,
    /// Whether the peer takes batches, from its last answer: a [`Takes`].
    takes: AtomicU8,
}

/// Whether a peer takes batches.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Takes {
    Unknown,
    None,
    Batches,
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    /// How often the queue was sent: shows whether an earlier item can still be in it.
    sent: u64,
    round: u64,
    /// Slots of this round.
    slots: usize,
    /// Whether the queue was last sent with more than one get: then the next get may have company
    /// as well.
    company: bool,
    /// Gets that wait for the others of their call. The first get of each list watches it.
    gathering: HashMap<usize, Vec<Item>>,
}

/// One get that waits for a batch.
pub(super) struct Item {
    pub(super) group: String,
    pub(super) key: Key,
    pub(super) max_value: u64,
    /// The deadline of the answer.
    pub(super) until: Instant,
    /// Removals that travel with it, at most [`MAX_CARRIED`].
    pub(super) removals: Vec<RemovalId>,
    pub(super) kept_only: bool,
    pub(super) trace: Option<TraceParent>,
    /// The budget that its value draws on as it is read.
    pub(super) budget: Option<ByteBudget>,
    pub(super) answer: oneshot::Sender<Brought>,
}

/// The result of a batch for one of its gets.
#[derive(Debug)]
pub(super) enum Brought {
    Answer(Result<Fetched, PeerError>),
    /// The get has to use a separate request.
    Separately,
    /// The same, and others wait for it: there were too few gets for a batch.
    Slot(Slot),
}

/// How a get continues.
pub(super) enum Entered<'a> {
    /// By itself, without a slot.
    Alone,
    /// By itself, and further gets wait for it.
    First(Slot),
    /// In a batch.
    Waiting(Waiting<'a>),
    /// Not at all.
    Full { limit: usize },
}

/// The gets of the queue, or of one call. Each batch and each single get is already counted as a
/// slot.
struct Sending {
    batches: Vec<Vec<Item>>,
    alone: Vec<Item>,
    round: u64,
}

#[derive(Clone, Copy)]
struct Bounds {
    keys: usize,
    bytes: usize,
}

impl Queue {
    pub(super) fn new(options: Batching) -> Self {
        Self {
            options,
            state: Mutex::default(),
            waiting: AtomicUsize::new(0),
            takes: AtomicU8::new(Takes::Unknown as u8),
        }
    }

    /// Records what an answer has shown.
    pub(super) fn learn(&self, takes_batches: bool) {
        let takes = if takes_batches {
            Takes::Batches
        } else {
            Takes::None
        };
        // If every answer wrote it, the gets would constantly lose its cache line.
        if !self.knows(takes) {
            self.takes.store(takes as u8, Relaxed);
        }
    }

    fn knows(&self, takes: Takes) -> bool {
        self.takes.load(Relaxed) == takes as u8
    }

    /// Adds a get. A member of a call's batch must then be [ready](BatchMember::ready), whatever
    /// the result is.
    pub(super) fn enter<'a>(
        &self,
        asker: &Arc<Asker>,
        fetch: &Fetch<'a>,
        began: Instant,
    ) -> Entered<'a> {
        let Some(until) = began.checked_add(fetch.deadline) else {
            return Entered::Alone;
        };
        let removals = fetch.removals.get(..MAX_CARRIED).unwrap_or(fetch.removals);
        let too_large = size(fetch.group, fetch.key, removals, fetch.trace) > MOST.bytes;
        if self.knows(Takes::None) || too_large {
            return Entered::Alone;
        }
        let is_unknown = self.knows(Takes::Unknown);
        let mut state = self.state();
        // The last get of a call of which none waits is like any other get. With an unknown peer,
        // all gets are: a batch has to wait for the answer of the first one, and not for the last
        // of its members.
        let member = fetch
            .batch
            .filter(|member| !is_unknown && state.gathers(member));
        let is_free = if is_unknown {
            state.slots == 0 && state.items.is_empty()
        } else {
            member.is_none() && !self.is_busy(&state)
        };
        if is_free && (is_unknown || !state.company) {
            state.slots += 1;
            return Entered::First(Slot::new(asker, state.round));
        }
        let limit = self.options.max_waiting;
        // It grows only under the lock, so that the limit holds.
        if self.waiting.load(Relaxed) >= limit {
            return Entered::Full { limit };
        }
        self.waiting.fetch_add(1, Relaxed);
        let (sender, answer) = oneshot::channel();
        let item = Item {
            group: fetch.group.to_owned(),
            key: fetch.key.clone(),
            max_value: fetch.max_value,
            until,
            removals: removals.to_vec(),
            kept_only: fetch.kept_only,
            trace: fetch.trace,
            budget: fetch.budget.cloned(),
            answer: sender,
        };
        let mut first = state.add(item, member);
        if let (true, Some(First::Queue(sent))) = (is_free, first) {
            first = Some(First::Tick(sent));
        }
        Entered::Waiting(Waiting::new(asker, answer, first))
    }

    /// A slot of `round` has ended.
    fn turn_ended(&self, round: u64) -> Option<Sending> {
        let mut state = self.state();
        if state.round != round {
            return None;
        }
        state.slots = state.slots.saturating_sub(1);
        state.send(self.smallest_batch())
    }

    /// The tasks that were ready together with the first get, when the queue had been sent `sent`
    /// times, have run.
    fn tick_over(&self, sent: u64) -> Option<Sending> {
        let mut state = self.state();
        if state.sent != sent {
            return None;
        }
        // A single get needs no batch, whatever the options say.
        state.send(self.smallest_batch().max(2))
    }

    /// The gets that entered the queue when it had been sent `sent` times have not been sent.
    fn overdue(&self, sent: u64) -> Option<Sending> {
        let mut state = self.state();
        if state.sent != sent {
            return None;
        }
        state.round += 1;
        state.slots = 0;
        state.send(self.smallest_batch())
    }

    /// The gathered gets of a call no longer wait for the rest of it. If they make up the queue
    /// from now on, `watch` gets how often the queue has been sent; without `watch` no get watches
    /// the queue, so they are sent.
    fn gathered(&self, member: &BatchMember, watch: Option<&mut Option<u64>>) -> Option<Sending> {
        let mut state = self.state();
        let mut items = state.gathering.remove(&member.batch_id())?;
        // Gets whose callers have been dropped are left out when the batch is sent.
        let here = items.iter().filter(|item| !item.answer.is_closed());
        let here = here.count();
        let is_first = state.items.is_empty();
        if here < LARGE_PARTY && self.is_busy(&state) && !(is_first && watch.is_none()) {
            if let Some(watch) = watch.filter(|_| is_first) {
                *watch = Some(state.sent);
            }
            state.items.append(&mut items);
            return None;
        }
        Some(state.take_slots(items, here < self.smallest_batch(), MOST_OF_CALL))
    }

    /// How many gets make a batch: no number does for a peer that is not known to take batches.
    fn smallest_batch(&self) -> usize {
        if self.knows(Takes::Batches) {
            self.options.smallest_batch
        } else {
            usize::MAX
        }
    }

    /// Whether a further get has to wait.
    fn is_busy(&self, state: &State) -> bool {
        !state.items.is_empty() || state.slots >= self.options.requests_at_once
    }

    /// Whether there is neither a slot nor a get that waits.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.items.is_empty()
            && state.gathering.is_empty()
            && state.slots == 0
            && self.waiting.load(Relaxed) == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under the lock, so a poisoned state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a get waits for others of its call, or others wait for it.
    fn gathers(&self, member: &BatchMember) -> bool {
        !member.is_last() || self.gathering.contains_key(&member.batch_id())
    }

    /// Adds a get; returns what it has to watch, if it is the first there.
    fn add<'a>(&mut self, item: Item, member: Option<&'a BatchMember>) -> Option<First<'a>> {
        let (items, first) = match member {
            None => (&mut self.items, First::Queue(self.sent)),
            Some(member) => (
                self.gathering.entry(member.batch_id()).or_default(),
                First::Batch(member),
            ),
        };
        items.push(item);
        (items.len() == 1).then_some(first)
    }

    fn send(&mut self, smallest_batch: usize) -> Option<Sending> {
        if self.items.is_empty() {
            return None;
        }
        self.sent += 1;
        let items = std::mem::take(&mut self.items);
        self.company = items.len() > 1;
        let few = items.len() < smallest_batch;
        Some(self.take_slots(items, few, MOST))
    }

    fn take_slots(&mut self, items: Vec<Item>, few: bool, most: Bounds) -> Sending {
        let (batches, alone) = if few {
            (Vec::new(), items)
        } else {
            (batches(items, most), Vec::new())
        };
        self.slots += batches.len() + alone.len();
        Sending {
            batches,
            alone,
            round: self.round,
        }
    }
}

/// About the bytes of a get in a request, and never less.
fn size(group: &str, key: &Key, removals: &[RemovalId], trace: Option<TraceParent>) -> usize {
    let trace = trace.map_or(0, |_| TRACE_BYTES);
    group.len() + key.len() + removals.len() * REMOVAL_BYTES + trace + ITEM_BYTES
}

/// The same gets in batches within the bounds.
fn batches(items: Vec<Item>, most: Bounds) -> Vec<Vec<Item>> {
    let size = |item: &Item| size(&item.group, &item.key, &item.removals, item.trace);
    if items.len() <= most.keys && items.iter().map(size).sum::<usize>() <= most.bytes {
        return vec![items];
    }
    let mut batches = vec![Vec::new()];
    let mut bytes = 0;
    for item in items {
        bytes += size(&item);
        match batches.last_mut() {
            Some(last) if last.len() < most.keys && bytes <= most.bytes => last.push(item),
            _ => {
                bytes = size(&item);
                batches.push(vec![item]);
            }
        }
    }
    batches
}
