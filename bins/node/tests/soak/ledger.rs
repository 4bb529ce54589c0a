//! What every value may be: which version the origin has, and which versions are too old to be
//! served.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// Keys that are written, and asked for repeatedly.
pub(crate) const HOT: usize = 1_000;

/// Other keys, which are asked for now and then.
pub(crate) const COLD: usize = 100_000;

/// The source of a value: put by a client, or loaded from the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Load,
    Put,
}

/// The verdict on a get's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    Right,
    /// Not what the key has or ever had.
    Wrong,
    /// Older than a removal that was acknowledged before the get began.
    Stale,
    /// As `Stale`, but of a put that was never acknowledged, and arrived late.
    LatePut,
}

pub(crate) struct Ledger {
    keys: Vec<Entry>,
    unacknowledged: Mutex<HashSet<(usize, u64)>>,
}

#[derive(Default)]
struct Entry {
    /// The origin's version.
    version: AtomicU64,
    /// The version at the last acknowledged removal or put.
    floor: AtomicU64,
    /// One writer at a time: writes that overlap have no order.
    is_written: AtomicBool,
}

/// A write under way.
pub(crate) struct Writing<'a> {
    ledger: &'a Ledger,
    key: usize,
    pub(crate) version: u64,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.ledger.keys[self.key].is_written.store(false, SeqCst);
    }
}

impl Writing<'_> {
    /// A get that begins from now on must return this version or a later one.
    pub(crate) fn acknowledged(self) {
        self.ledger.keys[self.key].floor.store(self.version, SeqCst);
    }

    /// It is unknown whether this put has been or will be applied.
    pub(crate) fn put_in_doubt(self) {
        let mut doubtful = self.ledger.unacknowledged.lock().unwrap();
        doubtful.insert((self.key, self.version));
    }
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            keys: (0..HOT).map(|_| Entry::default()).collect(),
            unacknowledged: Mutex::default(),
        }
    }

    /// What the origin has.
    pub(crate) fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(key).ok()?;
        let version = match hot(text) {
            Some(at) => self.keys.get(at)?.version.load(SeqCst),
            None => 0,
        };
        Some(render(text, version, By::Load))
    }

    /// Gives a key a new version at the origin. None if another write is under way.
    pub(crate) fn write(&self, key: usize) -> Option<Writing<'_>> {
        let entry = &self.keys[key];
        if entry.is_written.swap(true, SeqCst) {
            return None;
        }
        let version = entry.version.fetch_add(1, SeqCst) + 1;
        Some(Writing {
            ledger: self,
            key,
            version,
        })
    }

    /// The oldest version that a get which begins now may return.
    pub(crate) fn floor(&self, key: &str) -> u64 {
        hot(key).map_or(0, |at| self.keys[at].floor.load(SeqCst))
    }

    /// Judges a value by the oldest version that was allowed when its get began.
    pub(crate) fn judge(&self, key: &str, value: &[u8], floor: u64) -> Judgement {
        let Some((version, by)) = parse(key, value) else {
            return Judgement::Wrong;
        };
        let newest = hot(key).map_or(0, |at| self.keys[at].version.load(SeqCst));
        if version > newest {
            return Judgement::Wrong;
        }
        if version >= floor {
            return Judgement::Right;
        }
        let doubtful = |at| self.unacknowledged.lock().unwrap().contains(&(at, version));
        match hot(key) {
            Some(at) if by == By::Put && doubtful(at) => Judgement::LatePut,
            _ => Judgement::Stale,
        }
    }
}

pub(crate) fn hot_key(at: usize) -> String {
    format!("hot-{at}")
}

pub(crate) fn cold_key(at: usize) -> String {
    format!("cold-{at}")
}

fn hot(key: &str) -> Option<usize> {
    key.strip_prefix("hot-")?.parse().ok()
}

/// A value that contains its key, version and kind, which determine its length and filling.
pub(crate) fn render(key: &str, version: u64, by: By) -> Vec<u8> {
    let mut value = String::new();
    let kind = match by {
        By::Load => 'L',
        By::Put => 'P',
    };
    // Writing to a string does not fail.
    let _ = write!(value, "{key}\n{version}\n{kind}\n");
    let head = value.len();
    let spread = key
        .bytes()
        .fold(version, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
    let len = head + (spread % 6_000) as usize;
    let filling: Vec<u8> = value.bytes().cycle().skip(head).take(len - head).collect();
    [value.into_bytes(), filling].concat()
}

fn parse(key: &str, value: &[u8]) -> Option<(u64, By)> {
    let mut lines = value.splitn(4, |byte| *byte == b'\n').skip(1);
    let version = std::str::from_utf8(lines.next()?).ok()?.parse().ok()?;
    let by = match lines.next()? {
        b"L" => By::Load,
        b"P" => By::Put,
        _ => return None,
    };
    (render(key, version, by) == value).then_some((version, by))
}
