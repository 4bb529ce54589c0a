use std::cmp::Ordering::{Equal, Greater, Less};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Ages;

/// The bytes that all shards together may hold and do hold, and the age of each shard's oldest
/// entry.
///
/// It has a cache line of its own (two, as processors fetch pairs): each insertion writes the
/// total, and would otherwise evict the hasher's seed and the rest from the readers' caches.
#[derive(Debug)]
#[repr(align(128))]
pub struct Budget {
    used: AtomicU64,
    ages: Ages,
    /// The current capacity. While it is being lowered, it is above `target`, and decreases in
    /// steps.
    capacity: AtomicU64,
    /// The capacity that was set last. Its lock guards changes of `capacity`.
    target: Mutex<u64>,
}

impl Budget {
    /// The step by which the capacity is lowered. A concurrent insertion finds the total too high
    /// by no more than this, and helps to evict no more than this.
    const STEP: u64 = 64 << 10;

    /// A budget of `capacity` bytes for this many shards.
    #[must_use]
    pub fn new(capacity: u64, shards: usize) -> Self {
        Self {
            used: AtomicU64::new(0),
            ages: Ages::new(shards),
            capacity: AtomicU64::new(capacity),
            target: Mutex::new(capacity),
        }
    }

    // Relaxed suffices: the total is changed only under the lock of the shard whose entries it
    // counts, and a thread that finds it too high locks the shards to look for entries. A capacity
    // that is seen late costs an eviction, or the thread that lowers it evicts instead.
    /// The bytes that are charged.
    #[inline]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The bytes that may be charged now.
    #[inline]
    pub fn capacity(&self) -> u64 {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Whether more is charged than may be.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.used() > self.capacity()
    }

    /// The age of each shard's oldest entry.
    #[inline]
    pub fn ages(&self) -> &Ages {
        &self.ages
    }

    /// Sets the capacity that [`step`](Self::step) moves towards.
    pub fn aim(&self, target: u64) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Raises the capacity to the one set last, or lowers it by a step towards that. Returns
    /// whether more steps are needed.
    pub fn step(&self) -> bool {
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        // Unused capacity needs no eviction: the first step skips it.
        let held = self.capacity().min(self.used());
        let next = held.saturating_sub(Self::STEP).max(*target);
        self.capacity.store(next, Ordering::Relaxed);
        next > *target
    }

    /// Charges `charged` bytes in place of `freed`, in one step: an overwrite must never appear to
    /// hold both values.
    #[inline]
    pub fn exchange(&self, freed: u64, charged: u64) {
        match charged.cmp(&freed) {
            // Not even a zero is added: that would invalidate the cache line of the others just
            // the same.
            Equal => 0,
            Greater => self.used.fetch_add(charged - freed, Ordering::Relaxed),
            Less => self.used.fetch_sub(freed - charged, Ordering::Relaxed),
        };
    }

    /// Stops charging these bytes.
    #[inline]
    pub fn refund(&self, weight: u64) {
        self.used.fetch_sub(weight, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_capacity_is_raised_at_once() {
        let budget = Budget::new(MIB, 1);
        budget.exchange(0, MIB);
        budget.aim(1 << 40);
        assert!(!budget.step());
        assert_eq!(budget.capacity(), 1 << 40);
    }

    #[test]
    fn a_capacity_is_lowered_in_steps_from_what_is_used() {
        let budget = Budget::new(100 * MIB, 1);
        budget.exchange(0, MIB);
        budget.aim(MIB / 2);
        let mut steps = 0;
        while budget.step() {
            // No insertion finds the total too high by more.
            assert!(budget.used() - budget.capacity() <= Budget::STEP);
            budget.exchange(budget.used(), budget.capacity());
            steps += 1;
        }
        assert_eq!(budget.capacity(), MIB / 2);
        assert_eq!(steps, MIB / 2 / Budget::STEP - 1);
    }

    #[test]
    fn lowering_ends_where_more_is_asked_for_meanwhile() {
        let budget = Budget::new(MIB, 1);
        budget.exchange(0, MIB);
        budget.aim(0);
        assert!(budget.step());
        budget.aim(2 * MIB);
        assert!(!budget.step());
        assert_eq!(budget.capacity(), 2 * MIB);
    }
}
