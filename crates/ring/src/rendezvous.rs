//! Rendezvous hashing over slots, with a table of the answers once there are many members.

use xxhash_rust::xxh3::xxh3_64;

use crate::shuffle::{SLOT_BITS, Shuffle};
use crate::table::Table;

/// Up to this many members, a lookup ranks every member; beyond, it reads a table. Both give the
/// same owner, so this number may change between releases: it trades 8 MiB for nanoseconds.
pub(crate) const DIRECT_MEMBERS: usize = 24;

/// Members ranked at a time: four 32-bit lanes, the width that every 64-bit target has.
const LANES: usize = 4;

/// Places keys by the rule "the member that ranks the key's slot lowest owns it; on equal ranks,
/// the first by name". `members` are in the order of their names.
#[derive(Clone)]
pub(crate) struct Rendezvous {
    field: Field,
    table: Option<Table>,
}

/// The shuffles of all members, four to a block, so that the compiler ranks four at once.
#[derive(Clone)]
pub(crate) struct Field {
    members: Vec<Shuffle>,
    blocks: Vec<Block>,
}

#[derive(Clone, Copy)]
struct Block {
    first: [u32; LANES],
    add: [u32; LANES],
    second: [u32; LANES],
    flip: [u32; LANES],
}

/// The slot of a key: the top 22 bits of its xxh3.
#[inline]
pub(crate) fn slot_of(key: &[u8]) -> u32 {
    (xxh3_64(key) >> (u64::BITS - SLOT_BITS)) as u32
}

impl Rendezvous {
    pub(crate) fn new<'a>(members: impl Iterator<Item = &'a str>) -> Self {
        let field = Field::new(members.map(Shuffle::of).collect());
        let table = (field.len() > DIRECT_MEMBERS).then(|| Table::build(&field));
        Self { field, table }
    }

    /// The index of the owner; `None` without members.
    #[inline]
    pub(crate) fn owner(&self, key: &[u8]) -> Option<u16> {
        let slot = slot_of(key);
        match &self.table {
            Some(table) => table.owner(slot),
            None => self.field.nearest_of_few(slot),
        }
    }

    /// The `limit` members that rank the key's slot lowest, in that order.
    pub(crate) fn owners(&self, key: &[u8], limit: usize) -> Vec<u16> {
        let limit = limit.min(self.field.len());
        if limit == 0 {
            return Vec::new();
        }
        let slot = slot_of(key);
        let mut ranked: Vec<(u32, u16)> = self
            .field
            .members
            .iter()
            .map(|member| member.rank(slot))
            .zip(0..)
            .collect();
        if limit < ranked.len() {
            ranked.select_nth_unstable(limit - 1);
            ranked.truncate(limit);
        }
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, index)| index).collect()
    }

    /// With one additional member, which has the index `index`.
    pub(crate) fn with(&self, index: u16, name: &str) -> Self {
        let mut members = self.field.members.clone();
        members.insert(usize::from(index), Shuffle::of(name));
        let field = Field::new(members);
        let table = match &self.table {
            Some(table) => Some(table.with(&field, index)),
            None => (field.len() > DIRECT_MEMBERS).then(|| Table::build(&field)),
        };
        Self { field, table }
    }

    /// Without the member at `index`.
    pub(crate) fn without(&self, index: u16) -> Self {
        let mut members = self.field.members.clone();
        let gone = members.remove(usize::from(index));
        let field = Field::new(members);
        let table = match &self.table {
            Some(table) if field.len() > DIRECT_MEMBERS => Some(table.without(&field, index, gone)),
            _ => None,
        };
        Self { field, table }
    }

    #[cfg(test)]
    pub(crate) fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    #[cfg(test)]
    pub(crate) fn field(&self) -> &Field {
        &self.field
    }
}

impl Field {
    pub(crate) fn new(members: Vec<Shuffle>) -> Self {
        let blocks = members.chunks(LANES).map(Block::new).collect();
        Self { members, blocks }
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn members(&self) -> &[Shuffle] {
        &self.members
    }

    /// The owner of a slot among at most 256 members. Rank and index share one word, so that a
    /// plain minimum finds the owner.
    #[inline]
    fn nearest_of_few(&self, slot: u32) -> Option<u16> {
        const { assert!(DIRECT_MEMBERS <= 256 && SLOT_BITS + 8 < 32) };
        let mut best = [i32::MAX; LANES];
        let mut index = [0, 1, 2, 3];
        for block in &self.blocks {
            for lane in 0..LANES {
                let rank = block.shuffle(lane).rank(slot).cast_signed();
                let this = (rank << 8) | index[lane];
                // Signed, and not `min`: the oldest x86-64 has an instruction for this form.
                best[lane] = if this < best[lane] { this } else { best[lane] };
                index[lane] += 4;
            }
        }
        let best = best[0].min(best[1]).min(best[2].min(best[3]));
        (best != i32::MAX).then(|| u16::from(best.to_le_bytes()[0]))
    }

    /// The owner of a slot and its rank, among any number of members.
    pub(crate) fn nearest(&self, slot: u32) -> Option<(u32, u16)> {
        let mut best = [i32::MAX; LANES];
        let mut owner = [0i32; LANES];
        let mut index = [0i32, 1, 2, 3];
        for block in &self.blocks {
            for lane in 0..LANES {
                let rank = block.shuffle(lane).rank(slot).cast_signed();
                let nearer = rank < best[lane];
                best[lane] = if nearer { rank } else { best[lane] };
                owner[lane] = if nearer { index[lane] } else { owner[lane] };
                index[lane] += 4;
            }
        }
        let (rank, owner) = best.into_iter().zip(owner).min()?;
        let owner = u16::try_from(owner).ok()?;
        (rank != i32::MAX).then_some((rank.cast_unsigned(), owner))
    }
}

impl Block {
    /// Empty lanes repeat the last member: it then ties with itself, and the lower index wins.
    fn new(members: &[Shuffle]) -> Self {
        let pick = |part: fn(&Shuffle) -> u32| {
            std::array::from_fn(|lane| members.get(lane).or(members.last()).map_or(0, part))
        };
        Self {
            first: pick(|member| member.first),
            add: pick(|member| member.add),
            second: pick(|member| member.second),
            flip: pick(|member| member.flip),
        }
    }

    #[inline(always)]
    fn shuffle(&self, lane: usize) -> Shuffle {
        Shuffle {
            first: self.first[lane],
            add: self.add[lane],
            second: self.second[lane],
            flip: self.flip[lane],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shuffle::SLOTS;

    fn names(count: usize) -> Vec<String> {
        (0..count)
            .map(|i| format!("http://10.0.{}.{}:8001", i / 250, i % 250))
            .collect()
    }

    fn ring(count: usize) -> Rendezvous {
        Rendezvous::new(names(count).iter().map(String::as_str))
    }

    #[test]
    fn the_two_searches_agree_with_the_definition() {
        for count in [1, 2, 3, 4, 5, 8, 9, 24] {
            let ring = ring(count);
            for slot in (0..SLOTS).step_by(9973) {
                let ranks = ring.field.members.iter().map(|member| member.rank(slot));
                let (rank, owner) = ranks.zip(0u16..).min().unwrap();
                assert_eq!(ring.field.nearest(slot), Some((rank, owner)));
                assert_eq!(ring.field.nearest_of_few(slot), Some(owner));
            }
        }
        assert_eq!(ring(0).owner(b"key"), None);
        assert!(ring(0).owners(b"key", 2).is_empty());
    }

    #[test]
    fn of_two_members_with_one_shuffle_the_first_owns() {
        let twins = Field::new(vec![Shuffle::of("x"); 7]);
        assert_eq!(twins.nearest_of_few(5), Some(0));
        assert_eq!(twins.nearest(5).map(|(_, owner)| owner), Some(0));
    }

    #[test]
    fn the_table_says_what_ranking_says_before_and_after_changes() {
        let check = |ring: &Rendezvous| {
            let table = ring.table().unwrap();
            for slot in (0..SLOTS).step_by(499) {
                assert_eq!(
                    table.owner(slot),
                    ring.field().nearest(slot).map(|(_, owner)| owner)
                );
            }
        };
        let ring = ring(DIRECT_MEMBERS + 36);
        check(&ring);
        let grown = ring.with(7, "http://new");
        check(&grown);
        let shrunk = grown.without(30);
        check(&shrunk);
        // Back to the first membership: no slot may differ.
        let back = grown.without(7);
        assert!(back.table().unwrap().same_owners(ring.table().unwrap()));
    }
    /// The promise of an even load, on all slots rather than on a sample of keys.
    #[test]
    fn a_thousand_members_have_even_loads_and_a_join_takes_one_share() {
        let members = 1_000;
        let ring = ring(members);
        let loads = ring.table().unwrap().loads(members);
        let mean = f64::from(SLOTS) / 1_000.0;
        let (most, least) = (loads.iter().max().unwrap(), loads.iter().min().unwrap());
        assert!(
            f64::from(*most) / mean <= 1.06,
            "max/mean {}",
            f64::from(*most) / mean
        );
        assert!(
            f64::from(*least) / mean >= 0.94,
            "min/mean {}",
            f64::from(*least) / mean
        );

        let grown = ring.with(500, "http://new");
        let taken = grown.table().unwrap().loads(members + 1)[500];
        assert!(
            f64::from(taken) / mean <= 1.05,
            "moved {}",
            f64::from(taken) / mean
        );
        assert!(
            grown
                .without(500)
                .table()
                .unwrap()
                .same_owners(ring.table().unwrap())
        );
    }
}
