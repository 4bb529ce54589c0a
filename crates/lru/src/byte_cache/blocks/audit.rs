use super::*;

impl Blocks {
    pub(in crate::byte_cache) fn audit_count(&self) -> usize {
        let open = self.open.iter().filter(|open| open.number.is_some());
        self.order.len() + open.count()
    }

    /// The tag and the key of an entry.
    pub(in crate::byte_cache) fn audit_entry(&self, location: Location) -> (Tag, Vec<u8>) {
        let records = match self.get(location.block()) {
            Some(Block::Page(_, page)) => page.parts().0,
            Some(Block::Open(_, age)) => &self.open[*age as usize].records,
            Some(Block::Single(single)) => return (single.tag, single.key().to_vec()),
            _ => panic!("an entry in a block that is free"),
        };
        let record = Record::at(records, location.offset()).unwrap();
        (record.tag, record.key.to_vec())
    }

    /// The blocks are as the entries in each say, and all of them in the order; returns what they take.
    pub(in crate::byte_cache) fn audit(&self, live: &std::collections::HashMap<u32, u16>) -> u64 {
        let mut free = 0;
        let mut next = self.free;
        while let Some(number) = next {
            let Some(Block::Free(then)) = self.get(number) else {
                panic!("a block in use is said to be free");
            };
            next = *then;
            free += 1;
        }
        let open = self.open.iter().filter_map(|open| open.number);
        let all: Vec<u32> = self.order.iter().map(|(&n, _)| n).chain(open).collect();
        assert_eq!(all.len() + free, self.slots.len());
        assert_eq!(all.len(), live.len());
        let times: Vec<u32> = self.order.iter().map(|(_, &since)| since).collect();
        assert!(times.is_sorted_by(|young, old| young.wrapping_sub(*old) < 1 << 31));
        let mut sum = 0;
        for number in all {
            let block = self.get(number).unwrap();
            sum += block.weight(self.layout.page);
            let (counted, len) = match block {
                Block::Page(live, page) => {
                    assert!(!live.is_sparse(page.len()), "swept");
                    (*live, page.len())
                }
                Block::Open(live, age) => {
                    let open = &self.open[*age as usize];
                    assert_eq!(open.number, Some(number));
                    (*live, open.records.len() + open.values.len())
                }
                Block::Single(..) => {
                    assert_eq!(live.get(&number), Some(&1));
                    continue;
                }
                Block::Free(_) => panic!("a free block in the order"),
            };
            assert_eq!(live.get(&number), Some(&counted.records));
            assert!(usize::from(counted.bytes) <= len);
        }
        assert_eq!(self.bytes, sum);
        sum
    }
}
