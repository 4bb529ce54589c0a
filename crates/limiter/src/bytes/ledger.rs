//! What is counted, and who waits for it: the budget without tokio and without a clock.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::task::Waker;

use bytes::Bytes;

/// At most this many requests wait; a caller that arrives when they do is refused.
pub(super) const MOST_WAITING: usize = 8_192;

/// A buffer: its address, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Buffer(usize, usize);

impl Buffer {
    pub(super) fn of(value: &Bytes) -> Self {
        Self(value.as_ptr() as usize, value.len())
    }
}

/// Only a budget within this range reserves a part for small requests: a smaller one has none to
/// spare, and `u64::MAX` is no limit.
const SHARED: Range<u64> = 1 << 20..u64::MAX;

/// A request of up to this many bytes is small.
const LITTLE: u64 = 64 << 10;

/// Small requests have one in this many bytes for themselves.
const LITTLE_ONE_IN: u64 = 8;

/// A place in the queue. Small requests go first, so that a few large ones do not block many small
/// ones. Growth is next: a caller that already holds bytes frees them sooner that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(Class, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Little,
    Growth,
    New,
}

/// A request.
#[derive(Debug)]
pub(super) enum Wish {
    /// New bytes.
    New(u64),
    /// The growth of a reservation from `from` to `to` bytes.
    Growth { from: u64, to: u64 },
    /// A buffer that exists; it counts once, however many hold it.
    Hold(Bytes),
}

impl Wish {
    fn adds(&self) -> u64 {
        match self {
            Self::New(bytes) => *bytes,
            Self::Growth { from, to } => to.saturating_sub(*from),
            Self::Hold(value) => value.len() as u64,
        }
    }

    fn has(&self) -> u64 {
        match self {
            Self::Growth { from, .. } => *from,
            Self::New(_) | Self::Hold(_) => 0,
        }
    }

    /// All bytes that the caller would hold.
    pub(super) fn total(&self) -> u64 {
        self.has().saturating_add(self.adds())
    }

    pub(super) fn claim(&self) -> Claim {
        match self {
            Self::Hold(value) => Claim::Hold(Buffer::of(value)),
            Self::New(_) | Self::Growth { .. } => Claim::Bytes(self.adds()),
        }
    }
}

/// What a request is granted, and so what has to be returned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claim {
    Bytes(u64),
    Hold(Buffer),
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Granted,
    Waits(Place),
    Refused,
}

#[derive(Debug)]
struct Waiting {
    wish: Wish,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Held {
    holders: usize,
    /// Keeps the address from being reused while it is counted.
    value: Bytes,
}

#[derive(Debug)]
pub(super) struct Ledger {
    limit: u64,
    used: u64,
    peak: u64,
    refused: u64,
    /// Bytes held by callers that wait for growth: they free nothing until they are served.
    stalled: u64,
    next: u64,
    queue: BTreeMap<Place, Waiting>,
    held: HashMap<Buffer, Held>,
}

impl Ledger {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            used: 0,
            peak: 0,
            refused: 0,
            stalled: 0,
            next: 0,
            queue: BTreeMap::new(),
            held: HashMap::new(),
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Sets the limit; [`serve`](Self::serve) has to be called then.
    pub(super) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The request that is served next. One that waits for more than the whole budget, which has
    /// been lowered, blocks no other.
    fn head(&self) -> Option<(&Place, &Waiting)> {
        let mut queue = self.queue.iter();
        queue.find(|(_, waiting)| waiting.wish.total() <= self.limit)
    }

    /// Grants the request if it fits and none that goes before it waits.
    pub(super) fn try_ask(&mut self, wish: &Wish) -> bool {
        let adds = wish.adds();
        let first = self
            .head()
            .is_none_or(|(place, _)| self.class(wish) < place.0);
        let granted = self.holds(wish) || adds == 0 || (first && self.fits(wish));
        if granted {
            self.grant(wish);
        } else {
            self.refused += 1;
        }
        granted
    }

    /// Like [`try_ask`](Self::try_ask), but a request that could be granted later waits.
    pub(super) fn ask(&mut self, wish: Wish) -> Asked {
        let refused = self.refused;
        if self.try_ask(&wish) {
            return Asked::Granted;
        }
        // If all bytes in use belong to growing reservations that wait for each other, nothing
        // becomes free: the request that closes the circle is refused, so that the others continue
        // when its bytes return.
        let stalled = self.stalled + wish.has();
        let closes_circle = wish.has() > 0 && stalled >= self.used;
        if wish.total() > self.limit || closes_circle || self.queue.len() >= MOST_WAITING {
            return Asked::Refused;
        }
        self.refused = refused;
        self.stalled = stalled;
        let place = Place(self.class(&wish), self.next);
        self.next += 1;
        self.queue.insert(place, Waiting { wish, waker: None });
        Asked::Waits(place)
    }

    /// Whether the request has been granted; otherwise `waker` is woken when it is.
    pub(super) fn poll(&mut self, place: Place, waker: &Waker) -> bool {
        let Some(waiting) = self.queue.get_mut(&place) else {
            return true;
        };
        match &mut waiting.waker {
            Some(known) => known.clone_from(waker),
            unknown => *unknown = Some(waker.clone()),
        }
        false
    }

    /// Gives up a place, or its grant. The returned value has to be dropped outside of the lock.
    pub(super) fn withdraw(&mut self, place: Place, claim: Claim) -> Option<Bytes> {
        if let Some(waiting) = self.queue.remove(&place) {
            self.stalled -= waiting.wish.has();
            return match waiting.wish {
                Wish::Hold(value) => Some(value),
                Wish::New(_) | Wish::Growth { .. } => None,
            };
        }
        match claim {
            Claim::Bytes(bytes) => {
                self.free(bytes);
                None
            }
            Claim::Hold(buffer) => self.remove_holder(buffer),
        }
    }

    pub(super) fn count_refusal(&mut self) {
        self.refused += 1;
    }

    /// Gives bytes back.
    pub(super) fn free(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }

    fn force(&mut self, bytes: u64) {
        self.used = self.used.saturating_add(bytes);
        self.peak = self.peak.max(self.used);
    }

    /// Adds a holder of a value that already exists, within the limit or not.
    pub(super) fn force_hold(&mut self, value: &Bytes) {
        if self.add_holder(value) {
            self.force(value.len() as u64);
        }
    }

    /// Adds a holder of a value that already exists, unless the limit is exceeded and the value is
    /// not counted yet. Returns whether it did.
    pub(super) fn hold_loaded(&mut self, value: &Bytes) -> bool {
        let granted = self.used <= self.limit || self.held.contains_key(&Buffer::of(value));
        if granted {
            self.force_hold(value);
        }
        granted
    }

    /// Adds a holder of the buffer, and returns whether it is the first, whose bytes have to be
    /// counted.
    fn add_holder(&mut self, value: &Bytes) -> bool {
        let held = self.held.entry(Buffer::of(value)).or_insert_with(|| Held {
            holders: 0,
            value: value.clone(),
        });
        held.holders += 1;
        held.holders == 1
    }

    /// Removes a holder of the buffer. The returned value has to be dropped outside of the lock.
    pub(super) fn remove_holder(&mut self, buffer: Buffer) -> Option<Bytes> {
        let held = self.held.get_mut(&buffer)?;
        held.holders -= 1;
        if held.holders > 0 {
            return None;
        }
        self.free(buffer.1 as u64);
        self.held.remove(&buffer).map(|held| held.value)
    }

    /// Grants what fits now, in order; the returned wakers have to be woken outside of the lock.
    pub(super) fn serve(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while let Some((&place, waiting)) = self.head() {
            if !self.holds(&waiting.wish) && !self.fits(&waiting.wish) {
                break;
            }
            self.serve_one(place, &mut woken);
        }
        woken
    }

    fn serve_one(&mut self, place: Place, woken: &mut Vec<Waker>) {
        let Some(Waiting { wish, waker }) = self.queue.remove(&place) else {
            return;
        };
        self.stalled -= wish.has();
        self.grant(&wish);
        woken.extend(waker);
        // A request for a buffer that is counted from now on costs nothing: it no longer waits.
        if let Wish::Hold(value) = &wish {
            let buffer = Buffer::of(value);
            let same: Vec<Place> = self
                .queue
                .iter()
                .filter(|(_, other)| matches!(&other.wish, Wish::Hold(value) if Buffer::of(value) == buffer))
                .map(|(place, _)| *place)
                .collect();
            for place in same {
                if let Some(Waiting { wish, waker }) = self.queue.remove(&place) {
                    self.grant(&wish);
                    woken.extend(waker);
                }
            }
        }
    }

    fn grant(&mut self, wish: &Wish) {
        match wish {
            Wish::Hold(value) => self.force_hold(value),
            Wish::New(_) | Wish::Growth { .. } => self.force(wish.adds()),
        }
    }

    fn holds(&self, wish: &Wish) -> bool {
        matches!(wish, Wish::Hold(value) if self.held.contains_key(&Buffer::of(value)))
    }

    fn class(&self, wish: &Wish) -> Class {
        match wish {
            _ if self.is_little(wish) => Class::Little,
            Wish::Growth { .. } => Class::Growth,
            Wish::New(_) | Wish::Hold(_) => Class::New,
        }
    }

    fn is_little(&self, wish: &Wish) -> bool {
        SHARED.contains(&self.limit) && wish.total() <= LITTLE
    }

    fn fits(&self, wish: &Wish) -> bool {
        // A caller that is alone may have all of it.
        let whole =
            !SHARED.contains(&self.limit) || self.is_little(wish) || self.used == wish.has();
        let limit = if whole {
            self.limit
        } else {
            self.limit - self.limit / LITTLE_ONE_IN
        };
        let used = self.used.checked_add(wish.adds());
        used.is_some_and(|used| used <= limit)
    }
}
