//! Batches of fetches or loads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The fetches that one call makes of one peer at the same time, or its loads of one origin: a
/// countdown that detects when all of them are ready, so that they can share a request.
///
/// Each fetch has a [`BatchMember`]. While the batch itself exists, members may be added. Once it
/// is dropped and every member is ready or dropped, the batch is complete.
///
/// ```
/// # use gaggle_group::Batch;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let batch = Batch::new();
/// let (first, second) = (batch.member(), batch.member());
/// drop(batch);
/// drop(second);
/// first.ready();
/// first.all_ready().await;
/// # }
/// ```
#[derive(Debug)]
pub struct Batch {
    shared: Arc<Shared>,
}

/// Adds [members](BatchMember) to a [`Batch`] without keeping it open. Members that exist already
/// do not wait for one that is added once the batch is complete.
#[derive(Debug, Clone)]
pub struct BatchHandle {
    shared: Arc<Shared>,
}

/// One fetch or load of a [`Batch`]. The others stop waiting for it when it is dropped.
#[derive(Debug)]
pub struct BatchMember {
    shared: Arc<Shared>,
    ready: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    /// Members that are not ready, and one more while members may be added.
    missing: AtomicUsize,
    complete: Notify,
}

impl Batch {
    /// A batch without members.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                missing: AtomicUsize::new(1),
                complete: Notify::new(),
            }),
        }
    }

    /// Adds a member.
    pub fn member(&self) -> BatchMember {
        self.shared.one_more()
    }

    /// A handle that adds members.
    pub fn handle(&self) -> BatchHandle {
        BatchHandle {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl BatchHandle {
    /// Adds a member.
    pub fn member(&self) -> BatchMember {
        self.shared.one_more()
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.shared.one_less();
    }
}

impl BatchMember {
    /// A number that differs between the batches of all members that exist.
    pub fn batch_id(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// The others no longer wait for this one. What a transport did for this member before is
    /// visible to the caller that finds [all of them ready](Self::all_ready).
    pub fn ready(&self) {
        if !self.ready.swap(true, Ordering::Relaxed) {
            self.shared.one_less();
        }
    }

    /// Whether the batch waits only for this member.
    pub fn is_last(&self) -> bool {
        !self.ready.load(Ordering::Relaxed) && self.shared.missing.load(Ordering::Acquire) == 1
    }

    /// Waits until the batch is complete. May be dropped and called again, by any number of
    /// members.
    pub async fn all_ready(&self) {
        // Created before the number is read, so that it is notified of a last member that becomes
        // ready right after the read.
        let complete = self.shared.complete.notified();
        if self.shared.missing.load(Ordering::Acquire) > 0 {
            complete.await;
        }
    }
}

impl Drop for BatchMember {
    fn drop(&mut self) {
        self.ready();
    }
}

impl Shared {
    fn one_more(self: &Arc<Self>) -> BatchMember {
        self.missing.fetch_add(1, Ordering::Relaxed);
        BatchMember {
            shared: Arc::clone(self),
            ready: AtomicBool::new(false),
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
    async fn a_batch_is_complete_when_every_member_is_ready_or_dropped() {
        let batch = Batch::new();
        let [a, b, c] = [(); 3].map(|()| batch.member());
        let mut all_ready = pin!(a.all_ready());
        a.ready();
        b.ready();
        b.ready();
        drop(b);
        assert!(poll!(&mut all_ready).is_pending(), "each counts once");
        drop(c);
        assert!(poll!(&mut all_ready).is_pending(), "more may be added");
        drop(batch);
        assert!(poll!(&mut all_ready).is_ready());
        a.all_ready().await;
    }

    #[test]
    fn members_of_one_batch_are_distinguished_from_those_of_another() {
        let (one, other) = (Batch::new(), Batch::new());
        let members = [one.member(), one.member(), other.member()];
        assert_eq!(members[0].batch_id(), members[1].batch_id());
        assert_ne!(members[0].batch_id(), members[2].batch_id());
    }
}
