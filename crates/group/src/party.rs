//! Fetches, or loads, that leave together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The fetches that one call makes of one peer at the same time, or its loads of one origin: a countdown that tells when all of
/// them have come, so that they can share a request.
///
/// Each fetch has a [`Guest`] of the party with it. While the party itself is there, more may be invited; once it is
/// dropped and every guest has arrived or is gone, the party is complete.
///
/// ```
/// # use gaggle_group::Party;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let party = Party::new();
/// let (first, second) = (party.invite(), party.invite());
/// drop(party);
/// drop(second);
/// first.arrive();
/// first.all_here().await;
/// # }
/// ```
#[derive(Debug)]
pub struct Party {
    shared: Arc<Shared>,
}

/// Leave to send [guests](Guest) to a [`Party`], for those that do not keep it open. A guest that comes once the party is
/// complete is waited for by none of those before.
#[derive(Debug, Clone)]
pub struct Invitation {
    shared: Arc<Shared>,
}

/// One fetch or load of a [`Party`]. Dropped, it is waited for no longer.
#[derive(Debug)]
pub struct Guest {
    shared: Arc<Shared>,
    arrived: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    /// Guests that are waited for; and one more, while others may be invited.
    missing: AtomicUsize,
    complete: Notify,
}

impl Party {
    /// A party without guests.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                missing: AtomicUsize::new(1),
                complete: Notify::new(),
            }),
        }
    }

    /// One more guest to wait for.
    pub fn invite(&self) -> Guest {
        self.shared.one_more()
    }

    /// Leave to invite guests.
    pub fn invitation(&self) -> Invitation {
        Invitation {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Invitation {
    /// One more guest to wait for.
    pub fn accept(&self) -> Guest {
        self.shared.one_more()
    }
}

impl Default for Party {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.shared.one_less();
    }
}

impl Guest {
    /// A number that tells apart the parties of all guests that are there.
    pub fn party(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// From now on the others need not wait for this one. What a transport has done before that for this guest, whoever
    /// finds [all of them here](Self::all_here) sees.
    pub fn arrive(&self) {
        if !self.arrived.swap(true, Ordering::Relaxed) {
            self.shared.one_less();
        }
    }

    /// Whether this one alone is waited for.
    pub fn is_last(&self) -> bool {
        !self.arrived.load(Ordering::Relaxed) && self.shared.missing.load(Ordering::Acquire) == 1
    }

    /// Waits until the party is complete. May be dropped and called again, by any number of guests.
    pub async fn all_here(&self) {
        // Made before the look at the number, so that it hears of a last guest who arrives right after that.
        let complete = self.shared.complete.notified();
        if self.shared.missing.load(Ordering::Acquire) > 0 {
            complete.await;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.arrive();
    }
}

impl Shared {
    fn one_more(self: &Arc<Self>) -> Guest {
        self.missing.fetch_add(1, Ordering::Relaxed);
        Guest {
            shared: Arc::clone(self),
            arrived: AtomicBool::new(false),
        }
    }

    fn one_less(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.complete.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn a_party_is_complete_when_every_guest_has_arrived_or_is_gone() {
        let party = Party::new();
        let [a, b, c] = [(); 3].map(|()| party.invite());
        let mut all_here = pin!(a.all_here());
        a.arrive();
        b.arrive();
        b.arrive();
        drop(b);
        assert!(poll!(&mut all_here).is_pending(), "each counts once");
        drop(c);
        assert!(poll!(&mut all_here).is_pending(), "others may be invited");
        drop(party);
        assert!(poll!(&mut all_here).is_ready());
        a.all_here().await;
    }

    #[test]
    fn guests_of_one_party_are_told_from_those_of_another() {
        let (one, other) = (Party::new(), Party::new());
        let guests = [one.invite(), one.invite(), other.invite()];
        assert_eq!(guests[0].party(), guests[1].party());
        assert_ne!(guests[0].party(), guests[2].party());
    }
}
