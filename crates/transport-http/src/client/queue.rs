//! Gets that wait for company.
//!
//! A get that finds fewer than [`Batching::requests_at_once`] requests under way leaves at once. If the last one to leave
//! had company, that is as soon as the runtime has run what else is ready, since gets that come in together should leave
//! together. Others wait, and the first [`Turn`] to end sends all of them, in one batch or as many as it takes; each batch
//! has a turn of its own. So batches are as large as the peer is busy, and a lone get waits for nothing. Where only a few
//! wait, they go by themselves, each with a turn: a batch costs more than a plain request.
//!
//! A turn ends with the first answer. If it does not within [`Batching::longest_wait`], because an origin is slow or the
//! peer is gone, the get that waits longest sends the queue on its way and starts a new *round*, in which turns of older
//! rounds count no more. Whoever makes an empty queue non-empty watches that clock; if it goes away before, it sends the
//! queue as it leaves. So a non-empty queue always has somebody to send it.
//!
//! Whether a peer takes batches its first answer tells. Until then one get is under way, whatever the options say, and others
//! wait for it as they would for any turn; then they leave in a batch, or each by itself. A peer that takes none is asked
//! for each key by itself from then on, and nothing waits.
//!
//! Gets of one [party](Guest) say of each other that they come, so an idle peer gets all of them in one request: they
//! gather beside the queue, and leave when all are here. The first to come watches over that, as over the queue, and waits
//! no longer than [`Batching::longest_wait`]; those that come later gather anew. Where the peer is busy, a small party
//! joins the queue instead: many of them would send many small batches otherwise, and a batch should be as large as the peer
//! is busy. A large one is a batch of that kind by itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gaggle_group::{ByteBudget, Fetch, Fetched, Guest, Key, PeerError, RemovalId, TraceParent};
use gaggle_proto::notices::MAX_CARRIED;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::waiting::First;
use super::Batching;
use super::asker::Asker;
use crate::batch::{MAX_ITEMS, MAX_REQUEST};

mod waiting;

pub(super) use waiting::{Turn, Waiting};

/// The most gets in one batch, and about the most bytes of its request.
const MOST: Bounds = Bounds {
    keys: 256,
    bytes: 64 << 10,
};

/// The same for the batch of a party, which is not shared out without need.
const MOST_OF_PARTY: Bounds = Bounds {
    keys: MAX_ITEMS,
    bytes: MAX_REQUEST,
};

/// So many gets of a party leave at once: what a request costs is little beside them.
const LARGE_PARTY: usize = 64;

/// What the fields of an item and its answer's address take, rounded up, in bytes.
const ITEM_BYTES: usize = 64;

/// What a removal takes that travels with a get, rounded up, in bytes.
const REMOVAL_BYTES: usize = 24;

/// What the trace takes that a get belongs to, rounded up, in bytes.
const TRACE_BYTES: usize = 64;

/// The gets of one peer.
pub(super) struct Queue {
    options: Batching,
    state: Mutex<State>,
    /// Gets in the queue or in a batch.
    waiting: AtomicUsize,
    /// Whether the peer takes batches, by the last of its answers: a [`Takes`].
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
    /// How often the queue was sent: tells whether an item of then can still be in it.
    sent: u64,
    round: u64,
    /// Turns of this round.
    turns: usize,
    /// Whether more than one get left when the queue was last sent: then the next one may not be alone, either.
    company: bool,
    /// Gets that wait for the others of their party. Each list has a first one that watches over it.
    gathering: HashMap<usize, Vec<Item>>,
}

/// One get on its way into a batch.
pub(super) struct Item {
    pub(super) group: String,
    pub(super) key: Key,
    pub(super) max_value: u64,
    /// When the answer is of no more use.
    pub(super) until: Instant,
    /// Removals that travel with it, at most [`MAX_CARRIED`].
    pub(super) removals: Vec<RemovalId>,
    pub(super) kept_only: bool,
    pub(super) trace: Option<TraceParent>,
    /// What its value draws on as it is read.
    pub(super) budget: Option<ByteBudget>,
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
pub(super) enum Entered<'a> {
    /// By itself, and uncounted.
    Alone,
    /// By itself, and further ones wait for it.
    First(Turn),
    /// In a batch.
    Waiting(Waiting<'a>),
    /// Not at all.
    Full { limit: usize },
}

/// What was in the queue, or of a party. Each batch and each get that goes alone is counted as a turn already.
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

    /// Notes what an answer has told.
    pub(super) fn learn(&self, takes_batches: bool) {
        let takes = if takes_batches {
            Takes::Batches
        } else {
            Takes::None
        };
        // Written by all answers, it would be taken away from the gets all the time.
        if !self.knows(takes) {
            self.takes.store(takes as u8, Relaxed);
        }
    }

    fn knows(&self, takes: Takes) -> bool {
        self.takes.load(Relaxed) == takes as u8
    }

    /// Takes a get in. A guest of a party must then [arrive](Guest::arrive), whatever has become of it.
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
        // The last of a party of which nobody waits is like any other get. With a peer that is not known all are: a party
        // has to wait for its first one's answer, and not for the last of its members.
        let guest = fetch
            .party
            .filter(|guest| !is_unknown && state.gathers(guest));
        let is_free = if is_unknown {
            state.turns == 0 && state.items.is_empty()
        } else {
            guest.is_none() && !self.is_busy(&state)
        };
        if is_free && (is_unknown || !state.company) {
            state.turns += 1;
            return Entered::First(Turn::new(asker, state.round));
        }
        let limit = self.options.max_waiting;
        // Grows under the lock only, so that the limit holds.
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
        let mut first = state.add(item, guest);
        if let (true, Some(First::Queue(sent))) = (is_free, first) {
            first = Some(First::Tick(sent));
        }
        Entered::Waiting(Waiting::new(asker, answer, first))
    }

    /// A turn of `round` has ended.
    fn turn_ended(&self, round: u64) -> Option<Sending> {
        let mut state = self.state();
        if state.round != round {
            return None;
        }
        state.turns = state.turns.saturating_sub(1);
        state.send(self.smallest_batch())
    }

    /// What was ready to run beside the get that came first when the queue had been sent `sent` times has run.
    fn tick_over(&self, sent: u64) -> Option<Sending> {
        let mut state = self.state();
        if state.sent != sent {
            return None;
        }
        // A lone get needs no batch, whatever the options say.
        state.send(self.smallest_batch().max(2))
    }

    /// Nobody has sent what entered the queue when it had been sent `sent` times.
    fn overdue(&self, sent: u64) -> Option<Sending> {
        let mut state = self.state();
        if state.sent != sent {
            return None;
        }
        state.round += 1;
        state.turns = 0;
        state.send(self.smallest_batch())
    }

    /// What has gathered of a party is to wait for no more of it. Where it makes up the queue from now on, `watch` is told
    /// how often the queue has been sent; without `watch` there is nobody to watch over it, and it leaves.
    fn gathered(&self, guest: &Guest, watch: Option<&mut Option<u64>>) -> Option<Sending> {
        let mut state = self.state();
        let mut items = state.gathering.remove(&guest.party())?;
        // Those whose callers are gone are left out when the batch leaves.
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
        Some(state.take_turns(items, here < self.smallest_batch(), MOST_OF_PARTY))
    }

    /// How many gets make a batch: none do for a peer that is not known to take any.
    fn smallest_batch(&self) -> usize {
        if self.knows(Takes::Batches) {
            self.options.smallest_batch
        } else {
            usize::MAX
        }
    }

    /// Whether a further get is to wait.
    fn is_busy(&self, state: &State) -> bool {
        !state.items.is_empty() || state.turns >= self.options.requests_at_once
    }

    /// Whether there is neither a turn nor a get that waits.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.items.is_empty()
            && state.gathering.is_empty()
            && state.turns == 0
            && self.waiting.load(Relaxed) == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under the lock: a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a get has others of its party to wait for, or to be waited for by.
    fn gathers(&self, guest: &Guest) -> bool {
        !guest.is_last() || self.gathering.contains_key(&guest.party())
    }

    /// Adds a get; says what it is to watch over, if it is the first there.
    fn add<'a>(&mut self, item: Item, guest: Option<&'a Guest>) -> Option<First<'a>> {
        let (items, first) = match guest {
            None => (&mut self.items, First::Queue(self.sent)),
            Some(guest) => (
                self.gathering.entry(guest.party()).or_default(),
                First::Party(guest),
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
        Some(self.take_turns(items, few, MOST))
    }

    fn take_turns(&mut self, items: Vec<Item>, few: bool, most: Bounds) -> Sending {
        let (batches, alone) = if few {
            (Vec::new(), items)
        } else {
            (batches(items, most), Vec::new())
        };
        self.turns += batches.len() + alone.len();
        Sending {
            batches,
            alone,
            round: self.round,
        }
    }
}

/// About what a get takes in a request, in bytes; never less.
fn size(group: &str, key: &Key, removals: &[RemovalId], trace: Option<TraceParent>) -> usize {
    let trace = trace.map_or(0, |_| TRACE_BYTES);
    group.len() + key.len() + removals.len() * REMOVAL_BYTES + trace + ITEM_BYTES
}

/// The same gets in batches that keep the bounds.
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
