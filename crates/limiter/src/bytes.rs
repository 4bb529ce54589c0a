//! A budget of bytes in flight for a process.

mod ledger;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use ::bytes::Bytes;
use thiserror::Error;

use self::ledger::{Asked, Buffer, Claim, Ledger, Place, Wish};

/// A budget of bytes in flight: those of buffers that are being filled
/// ([`reserve`](Self::reserve)) and of values that are being sent ([`hold`](Self::hold)). A cheap
/// clone is another handle to the same budget.
///
/// A caller that asks for more than is left waits in a queue, first come first served, with two
/// exceptions: growth of an existing reservation goes before new reservations, and requests of up
/// to 64 KiB go before all: of a budget of 1 MiB or more, an eighth is kept for those. The wait is
/// bounded by the budget's `max_wait`, the queue by 8,192 places; after that the answer is
/// [`OverBudget`]. Two callers that each hold a part and wait to grow would wait for each other:
/// if *all* bytes in use belong to such callers, the last of them is refused immediately; if other
/// callers' bytes kept them waiting, `max_wait` resolves it.
///
/// Needs a Tokio runtime with its timer, but only if a caller has to wait.
#[derive(Clone)]
pub struct ByteBudget {
    shared: Arc<Shared>,
}

struct Shared {
    /// One lock, not shards of it: it is held for less time than it takes to send the counted
    /// bytes, and callers that wait for one value are then served together.
    ledger: Mutex<Ledger>,
    max_wait: Duration,
}

/// The budget had no room in time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{asked} bytes asked for, over the budget of {limit} bytes in flight")]
#[non_exhaustive]
pub struct OverBudget {
    /// The bytes that the caller would have held. If they are more than `limit`, no retry helps.
    pub asked: u64,
    /// The bytes of the whole budget.
    pub limit: u64,
    /// When a retry makes sense.
    pub retry_after: Duration,
}

impl ByteBudget {
    /// Values below this many bytes are held at no cost and are not counted: no lock is taken,
    /// nothing is written. The number of holders bounds them: 10,000 connections hold at most 40
    /// MiB of such values.
    pub const SMALL: usize = 4 * 1024;

    /// How long to wait for bytes by default.
    pub const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(1);

    /// A budget of `bytes`, for which a caller waits at most `max_wait`.
    pub fn new(bytes: u64, max_wait: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                ledger: Mutex::new(Ledger::new(bytes)),
                max_wait,
            }),
        }
    }

    /// A budget that counts and never refuses.
    pub fn unlimited() -> Self {
        Self::new(u64::MAX, Self::DEFAULT_MAX_WAIT)
    }

    /// Reserves bytes for a buffer that is about to be filled: all of them if the length is known,
    /// a first part if it is not ([`Reservation::grow_to`]). Waits at most `max_wait`; if this
    /// future is dropped, it leaves the queue.
    ///
    /// # Errors
    ///
    /// [`OverBudget`], immediately for more than the whole budget.
    pub async fn reserve(&self, bytes: u64) -> Result<Reservation, OverBudget> {
        self.ask(Wish::New(bytes)).await?;
        Ok(self.reservation(bytes))
    }

    /// Reserves bytes if they are free and no caller waits for them.
    #[must_use = "the bytes are free again at once"]
    pub fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let granted = self.shared.ledger().try_ask(&Wish::New(bytes));
        granted.then(|| self.reservation(bytes))
    }

    /// Counts a value for as long as the [`Hold`] lives, such as an answer that a slow client
    /// still reads after the cache has evicted it. Values of the same buffer (address and length)
    /// count once, however many hold them; values below [`SMALL`](Self::SMALL) bytes do not count.
    /// The hold keeps a clone of the value.
    ///
    /// # Errors
    ///
    /// [`OverBudget`], as for [`reserve`](Self::reserve).
    pub async fn hold(&self, value: &Bytes) -> Result<Hold, OverBudget> {
        if value.len() < Self::SMALL {
            return Ok(Hold::small());
        }
        self.ask(Wish::Hold(value.clone())).await?;
        Ok(Hold::of(&self.shared, value))
    }

    /// Counts a value, as [`hold`](Self::hold), if its bytes are free and no caller waits for
    /// them, or if it is already counted.
    #[must_use = "the value counts for as long as the hold lives"]
    pub fn try_hold(&self, value: &Bytes) -> Option<Hold> {
        if value.len() < Self::SMALL {
            return Some(Hold::small());
        }
        let granted = self.shared.ledger().try_ask(&Wish::Hold(value.clone()));
        granted.then(|| Hold::of(&self.shared, value))
    }

    /// Counts a value that has just been loaded and so occupies its memory already. It is counted
    /// like [`hold`](Self::hold), but immediately, before all waiters, and even if there is no
    /// room left for all of it. Whether the budget is exceeded is checked under the same lock, so
    /// that it is exceeded by less than one such value, however many threads call this. `None`,
    /// which is not counted as a refusal, if the budget is exceeded and the value is not already
    /// counted.
    #[must_use = "the value counts for as long as the hold lives"]
    pub fn hold_loaded(&self, value: &Bytes) -> Option<Hold> {
        if value.len() < Self::SMALL {
            return Some(Hold::small());
        }
        let granted = self.shared.change(|ledger| ledger.hold_loaded(value));
        granted.then(|| Hold::of(&self.shared, value))
    }

    /// The bytes in use now.
    pub fn used(&self) -> u64 {
        self.shared.ledger().used()
    }

    /// The bytes of the whole budget; `u64::MAX` if it is unlimited.
    pub fn limit(&self) -> u64 {
        self.shared.ledger().limit()
    }

    /// Changes the budget. A larger one serves the waiters that now fit immediately. Under a
    /// smaller one, bytes in use stay in use, and nothing is granted until there is room again; a
    /// caller that waits for more than the new budget is passed over, and refused when its wait is
    /// over.
    pub fn set_limit(&self, bytes: u64) {
        self.shared.change(|ledger| ledger.set_limit(bytes));
    }

    /// How many requests were refused so far, including `try_` ones.
    pub fn refused(&self) -> u64 {
        self.shared.ledger().refused()
    }

    /// The most bytes that were in use at the same time.
    pub fn peak(&self) -> u64 {
        self.shared.ledger().peak()
    }

    /// How many callers wait for bytes now.
    pub fn waiting(&self) -> usize {
        self.shared.ledger().waiting()
    }

    /// Once it is granted, the caller owns the bytes, with no await in between.
    async fn ask(&self, wish: Wish) -> Result<(), OverBudget> {
        let (asked, claim) = (wish.total(), wish.claim());
        let outcome = self.shared.ledger().ask(wish);
        match outcome {
            Asked::Granted => Ok(()),
            Asked::Refused => Err(self.over(asked)),
            Asked::Waits(place) => self.wait(place, claim, asked).await,
        }
    }

    async fn wait(&self, place: Place, claim: Claim, asked: u64) -> Result<(), OverBudget> {
        let mut queued = Queued {
            shared: &self.shared,
            place: Some((place, claim)),
        };
        let granted = std::future::poll_fn(|cx| {
            if self.shared.ledger().poll(place, cx.waker()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        match tokio::time::timeout(self.shared.max_wait, granted).await {
            Ok(()) => {
                queued.place = None;
                Ok(())
            }
            Err(_elapsed) => {
                drop(queued);
                self.shared.ledger().count_refusal();
                Err(self.over(asked))
            }
        }
    }

    fn reservation(&self, bytes: u64) -> Reservation {
        Reservation {
            shared: Arc::clone(&self.shared),
            bytes,
        }
    }

    fn over(&self, asked: u64) -> OverBudget {
        OverBudget {
            asked,
            limit: self.limit(),
            retry_after: self.shared.max_wait,
        }
    }
}

impl Shared {
    /// Nothing panics halfway through a change of the ledger.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the ledger and then serves the waiters. The lock is free again when this returns
    /// the result of the change.
    fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let (changed, woken) = {
            let mut ledger = self.ledger();
            let changed = change(&mut ledger);
            (changed, ledger.serve())
        };
        woken.into_iter().for_each(Waker::wake);
        changed
    }
}

/// Gives the place up, or a grant that was not taken.
struct Queued<'a> {
    shared: &'a Shared,
    place: Option<(Place, Claim)>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let Some((place, claim)) = self.place.take() else {
            return;
        };
        self.shared.change(|ledger| ledger.withdraw(place, claim));
    }
}

/// Bytes that are reserved until this is dropped.
#[must_use = "the bytes are free again once this is dropped"]
pub struct Reservation {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Reservation {
    /// Grows the reservation to `bytes` in all, if it is smaller. Goes before new reservations; a
    /// buffer that grows should double, so that it asks rarely. If this future is dropped, or
    /// fails, the reservation is unchanged.
    ///
    /// # Errors
    ///
    /// [`OverBudget`], as for [`ByteBudget::reserve`], and immediately if all bytes in use belong
    /// to callers that wait to grow.
    pub async fn grow_to(&mut self, bytes: u64) -> Result<(), OverBudget> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let budget = ByteBudget {
            shared: Arc::clone(&self.shared),
        };
        let wish = Wish::Growth {
            from: self.bytes,
            to: bytes,
        };
        budget.ask(wish).await?;
        self.bytes = bytes;
        Ok(())
    }

    /// Gives bytes back, so that `bytes` are left, if it is larger: for a buffer that has reached
    /// its length.
    pub fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        if less > 0 {
            self.bytes = bytes;
            self.shared.change(|ledger| ledger.free(less));
        }
    }

    /// Converts the reservation to a [`Hold`] of the value that fills it, without a wait. A value
    /// that is larger than the reservation counts in full anyway, as its memory is already in use.
    pub fn into_hold(mut self, value: &Bytes) -> Hold {
        if value.len() < ByteBudget::SMALL {
            return Hold::small();
        }
        let bytes = std::mem::take(&mut self.bytes);
        self.shared.change(|ledger| {
            ledger.free(bytes);
            ledger.force_hold(value);
        });
        Hold::of(&self.shared, value)
    }

    /// The bytes that are reserved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// A value that counts until this is dropped. See [`ByteBudget::hold`].
#[must_use = "the value counts for as long as the hold lives"]
pub struct Hold(Option<(Arc<Shared>, Buffer)>);

impl Hold {
    fn small() -> Self {
        Self(None)
    }

    fn of(shared: &Arc<Shared>, value: &Bytes) -> Self {
        Self(Some((Arc::clone(shared), Buffer::of(value))))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((shared, buffer)) = self.0.take() {
            shared.change(|ledger| ledger.remove_holder(buffer));
        }
    }
}

impl fmt::Debug for ByteBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteBudget")
            .field("used", &self.used())
            .field("limit", &self.limit())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("counts", &self.0.is_some())
            .finish_non_exhaustive()
    }
}
