//! Compares the members that this node asks.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use crate::watched::Standing;

/// The earliest hedge.
const SOONEST: Duration = Duration::from_millis(150);
/// A hedge that would be sent later than this does not help: all peers are slow.
const LATEST: Duration = Duration::from_secs(1);

/// What is known about the members' requests, to distinguish one that is slow or fails from a
/// common cause.
#[derive(Default)]
pub(crate) struct Fleet {
    members: RwLock<Vec<Arc<Standing>>>,
    /// In microseconds; 0 means no hedge.
    hedge_after: AtomicU64,
    news: AtomicUsize,
}

impl Fleet {
    /// Sets the members, without this node.
    pub(crate) fn set(&self, members: Vec<Arc<Standing>>) {
        let mut present = self.members.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *present, members);
        let stay: HashSet<_> = present.iter().map(Arc::as_ptr).collect();
        // No requests try members that were removed, so nothing would end their exclusion.
        for gone in before
            .iter()
            .filter(|one| !stay.contains(&Arc::as_ptr(one)))
        {
            gone.start_over();
        }
        drop(present);
        self.measure();
    }

    /// How long a fetch may take before a second node is asked: twice the 95th percentile of the
    /// fastest member. A slow member stands out against it, and an origin that is slow for all
    /// raises it. A single peer is compared with its own last thousands of answers.
    pub(crate) fn hedge_after(&self) -> Option<Duration> {
        let micros = self.hedge_after.load(Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// A member's answers have been measured. In a large ring not every measurement leads to a
    /// check of all members.
    pub(crate) fn has_news(&self) {
        let each = self.members().len() / 16;
        if self.news.fetch_add(1, Relaxed).is_multiple_of(each.max(1)) {
            self.measure();
        }
    }

    fn measure(&self) {
        let members = self.members();
        let fastest = match &members[..] {
            [one] => one.p95_of_long(),
            members => members.iter().filter_map(|member| member.p95()).min(),
        };
        let after = fastest.map(|p95| SOONEST.max(2 * p95));
        let after = after.filter(|after| *after <= LATEST).unwrap_or_default();
        let micros = u64::try_from(after.as_micros()).unwrap_or_default();
        self.hedge_after.store(micros, Relaxed);
    }

    /// The median of the other members' medians, as far as they are known.
    pub(crate) fn median_of_others(&self, one: &Standing) -> Option<Duration> {
        let members = self.members();
        let others = members.iter().filter(|other| !std::ptr::eq(&***other, one));
        let mut medians: Vec<_> = others.filter_map(|other| other.median()).collect();
        if medians.is_empty() {
            return None;
        }
        let middle = (medians.len() - 1) / 2;
        Some(*medians.select_nth_unstable(middle).1)
    }

    /// Leaves a member out, unless half of them are left out already, or it is not a member: a
    /// fault that all have in common is no reason to ask none.
    pub(crate) fn leave_out(&self, one: &Standing, why: &str) {
        // A write lock, so that the second of two concurrent calls sees the first.
        let members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        let is_member = members.iter().any(|member| std::ptr::eq(&**member, one));
        let out = members.iter().filter(|member| member.is_out()).count();
        if is_member && out < (members.len() / 2).max(1) {
            one.leave_out(why);
        }
    }

    fn members(&self) -> RwLockReadGuard<'_, Vec<Arc<Standing>>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }
}
