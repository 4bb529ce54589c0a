//! The members that this node asks, side by side.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use crate::watched::Standing;

/// No hedge comes sooner.
const SOONEST: Duration = Duration::from_millis(150);
/// Where it would come later than this, a hedge helps nobody: everyone is slow.
const LATEST: Duration = Duration::from_secs(1);

/// What is known of the members' requests, to tell one that is slow or fails from a common cause.
#[derive(Default)]
pub(crate) struct Fleet {
    members: RwLock<Vec<Arc<Standing>>>,
    /// In microseconds; 0 says that there is no reason to.
    hedge_after: AtomicU64,
    news: AtomicUsize,
}

impl Fleet {
    /// The members but this node are these.
    pub(crate) fn set(&self, members: Vec<Arc<Standing>>) {
        let mut present = self.members.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *present, members);
        let stay: HashSet<_> = present.iter().map(Arc::as_ptr).collect();
        // No requests try those that have gone, so nothing would let them in again.
        for gone in before
            .iter()
            .filter(|one| !stay.contains(&Arc::as_ptr(one)))
        {
            gone.start_over();
        }
        drop(present);
        self.measure();
    }

    /// How long a fetch may take before a second node is asked. Twice what the fastest member
    /// takes for 95 of 100: one that is slow stands out against it, and an origin that is slow
    /// for all raises it. A lone peer is measured against what it took for its last thousands.
    pub(crate) fn hedge_after(&self) -> Option<Duration> {
        let micros = self.hedge_after.load(Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// A member's answers have been measured. In a large ring not each such news is worth a look
    /// at all members.
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

    /// The median of what the other members take at the median, as far as that is known.
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

    /// Leaves a member out, unless half of them are already, or it is no member: what all have in
    /// common is no reason to ask none.
    pub(crate) fn leave_out(&self, one: &Standing, why: &str) {
        // To write, so that of two at once the second one sees the first.
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
