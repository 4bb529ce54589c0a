use super::*;

impl Blocks {
    pub(crate) fn audit_count(&self) -> usize {
        let open = self.open.iter().filter(|open| open.number.is_some());
        self.lists.iter().map(List::len).sum::<usize>() + open.count()
    }

    /// The tag and the key of an entry.
    pub(crate) fn audit_entry(&self, location: Location) -> (Tag, Vec<u8>) {
        let records = match self.get(location.block()) {
            Some(Block::Page(_, page)) => page.parts().0,
            Some(Block::Open(_, queue)) => &self.open[*queue as usize].records,
            Some(Block::Single(single)) => return (single.tag, single.key().to_vec()),
            _ => panic!("an entry in a block that is free"),
        };
        let record = Record::at(records, location.offset()).unwrap();
        (record.tag, record.key.to_vec())
    }

    /// The blocks of a queue but for its open page, the oldest first.
    pub(crate) fn audit_order(&self, queue: Queue) -> impl Iterator<Item = u32> {
        let list = self.lists[queue as usize].iter(&self.links);
        list.map(|(number, _)| number)
    }

    /// The blocks are as the entries in each say, and all of them in the order; returns what they
    /// take.
    pub(crate) fn audit(&self, live: &std::collections::HashMap<u32, u16>) -> u64 {
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
        let mut all: Vec<u32> = open.collect();
        for queue in Queue::BOTH {
            let (numbers, times): (Vec<u32>, Vec<u32>) =
                self.lists[queue as usize].iter(&self.links).unzip();
            assert!(times.is_sorted_by(|old, young| young.wrapping_sub(*old) < 1 << 31));
            let is_here = |number: &u32| self.get(*number).unwrap().queue() == Some(queue);
            assert!(numbers.iter().all(is_here));
            all.extend(numbers);
        }
        assert_eq!(all.len() + free, self.slots.len());
        assert_eq!(all.len(), live.len());
        let (mut sum, mut small) = (0, 0);
        for number in all {
            let block = self.get(number).unwrap();
            sum += block.weight(self.layout.page);
            if block.queue() == Some(Queue::Small) {
                small += block.content();
            }
            let (counted, len) = match block {
                Block::Page(live, page) => {
                    assert!(!live.is_sparse(page.len()), "swept");
                    (*live, page.len())
                }
                Block::Open(live, queue) => {
                    let open = &self.open[*queue as usize];
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
        assert_eq!((self.bytes, self.small), (sum, small));
        sum
    }
}
