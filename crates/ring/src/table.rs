//! The owner of every slot, computed once.

use crate::rendezvous::Field;
use crate::shuffle::{SLOTS, Shuffle};

/// `SLOTS` owners of two bytes: 8 MiB. It only caches [`Field::nearest`]: the same members give
/// the same table, whatever changes led to it.
#[derive(Clone)]
pub(crate) struct Table {
    owners: Box<[u16]>,
    /// No slot's owner ranks it higher than this. A bound, not always the least one: it depends on
    /// the changes that led to the table, and only saves work.
    horizon: u32,
}

impl Table {
    /// Lets every member claim the slots it prefers, rank by rank, as Maglev fills its table
    /// (Eisenbud et al., NSDI 2016), except that a claim on a taken slot is lost rather than moved
    /// on to the next: this makes the outcome rendezvous hashing and a change minimal.
    ///
    /// Claims find a taken slot more and more often. Once a claim is less likely to succeed than
    /// ranking all members for one slot costs, the remaining slots are ranked.
    pub(crate) fn build(field: &Field) -> Self {
        let mut owners = vec![0u16; SLOTS as usize].into_boxed_slice();
        // One bit for each slot, 512 KiB: stays in a core's cache, unlike the table.
        let mut taken = vec![0u64; SLOTS as usize / 64];
        let wanted: Vec<_> = field
            .members()
            .iter()
            .map(|member| member.inverse())
            .collect();
        let rounds = claim_rounds(field.len());
        for rank in 0..rounds {
            for (owner, member) in (0u16..).zip(&wanted) {
                let slot = member.slot(rank) as usize;
                let (word, bit) = (slot / 64, 1 << (slot % 64));
                if taken[word] & bit == 0 {
                    taken[word] |= bit;
                    owners[slot] = owner;
                }
            }
        }
        let mut horizon = rounds;
        for (word, mut free) in (0u32..).zip(taken.into_iter().map(|bits| !bits)) {
            while free != 0 {
                let slot = word * 64 + free.trailing_zeros();
                free &= free - 1;
                if let Some((rank, owner)) = field.nearest(slot) {
                    owners[slot as usize] = owner;
                    horizon = horizon.max(rank);
                }
            }
        }
        Self { owners, horizon }
    }

    #[inline]
    pub(crate) fn owner(&self, slot: u32) -> Option<u16> {
        self.owners.get(slot as usize).copied()
    }

    /// The table for `field`, which has one member more than this table, at `index`.
    pub(crate) fn with(&self, field: &Field, index: u16) -> Self {
        let mut owners: Box<[u16]> = self
            .owners
            .iter()
            .map(|&owner| owner + u16::from(owner >= index))
            .collect();
        let members = field.members();
        let wanted = members[usize::from(index)].inverse();
        // Beyond the horizon every slot has an owner that ranks it lower than the new member does.
        for rank in 0..=self.horizon.min(SLOTS - 1) {
            let slot = wanted.slot(rank);
            let owner = &mut owners[slot as usize];
            let held = members[usize::from(*owner)].rank(slot);
            if (rank, index) < (held, *owner) {
                *owner = index;
            }
        }
        Self {
            owners,
            horizon: self.horizon,
        }
    }

    /// The table for `field`, which lacks the member `gone` that this table has at `index`.
    pub(crate) fn without(&self, field: &Field, index: u16, gone: Shuffle) -> Self {
        let mut owners: Box<[u16]> = self
            .owners
            .iter()
            .map(|&owner| owner - u16::from(owner > index))
            .collect();
        let mut horizon = self.horizon;
        let wanted = gone.inverse();
        for rank in 0..=self.horizon.min(SLOTS - 1) {
            let slot = wanted.slot(rank);
            if self.owners[slot as usize] != index {
                continue;
            }
            if let Some((rank, owner)) = field.nearest(slot) {
                owners[slot as usize] = owner;
                horizon = horizon.max(rank);
            }
        }
        Self { owners, horizon }
    }

    #[cfg(test)]
    pub(crate) fn loads(&self, members: usize) -> Vec<u32> {
        let mut loads = vec![0; members];
        self.owners
            .iter()
            .for_each(|&owner| loads[usize::from(owner)] += 1);
        loads
    }

    #[cfg(test)]
    pub(crate) fn same_owners(&self, other: &Self) -> bool {
        self.owners == other.owners
    }
}

/// After `c * SLOTS / members` rounds a share e^-c of the slots is free. A claim costs about as
/// much as ranking five members, so the best c is ln(members / 5).
fn claim_rounds(members: usize) -> u32 {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    let per_member = f64::from(SLOTS) / f64::from(members.max(1));
    let claims = (f64::from(members) / 5.0).ln().max(0.5) * per_member;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, at most SLOTS; affects the time to build only, never the outcome"
    )]
    let rounds = claims as u32;
    rounds.min(SLOTS)
}
