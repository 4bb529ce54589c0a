//! The mechanics of eviction against a plain model: two queues of keys, and the rules of a
//! setting.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::ghost::Ghost;

/// How many entries and blocks an operation lets stay.
const PASSES: usize = 256;
const MAX_USES: u64 = 3;

#[derive(Clone, Debug)]
enum Op {
    Get(usize),
    /// Each key as often as its uses are counted, after which an insertion does not reach one that
    /// may be evicted.
    GetAll,
    /// A key, a length, and its lifetime in seconds unless that is without end.
    Insert(usize, usize, Option<u64>),
    Remove(usize),
    Evict,
    /// Seconds pass.
    Wait(u64),
}

struct Entry {
    n: usize,
    len: usize,
    uses: u64,
    /// In seconds.
    end: Option<u64>,
}

impl Entry {
    fn content(&self) -> u64 {
        (key(self.n).len() + self.len) as u64 + weight::ENTRY
    }

    fn weight(&self) -> u64 {
        weight::single(key(self.n).len(), self.len) + weight::ENTRY
    }
}

/// Percent of the small queue, uses to pass, and whether size has its price, as in the README.
const RULES: [(u64, u64, bool); 4] = [(1, 2, true), (10, 2, false), (40, 1, false), (0, 1, false)];

struct Model {
    rules: (u64, u64, bool),
    mean: u64,
    capacity: u64,
    /// What the small queue is a part of.
    limit: u64,
    slack: u64,
    /// Small and main, the oldest entry first.
    queues: [VecDeque<Entry>; 2],
    ghost: Ghost,
    /// The bytes in all and of the small queue, at the end of the last change: decisions within an
    /// insertion depend on the state before.
    used: u64,
    small: u64,
    now: u64,
    recalls: u64,
}

impl Model {
    fn new(capacity: u64, setting: usize, mean: u32) -> Self {
        Self {
            rules: RULES[setting],
            mean: mean.into(),
            capacity,
            limit: capacity,
            slack: 2 * Layout::of(capacity, 1).page() as u64,
            queues: Default::default(),
            ghost: Ghost::default(),
            used: 0,
            small: 0,
            now: 0,
            recalls: 0,
        }
    }

    fn queue(&mut self, queue: Queue) -> &mut VecDeque<Entry> {
        &mut self.queues[queue as usize]
    }

    fn len(&self) -> usize {
        self.queues.iter().map(VecDeque::len).sum()
    }

    fn small_part(&self) -> u64 {
        self.limit / 100 * self.rules.0
    }

    fn is_small_full(&self) -> bool {
        self.small > self.small_part()
    }

    fn room_in_main(&self) -> u64 {
        let main = self.used - self.small;
        (self.limit - self.small_part()).saturating_sub(main + self.slack)
    }

    fn is_gone(&self, entry: &Entry) -> bool {
        entry.end.is_some_and(|end| end <= self.now)
    }

    fn settle(&mut self) {
        let weights = self.queues.iter().flatten().map(Entry::weight);
        self.used = weights.sum::<u64>() + self.ghost.bytes();
        self.small = self.queue(Queue::Small).iter().map(Entry::content).sum();
        self.limit = self.limit.max(self.used.min(self.capacity));
    }

    fn find(&mut self, n: usize) -> Option<&mut Entry> {
        self.queues.iter_mut().flatten().find(|entry| entry.n == n)
    }

    fn take(&mut self, n: usize) -> Option<(Queue, Entry)> {
        Queue::BOTH.into_iter().find_map(|queue| {
            let entries = self.queue(queue);
            let at = entries.iter().position(|entry| entry.n == n)?;
            Some((queue, entries.remove(at)?))
        })
    }

    fn get(&mut self, n: usize) -> bool {
        let now = self.now;
        let Some(entry) = self.find(n) else {
            return false;
        };
        if entry.end.is_some_and(|end| end <= now) {
            self.remove(n);
            return false;
        }
        entry.uses = (entry.uses + 1).min(MAX_USES);
        true
    }

    fn remove(&mut self, n: usize) -> bool {
        let Some((_, entry)) = self.take(n) else {
            return false;
        };
        self.ghost.shrink(self.len());
        self.settle();
        !self.is_gone(&entry)
    }

    fn insert(&mut self, n: usize, len: usize, ttl: Option<u64>) {
        let old = self.take(n);
        let is_new = old.is_none();
        let (queue, uses) = match old {
            Some((queue, old)) => (queue, old.uses),
            None => (self.queue_of_new(n), 0),
        };
        let end = ttl.map(|ttl| self.now + ttl);
        self.queue(queue).push_back(Entry { n, len, uses, end });
        if is_new {
            self.ghost.grow(self.len());
        }
        self.fill_main();
        self.settle();
        let mut passes = PASSES;
        while self.used > self.capacity {
            self.evict_once(Some(n), &mut passes);
        }
    }

    fn queue_of_new(&mut self, n: usize) -> Queue {
        let is_back = self.ghost.recall(tag(n));
        self.recalls += u64::from(is_back);
        if is_back || self.rules.0 == 0 {
            Queue::Main
        } else {
            Queue::Small
        }
    }

    /// Two at most pass on, whatever their uses.
    fn fill_main(&mut self) {
        let room = self.room_in_main();
        for _ in 0..2 {
            let oldest = self.queues[Queue::Small as usize].front();
            if self.is_small_full() && oldest.is_some_and(|oldest| oldest.content() <= room) {
                self.pass_on();
            } else {
                return;
            }
        }
    }

    fn pass_on(&mut self) {
        let oldest = self.queue(Queue::Small).pop_front();
        self.queue(Queue::Main).extend(oldest);
    }

    fn evict(&mut self) -> usize {
        self.limit = self.used.min(self.capacity);
        let len = self.len();
        let mut passes = PASSES;
        while self.len() == len && len > 0 {
            self.evict_once(None, &mut passes);
        }
        len - self.len()
    }

    /// Looks at one entry of the queue that is due, and once nothing may stay any more at two.
    fn evict_once(&mut self, spare: Option<usize>, passes: &mut usize) {
        let len = self.len();
        let may_pass = take_pass(passes);
        let room = if may_pass { self.room_in_main() } else { 0 };
        let [small, main] = &self.queues;
        let is_small_due = !small.is_empty() && (self.is_small_full() || main.is_empty());
        let due = if is_small_due {
            Queue::Small
        } else {
            Queue::Main
        };
        for queue in [due, due.other()] {
            let has_one = |queue: &Queue| {
                let entries = &self.queues[*queue as usize];
                entries.iter().any(|entry| Some(entry.n) != spare)
            };
            if let Some(queue) = [queue, queue.other()].into_iter().find(has_one) {
                self.evict_oldest(queue, room, spare, passes);
            }
            if may_pass || self.len() < len {
                break;
            }
        }
        self.ghost.shrink(self.len());
        self.settle();
    }

    fn evict_oldest(&mut self, queue: Queue, room: u64, spare: Option<usize>, passes: &mut usize) {
        let held = self.len();
        let Some(mut entry) = self.queue(queue).pop_front() else {
            return;
        };
        if queue == Queue::Small && entry.content() <= room {
            self.queue(Queue::Main).push_back(entry);
        } else if spare == Some(entry.n) {
            self.queue(queue).push_back(entry);
        } else if let Some(left) = self.round(queue, &entry)
            && !self.is_gone(&entry)
            && take_pass(passes)
        {
            entry.uses = left;
            self.queue(Queue::Main).push_back(entry);
        } else if (queue == Queue::Small || self.rules.0 == 0) && !self.is_gone(&entry) {
            self.ghost.remember(tag(entry.n), held);
        }
    }

    /// The uses that are left if it has earned a further round.
    fn round(&self, queue: Queue, entry: &Entry) -> Option<u64> {
        let (len, mean, (_, uses, by_size)) = (entry.content(), self.mean, self.rules);
        let is_known = mean > 0;
        match queue {
            Queue::Small if is_known && len > 2 * mean => (entry.uses > uses).then_some(0),
            Queue::Small if is_known && len * 2 < mean => {
                (entry.uses >= 1 && entry.uses + 1 >= uses).then_some(0)
            }
            Queue::Small => (entry.uses >= uses).then_some(0),
            Queue::Main if by_size && is_known && len > 2 * mean => entry.uses.checked_sub(3),
            Queue::Main if by_size && is_known && len * 4 > mean * 5 => entry.uses.checked_sub(2),
            Queue::Main => entry.uses.checked_sub(1),
        }
    }

    fn order(&self, queue: Queue) -> Vec<(Vec<u8>, u64)> {
        let entries = self.queues[queue as usize].iter();
        entries.map(|entry| (key(entry.n), entry.uses)).collect()
    }
}

fn take_pass(passes: &mut usize) -> bool {
    let left = passes.checked_sub(1);
    *passes = left.unwrap_or_default();
    left.is_some()
}

fn tag(n: usize) -> Tag {
    let mut hasher = Unsampled.build_hasher();
    hasher.write(&key(n));
    Tag::of(hasher.finish())
}

fn value_of(len: usize) -> Bytes {
    Bytes::from_static(&[7; LENS.1]).slice(..len)
}

/// None is small enough for a page.
const LENS: (usize, usize) = (600, 4_000);
const KEYS: usize = 120;

fn ops() -> impl Strategy<Value = Vec<Op>> {
    // Some are asked for more often.
    let n = || prop_oneof![0..KEYS / 8, 0..KEYS];
    let len = prop_oneof![4 => Just(2_000), 1 => LENS.0..LENS.1];
    let ttl = prop_oneof![9 => Just(None), 1 => (1..20_u64).prop_map(Some)];
    let op = prop_oneof![
        20 => n().prop_map(Op::Get),
        1 => Just(Op::GetAll),
        20 => (n(), len, ttl).prop_map(|(n, len, ttl)| Op::Insert(n, len, ttl)),
        2 => n().prop_map(Op::Remove),
        2 => Just(Op::Evict),
        2 => (1..5_u64).prop_map(Op::Wait),
    ];
    proptest::collection::vec(op, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn large_entries_are_kept_as_two_plain_queues_keep_them(
        entries in 20..60_u64,
        setting in 0..RULES.len(),
        mean in prop_oneof![Just(0), Just(1_500_u32)],
        ops in ops(),
    ) {
        let capacity = entries * 2_200;
        let clock = Clock::manual();
        let options = Options { clock: clock.clone(), ..options(capacity, 1) };
        let cache = following(options, setting, mean);
        let mut model = Model::new(capacity, setting, mean);
        for op in ops {
            match op {
                Op::Get(n) => prop_assert_eq!(cache.get(&key(n)).is_some(), model.get(n)),
                Op::GetAll => for n in (0..MAX_USES).flat_map(|_| 0..KEYS) {
                    prop_assert_eq!(cache.get(&key(n)).is_some(), model.get(n));
                },
                Op::Insert(n, len, ttl) => {
                    cache.insert_with_ttl(&key(n), value_of(len), ttl.map(Duration::from_secs));
                    model.insert(n, len, ttl);
                }
                Op::Remove(n) => prop_assert_eq!(cache.remove(&key(n)).is_some(), model.remove(n)),
                Op::Evict => prop_assert_eq!(cache.evict(), model.evict()),
                Op::Wait(seconds) => {
                    clock.advance(Duration::from_secs(seconds));
                    model.now += seconds;
                }
            }
            for queue in Queue::BOTH {
                let order = cache.shards[0].share().order(queue);
                prop_assert_eq!(order, model.order(queue), "{:?} after {:?}", queue, op);
            }
            prop_assert_eq!(cache.bytes(), model.used);
            prop_assert_eq!(cache.recalls(), model.recalls);
        }
        cache.audit();
    }
}
