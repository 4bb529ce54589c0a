//! The wakers of one flight's waiters: a slab, so that a waiter costs 16 bytes here and no
//! allocation of its own, and leaves in constant time.

use std::num::NonZeroUsize;
use std::task::Waker;

/// The place of a waiter's waker. Non-zero, so that `Option<Place>` is one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(NonZeroUsize);

impl Place {
    fn new(index: usize) -> Self {
        Self(NonZeroUsize::MIN.saturating_add(index))
    }

    fn index(self) -> usize {
        self.0.get() - 1
    }
}

#[derive(Debug)]
enum Entry {
    Waiting(Waker),
    /// A link of the list of free entries.
    Free(Option<Place>),
}

#[derive(Debug, Default)]
pub(crate) struct Wakers {
    entries: Vec<Entry>,
    free: Option<Place>,
}

impl Wakers {
    pub(crate) fn insert(&mut self, waker: Waker) -> Place {
        if let Some(place) = self.free {
            let entry = &mut self.entries[place.index()];
            if let Entry::Free(next) = *entry {
                self.free = next;
                *entry = Entry::Waiting(waker);
                return place;
            }
        }
        self.entries.push(Entry::Waiting(waker));
        Place::new(self.entries.len() - 1)
    }

    /// Replaces the waker at `place` by `waker`. Returns the old one, which the caller drops once
    /// it holds no lock: a waker's drop may end its task, and with it other waiters.
    pub(crate) fn update(&mut self, place: Place, waker: &Waker) -> Option<Waker> {
        match &mut self.entries[place.index()] {
            Entry::Waiting(current) if !current.will_wake(waker) => {
                Some(std::mem::replace(current, waker.clone()))
            }
            _ => None,
        }
    }

    /// Frees `place`. As with [`update`](Self::update), the caller drops the waker.
    pub(crate) fn remove(&mut self, place: Place) -> Option<Waker> {
        let entry = &mut self.entries[place.index()];
        if let Entry::Free(_) = entry {
            return None;
        }
        let Entry::Waiting(waker) = std::mem::replace(entry, Entry::Free(self.free)) else {
            return None;
        };
        self.free = Some(place);
        Some(waker)
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = Waker> {
        self.entries.into_iter().filter_map(|entry| match entry {
            Entry::Waiting(waker) => Some(waker),
            Entry::Free(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_no_larger_than_a_waker() {
        assert_eq!(size_of::<Entry>(), size_of::<Waker>());
        assert_eq!(size_of::<Option<Place>>(), size_of::<usize>());
    }

    #[test]
    fn places_of_those_who_left_are_used_again() {
        let mut wakers = Wakers::default();
        let [a, b, c] = [(); 3].map(|()| wakers.insert(Waker::noop().clone()));
        assert!(wakers.remove(a).is_some());
        assert!(wakers.remove(c).is_some());
        assert!(wakers.remove(c).is_none(), "a place is freed once");
        assert_eq!(wakers.insert(Waker::noop().clone()), c);
        assert_eq!(wakers.insert(Waker::noop().clone()), a);
        let d = wakers.insert(Waker::noop().clone());
        assert_ne!(d, b);
        assert_eq!(wakers.into_iter().count(), 4);
    }
}
