//! The actual events, which determine what an answer may be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use gaggle_group::{Hint, Load, Loaded, Origin, OriginError, async_trait};
use tokio::time::{Instant, sleep};

/// A node and how often it has been started.
pub(crate) type Incarnation = (usize, u32);

/// How long a node may take to learn of a removal once it is in contact with one that knows it. A
/// second is the promise; messages take up to 60 ms more for the round trip.
pub(crate) const CATCH_UP: Duration = Duration::from_millis(1_100);

/// Nodes of lower numbers are members of the ring.
pub(crate) const MEMBERS: usize = 3;

#[derive(Clone, Default)]
pub(crate) struct World {
    inner: Arc<Mutex<Facts>>,
}

#[derive(Default)]
pub(crate) struct Facts {
    /// When each value was loaded, or put: a value is the number of its load.
    loads: Vec<(Instant, String)>,
    removals: Vec<Answered>,
    /// Since when two nodes are in contact, the lower number first.
    contact: BTreeMap<(usize, usize), Option<Instant>>,
    starts: BTreeMap<usize, (u32, Instant)>,
    pub(crate) failing: bool,
    /// Random durations of loads.
    draws: u64,
}

/// A removal that has answered.
struct Answered {
    /// `None`: all keys.
    keys: Option<BTreeSet<String>>,
    called: Instant,
    answered: Instant,
    /// Those that were told.
    knowing: BTreeSet<Incarnation>,
}

/// How long a key's values are served, by its name: `a` without an end, `b` with a ttl, `c` with
/// stale windows.
pub(crate) fn hint(key: &str) -> Hint {
    let second = Duration::from_secs(1);
    match key.as_bytes().first() {
        Some(b'b') => Hint::ttl(2 * second),
        Some(b'c') => Hint::ttl(second)
            .stale_while_revalidate(second)
            .stale_if_error(4 * second),
        _ => Hint::default(),
    }
}

/// The oldest that an answer may be: ttl and windows, and what loads and messages take.
fn oldest(key: &str) -> Option<Duration> {
    let hint = hint(key);
    let windows = hint.stale_while_revalidate.max(hint.stale_if_error);
    Some(hint.ttl? + windows.unwrap_or_default() + Duration::from_millis(400))
}

impl World {
    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.inner.lock().unwrap()
    }
}

impl Facts {
    /// A value that is made now.
    pub(crate) fn make(&mut self, key: &str) -> Bytes {
        self.loads.push((Instant::now(), key.to_owned()));
        Bytes::from(format!("{}", self.loads.len() - 1))
    }

    /// A value that is being put. Until that has ended it may take effect at any time, also after
    /// a removal that was called meanwhile.
    pub(crate) fn make_put(&mut self, key: &str) -> Bytes {
        let value = self.make(key);
        if let Some((made, _)) = self.loads.last_mut() {
            *made += Duration::from_secs(3_600);
        }
        value
    }

    /// Records that a put has ended.
    pub(crate) fn was_put(&mut self, value: &[u8]) {
        let number: usize = std::str::from_utf8(value).unwrap().parse().unwrap();
        self.loads[number].0 = Instant::now();
    }

    pub(crate) fn incarnation(&self, node: usize) -> Incarnation {
        (node, self.starts.get(&node).map_or(0, |start| start.0))
    }

    pub(crate) fn restarted(&mut self, node: usize) {
        let now = Instant::now();
        let start = self.starts.entry(node).or_insert((0, now));
        *start = (start.0 + 1, now);
        for (pair, since) in &mut self.contact {
            if (pair.0 == node || pair.1 == node) && since.is_some() {
                *since = Some(now);
            }
        }
    }

    /// Whether that start of a node was before that time.
    pub(crate) fn is_running_since(&self, (node, _): Incarnation, time: Instant) -> bool {
        self.starts.get(&node).is_none_or(|start| start.1 <= time)
    }

    pub(crate) fn set_contact(&mut self, a: usize, b: usize, up: bool) {
        let pair = (a.min(b), a.max(b));
        let since = self.contact.entry(pair).or_insert(None);
        if up {
            since.get_or_insert_with(Instant::now);
        } else {
            *since = None;
        }
    }

    pub(crate) fn removed(
        &mut self,
        keys: Option<BTreeSet<String>>,
        called: Instant,
        knowing: BTreeSet<Incarnation>,
    ) {
        self.removals.push(Answered {
            keys,
            called,
            answered: Instant::now(),
            knowing,
        });
    }

    /// The time before which no value may have been loaded that a get of that key, beginning now
    /// at that node, brings.
    pub(crate) fn bound(&self, node: usize, key: &str) -> Option<Instant> {
        let covers = |removal: &&Answered| {
            let keys = removal.keys.as_ref();
            keys.is_none_or(|keys| keys.contains(key)) && self.must_know(node, removal)
        };
        let called = self.removals.iter().filter(covers);
        called.map(|removal| removal.called).max()
    }

    fn must_know(&self, node: usize, removal: &Answered) -> bool {
        removal.knowing.contains(&self.incarnation(node))
            || removal.knowing.iter().any(|&(other, start)| {
                let pair = (node.min(other), node.max(other));
                let since = self.contact.get(&pair).copied().flatten();
                self.incarnation(other) == (other, start)
                    && other != node
                    // Gateways ask members, and each other once a member has told them of each
                    // other.
                    && (node < MEMBERS || other < MEMBERS)
                    && since.is_some_and(|since| since.max(removal.answered).elapsed() >= CATCH_UP)
            })
    }

    /// What is wrong with an answer to a get that began at `began` with that bound, if anything
    /// is.
    pub(crate) fn judge(
        &self,
        key: &str,
        value: &[u8],
        bound: Option<Instant>,
        began: Instant,
    ) -> Option<String> {
        let number: usize = std::str::from_utf8(value).unwrap().parse().unwrap();
        let (loaded, of) = &self.loads[number];
        if of != key {
            return Some(format!("value {number} is that of {of}"));
        }
        if let Some(bound) = bound
            && *loaded < bound
        {
            let before = bound - *loaded;
            return Some(format!(
                "value {number} was loaded {before:?} before a removal"
            ));
        }
        let age = began.saturating_duration_since(*loaded);
        if oldest(key).is_some_and(|oldest| age > oldest) {
            return Some(format!("value {number} was loaded {age:?} before the get"));
        }
        None
    }
}

#[async_trait]
impl Origin for World {
    async fn load(&self, load: Load<'_>) -> Result<Loaded, OriginError> {
        let key = std::str::from_utf8(load.key).unwrap().to_owned();
        let (value, pause) = {
            let mut facts = self.facts();
            facts.draws = facts
                .draws
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let pause = Duration::from_millis(facts.draws >> 33 & 63);
            (facts.make(&key), pause)
        };
        sleep(pause).await;
        if self.facts().failing {
            return Err(OriginError::failed("down"));
        }
        Ok(Loaded::value(value).with_freshness(hint(&key)))
    }
}
