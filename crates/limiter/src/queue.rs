//! Which callers wait for a slot, which is next, and which are refused: the rules, without tokio
//! and without a clock.

mod flow;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use self::flow::Flow;
pub(crate) use self::rules::Rules;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Oldest first.
    Calm,
    /// Waiters that arrived before it (`backlog`) keep their place, oldest first; then newest
    /// first.
    Pressure { backlog: u64, since: Instant },
}

#[derive(Debug)]
struct Entry<T> {
    arrived: Instant,
    item: T,
}

/// The outcome of [`Queue::push`].
#[derive(Debug)]
pub(crate) enum Pushed<T> {
    /// The new caller waits; those in `refused` no longer do.
    Queued { id: u64, refused: Vec<T> },
    /// There is no room. The oldest is taken out, to check whether it is still wanted:
    /// [`Queue::put_back`] if it is.
    Full { newcomer: T, oldest: Taken<T> },
}

#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// By arrival.
    entries: BTreeMap<u64, Entry<T>>,
    next: u64,
    flow: Flow,
    mode: Mode,
}

impl<T> Queue<T> {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            entries: BTreeMap::new(),
            next: 0,
            flow: Flow::new(now),
            mode: Mode::Calm,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn under_pressure(&self) -> bool {
        self.mode != Mode::Calm
    }

    /// Counts a caller that arrives, whether it will wait or not.
    pub(crate) fn count_came(&mut self) {
        self.flow.now.came += 1;
    }

    /// Counts callers that are started.
    pub(crate) fn count_started(&mut self, count: u64) {
        self.flow.now.started += count;
    }

    /// Counts a caller that is refused for lack of room or time.
    pub(crate) fn count_refused(&mut self) {
        self.flow.now.refused += 1;
    }

    /// Whether [`tick`](Self::tick) is due.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.flow.is_over(now)
    }

    /// Ends an interval: decides about pressure. Returns the waiters that it refuses.
    pub(crate) fn tick(&mut self, now: Instant, rules: &Rules) -> Vec<T> {
        self.flow.roll(now, !self.is_empty());
        match self.mode {
            Mode::Calm if self.pressure_begins(now, rules) => {
                self.mode = Mode::Pressure {
                    backlog: self.next,
                    since: now,
                };
                // Work that cannot be started in time is refused now, not after a wait.
                self.trim_newest(rules.most)
            }
            Mode::Pressure { backlog, since } if self.pressure_ends(now, rules, backlog, since) => {
                self.mode = Mode::Calm;
                Vec::new()
            }
            Mode::Calm | Mode::Pressure { .. } => Vec::new(),
        }
    }

    fn pressure_begins(&self, now: Instant, rules: &Rules) -> bool {
        let last = self.flow.last();
        let keeps_coming = last.came > 0 && last.came >= last.started;
        let waits_long = self
            .entries
            .first_key_value()
            .is_some_and(|(_, head)| now.duration_since(head.arrived) > rules.max_wait / 2);
        keeps_coming && (waits_long || (last.refused > 0 && !self.is_empty()))
    }

    fn pressure_ends(&self, now: Instant, rules: &Rules, backlog: u64, since: Instant) -> bool {
        let last = self.flow.last();
        if !last.waited {
            return true;
        }
        if self.has_backlog(backlog) {
            // New callers are refused in favour of the backlog: it must be clear that too many
            // arrive. With 0.9 and not 1, a random interval at 1.2 times the capacity does not end
            // it.
            return (last.came as f64) < 0.9 * last.started as f64;
        }
        if now.duration_since(since) < Duration::from_secs(1) {
            return false;
        }
        let second = self.flow.second();
        second.refused == 0
            || rules
                .rate
                .is_some_and(|rate| (second.came as f64) < 0.95 * rate)
    }

    fn has_backlog(&self, backlog: u64) -> bool {
        self.entries
            .first_key_value()
            .is_some_and(|(id, _)| *id < backlog)
    }

    /// Takes out the newest, so that at most `most` wait.
    pub(crate) fn trim_newest(&mut self, most: usize) -> Vec<T> {
        let mut refused = Vec::new();
        while self.len() > most
            && let Some((_, entry)) = self.entries.pop_last()
        {
            self.flow.now.refused += 1;
            refused.push(entry.item);
        }
        refused
    }

    /// Queues the new caller, if there is room or room is made.
    pub(crate) fn push(&mut self, now: Instant, item: T, rules: &Rules) -> Pushed<T> {
        let mut refused = Vec::new();
        let (most, newest_first) = match self.mode {
            Mode::Calm => (rules.most, false),
            Mode::Pressure { backlog, .. } => (rules.short, !self.has_backlog(backlog)),
        };
        if newest_first {
            // The new caller is started before them, so that no slot will find the queue empty.
            while let Some((_, oldest)) = self.entries.first_key_value()
                && (now.duration_since(oldest.arrived) > rules.target
                    || self.len() >= rules.most.min(2 * rules.short))
                && let Some((_, oldest)) = self.entries.pop_first()
            {
                self.flow.now.refused += 1;
                refused.push(oldest.item);
            }
        } else if self.len() >= most
            && let Some((id, entry)) = self.entries.pop_first()
        {
            return Pushed::Full {
                newcomer: item,
                oldest: Taken { id, entry },
            };
        }
        let id = self.next;
        self.next += 1;
        self.flow.now.waited = true;
        self.entries.insert(id, Entry { arrived: now, item });
        Pushed::Queued { id, refused }
    }

    /// Takes out the waiter that is started next.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let newest = match self.mode {
            Mode::Calm => false,
            Mode::Pressure { backlog, .. } => !self.has_backlog(backlog),
        };
        let (_, entry) = if newest {
            self.entries.pop_last()
        } else {
            self.entries.pop_first()
        }?;
        Some(entry.item)
    }

    /// A waiter that was taken out is still wanted.
    pub(crate) fn put_back(&mut self, taken: Taken<T>) {
        self.entries.insert(taken.id, taken.entry);
    }

    /// Takes out a waiter that leaves.
    pub(crate) fn remove(&mut self, id: u64) -> Option<T> {
        self.entries.remove(&id).map(|entry| entry.item)
    }

    /// Takes out all waiters.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        std::mem::take(&mut self.entries)
            .into_values()
            .map(|entry| entry.item)
            .collect()
    }
}

/// A waiter that was taken out temporarily.
#[derive(Debug)]
pub(crate) struct Taken<T> {
    id: u64,
    entry: Entry<T>,
}

impl<T> Taken<T> {
    pub(crate) fn item(&self) -> &T {
        &self.entry.item
    }

    pub(crate) fn into_item(self) -> T {
        self.entry.item
    }
}
