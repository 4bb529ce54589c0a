//! The order of blocks: lists over one array of links, by the numbers of the blocks.
//!
//! A list names the blocks at its ends, and the links are next to each other in one array, so that
//! several lists cost no more than one. A block is in at most one list.

/// The links of every block, by its number.
#[derive(Default)]
pub(crate) struct Links(Vec<Link>);

/// A block's place in a list. Twelve bytes.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    /// The next older block, [`NONE`] for the oldest, or [`OUT`] if the block is in no list.
    prev: u32,
    /// The next younger block, or [`NONE`] for the youngest.
    next: u32,
    /// The time at which it took its place.
    since: u32,
}

/// Some of the blocks in an order. Its owner knows which ones: all methods take the links, and the
/// same ones each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    len: usize,
}

/// No block: numbers have 24 bits.
const NONE: u32 = u32::MAX;
/// In no list.
const OUT: u32 = u32::MAX - 1;

impl Links {
    /// Adds the link of the next number, in no list yet. Grows by an eighth, where `push` would
    /// double: the links are charged accordingly.
    pub(crate) fn add(&mut self) {
        let count = self.0.len();
        if count == self.0.capacity() {
            self.0.reserve_exact(count / 8 + 4);
        }
        self.0.push(Link {
            prev: OUT,
            next: NONE,
            since: 0,
        });
    }

    /// The time at which a block took its place in its list; `None` if it is in none.
    pub(crate) fn since(&self, number: u32) -> Option<u32> {
        let link = self.0.get(number as usize)?;
        (link.prev != OUT).then_some(link.since)
    }

    /// An existing link: numbers are those of `add`.
    fn at(&mut self, number: u32) -> &mut Link {
        &mut self.0[number as usize]
    }
}

impl Default for List {
    fn default() -> Self {
        Self {
            head: NONE,
            tail: NONE,
            len: 0,
        }
    }
}

impl List {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The oldest block, and the time at which it took its place.
    pub(crate) fn front(&self, links: &Links) -> Option<(u32, u32)> {
        Some((self.head, links.since(self.head)?))
    }

    /// Adds a block that is in no list, as the youngest.
    pub(crate) fn push_back(&mut self, links: &mut Links, number: u32, since: u32) {
        debug_assert!(links.since(number).is_none(), "in a list already");
        let (prev, next) = (self.tail, NONE);
        *links.at(number) = Link { prev, next, since };
        match prev {
            NONE => self.head = number,
            prev => links.at(prev).next = number,
        }
        self.tail = number;
        self.len += 1;
    }

    /// Takes a block out of this list; returns whether it was in one.
    pub(crate) fn remove(&mut self, links: &mut Links, number: u32) -> bool {
        if links.since(number).is_none() {
            return false;
        }
        let Link { prev, next, .. } = *links.at(number);
        match prev {
            NONE => self.head = next,
            prev => links.at(prev).next = next,
        }
        match next {
            NONE => self.tail = prev,
            next => links.at(next).prev = prev,
        }
        links.at(number).prev = OUT;
        self.len -= 1;
        true
    }

    /// The blocks and their times, the oldest first.
    #[cfg(test)]
    pub(crate) fn iter(self, links: &Links) -> impl Iterator<Item = (u32, u32)> {
        let mut at = self.head;
        std::iter::from_fn(move || {
            let link = links.0.get(at as usize)?;
            let item = (at, link.since);
            at = link.next;
            Some(item)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn links(count: usize) -> Links {
        let mut links = Links::default();
        (0..count).for_each(|_| links.add());
        links
    }

    fn numbers(list: List, links: &Links) -> Vec<u32> {
        list.iter(links).map(|(number, _)| number).collect()
    }

    #[test]
    fn the_first_in_is_the_first_out() {
        let (mut links, mut list) = (links(3), List::default());
        assert_eq!(list.front(&links), None);
        for (number, since) in [(2, 10), (0, 11), (1, 12)] {
            list.push_back(&mut links, number, since);
        }
        assert_eq!((list.len(), list.front(&links)), (3, Some((2, 10))));
        assert_eq!(links.since(0), Some(11));
        assert!(list.remove(&mut links, 2));
        list.push_back(&mut links, 2, 13);
        assert_eq!(numbers(list, &links), [0, 1, 2]);
        assert!(list.remove(&mut links, 1));
        assert!(!list.remove(&mut links, 1));
        assert_eq!(links.since(1), None);
        assert_eq!(numbers(list, &links), [0, 2]);
        while let Some((number, _)) = list.front(&links) {
            assert!(list.remove(&mut links, number));
        }
        assert!(list.is_empty());
    }

    #[test]
    fn unknown_numbers_are_in_no_list() {
        let (mut links, mut list) = (links(1), List::default());
        assert_eq!((links.since(1), links.since(NONE)), (None, None));
        assert!(!list.remove(&mut links, 7));
        assert!(list.is_empty());
    }

    #[test]
    fn room_grows_by_an_eighth() {
        let links = links(100_000);
        assert!(links.0.capacity() <= 100_000 * 9 / 8 + 4);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        // Each block is in one of two lists over the same links, or in none.
        #[test]
        fn two_lists_are_like_two_queues(ops in proptest::collection::vec((0..12_u32, 0..3_usize), 1..200)) {
            let mut links = links(12);
            let mut lists = [List::default(); 2];
            let mut queues = [VecDeque::new(), VecDeque::new()];
            for (since, (number, to)) in (0..).zip(ops) {
                for (list, queue) in lists.iter_mut().zip(&mut queues) {
                    if let Some(at) = queue.iter().position(|(held, _)| *held == number) {
                        queue.remove(at);
                        prop_assert!(list.remove(&mut links, number));
                    }
                }
                if let (Some(list), Some(queue)) = (lists.get_mut(to), queues.get_mut(to)) {
                    list.push_back(&mut links, number, since);
                    queue.push_back((number, since));
                }
                for (list, queue) in lists.iter().zip(&queues) {
                    prop_assert_eq!(list.len(), queue.len());
                    prop_assert_eq!(list.front(&links), queue.front().copied());
                    prop_assert!(list.iter(&links).eq(queue.iter().copied()));
                }
            }
        }
    }
}
