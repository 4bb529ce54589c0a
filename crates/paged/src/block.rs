use std::mem;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use gaggle_shards::Deadline;

use crate::ceiling::Ceiling;
use crate::place::{Location, Tag};
use crate::queue::Queue;
use crate::record::{self, Record, Small};
use crate::terms::{self, Left, Terms};
use crate::weight;
use crate::{Held, Hit, Life};

/// A slot for a block of entries, in a cache line of its own: a hit needs one.
#[repr(align(64))]
pub(crate) struct Slot(pub(crate) Block);

/// A block of many small entries or of one large entry.
pub(crate) enum Block {
    /// A free number, and the next free one after it.
    Free(Option<u32>),
    /// A page that is still written to. Its bytes are in the buffers of its queue.
    Open(Live, Queue),
    Page(Live, Page),
    Single(Single),
}

/// Many small entries in one block of memory: the records of the keys, one after the other, and
/// then the values.
///
/// One block, since an allocator then allocates and frees only whole pages; two would leave holes
/// that nothing else fits into.
pub(crate) struct Page {
    pub(crate) queue: Queue,
    bytes: Bytes,
    /// The start of the values.
    values: usize,
}

/// An entry that is too large for a page: its value as it arrived.
pub(crate) struct Single {
    pub(crate) tag: Tag,
    pub(crate) queue: Queue,
    /// Whether there are extras in `head`. Stored next to the tag, where it costs nothing.
    has_extras: bool,
    /// The extras if it has any, and the key.
    head: Box<[u8]>,
    value: Bytes,
    deadline: Deadline,
}

/// The entries of a page that are still in the index.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Live {
    pub(crate) records: u16,
    pub(crate) bytes: u16,
}

/// An entry that a lookup has found.
pub(crate) struct Found<'a> {
    pub(crate) value: Value<'a>,
    pub(crate) terms: Terms<'a>,
    /// The buffer that the note can be shared from, if it is in a closed page.
    page: Option<&'a Bytes>,
}

/// An entry that a scan reaches, or the hole that an entry has left.
pub(crate) struct Listed<'a> {
    pub(crate) tag: Tag,
    pub(crate) key: &'a [u8],
    pub(crate) found: Found<'a>,
    /// The start of the next one.
    pub(crate) end: usize,
}

/// A value in its place in memory.
#[derive(Clone)]
pub(crate) struct Value<'a> {
    /// The buffer that it can be shared from: not the open page.
    shared: Option<&'a Bytes>,
    /// The bytes of which it is the part `at`.
    whole: &'a [u8],
    at: Range<usize>,
}

impl Block {
    /// Its queue; `None` if it is free.
    pub(crate) fn queue(&self) -> Option<Queue> {
        match self {
            Self::Free(_) => None,
            Self::Open(_, queue) => Some(*queue),
            Self::Page(_, page) => Some(page.queue),
            Self::Single(single) => Some(single.queue),
        }
    }

    /// The bytes of its entries, by which the queues are measured: without holes, and whether it
    /// is open or not.
    pub(crate) fn content(&self) -> u64 {
        match self {
            Self::Free(_) => 0,
            Self::Open(live, _) | Self::Page(live, _) => {
                u64::from(live.bytes) + u64::from(live.records) * weight::ENTRY
            }
            Self::Single(single) => single.len() + weight::ENTRY,
        }
    }

    /// The bytes it takes of the budget, with pages of at most `page` bytes.
    pub(crate) fn weight(&self, page: usize) -> u64 {
        match self {
            Self::Free(_) => 0,
            Self::Open(..) => weight::open(page),
            Self::Page(_, page) => weight::page(page.len()),
            Self::Single(single) => weight::single(single.head.len(), single.value.len()),
        }
    }

    /// The entry at an offset if it has that key. `open` gives the records and the values of the
    /// open page of a queue.
    #[inline]
    pub(crate) fn find<'a>(
        &'a self,
        offset: usize,
        key: &[u8],
        open: impl FnOnce(Queue) -> (&'a [u8], &'a [u8]),
    ) -> Option<Found<'a>> {
        // Nearly all are in pages: no jump table.
        let (records, shared, whole, values) = if let Self::Page(_, page) = self {
            // The page begins with the records, so they need not be separated from what follows.
            let bytes = &page.bytes;
            (&bytes[..], Some(bytes), &bytes[..], page.values)
        } else if let Self::Open(_, queue) = self {
            let (records, values) = open(*queue);
            (records, None, values, 0)
        } else if let Self::Single(single) = self {
            return single.find(key);
        } else {
            return None;
        };
        let record = Record::at(records, offset)?;
        if !is_same(record.key, key) {
            return None;
        }
        let at = values + record.value.start..values + record.value.end;
        Some(Found {
            value: Value { shared, whole, at },
            terms: record.terms,
            page: shared,
        })
    }

    /// The entry that begins at an offset, whatever its key; `None` at the end. Separate from
    /// [`find`](Self::find) so that hits run no additional code.
    pub(crate) fn entry_at<'a>(
        &'a self,
        offset: usize,
        open: impl FnOnce(Queue) -> (&'a [u8], &'a [u8]),
    ) -> Option<Listed<'a>> {
        let (records, values, shared) = match self {
            Self::Page(_, page) => (page.parts().0, page.parts().1, Some(&page.bytes)),
            Self::Open(_, queue) => {
                let (records, values) = open(*queue);
                (records, values, None)
            }
            Self::Single(single) => {
                return if offset == 0 { single.entry() } else { None };
            }
            Self::Free(_) => return None,
        };
        let record = Record::at(records, offset)?;
        let (whole, start) = match shared {
            Some(page) => (&page[..], records.len()),
            None => (values, 0),
        };
        let at = start + record.value.start..start + record.value.end;
        Some(Listed {
            tag: record.tag,
            key: record.key,
            found: Found {
                value: Value { shared, whole, at },
                terms: record.terms,
                page: shared,
            },
            end: record.end,
        })
    }
}

impl Page {
    pub(crate) fn new(queue: Queue, records: &[u8], values: &[u8]) -> Self {
        Self {
            queue,
            bytes: [records, values].concat().into(),
            values: records.len(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Overwrites a record's value and terms, unless a caller still holds a value or a note of the
    /// page.
    pub(crate) fn overwrite(&mut self, offset: usize, value: &[u8], terms: Terms<'_>) -> bool {
        self.edit(|records, values| record::overwrite(records, values, offset, value, terms))
    }

    /// Changes the records and the values in place, unless a caller still holds a value or a note
    /// of the page.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(&mut [u8], &mut [u8])) -> bool {
        // Under the exclusive lock: no other thread can share it meanwhile.
        match mem::take(&mut self.bytes).try_into_mut() {
            Ok(mut bytes) => {
                let (records, values) = bytes.split_at_mut(self.values);
                edit(records, values);
                self.bytes = bytes.freeze();
                true
            }
            Err(shared) => {
                self.bytes = shared;
                false
            }
        }
    }

    /// The records and the values.
    #[inline]
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        // Never out of range; and a hit must not contain code for a panic.
        self.bytes.split_at_checked(self.values).unwrap_or_default()
    }
}

impl Single {
    pub(crate) fn new(tag: Tag, key: &[u8], value: Bytes, terms: Terms<'_>) -> Self {
        Self {
            tag,
            // Until it is stored.
            queue: Queue::Small,
            has_extras: !terms.extras.is_empty(),
            head: if terms.extras.is_empty() {
                key.into()
            } else {
                [terms.extras, key].concat().into()
            },
            value,
            deadline: terms.deadline,
        }
    }

    /// The extras and the key.
    #[inline]
    fn parts(&self) -> (&[u8], &[u8]) {
        if self.has_extras {
            terms::split(&self.head).unwrap_or_default()
        } else {
            (&[], &self.head)
        }
    }

    pub(crate) fn key(&self) -> &[u8] {
        self.parts().1
    }

    /// The length by which an entry of that key and value is judged.
    pub(crate) fn len(&self) -> u64 {
        (self.head.len() + self.value.len()) as u64
    }

    /// Lowers its lifetime to a ceiling.
    pub(crate) fn shorten(&mut self, ceiling: &Ceiling) {
        self.deadline = ceiling.lower(self.deadline);
        if self.has_extras {
            ceiling.lower_windows(&mut self.head);
        }
    }

    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            deadline: self.deadline,
            extras: self.parts().0,
        }
    }

    fn find(&self, key: &[u8]) -> Option<Found<'_>> {
        let (extras, own) = self.parts();
        (own == key).then_some(Found {
            value: Value {
                shared: Some(&self.value),
                whole: &self.value,
                at: 0..self.value.len(),
            },
            terms: Terms {
                deadline: self.deadline,
                extras,
            },
            page: None,
        })
    }

    fn entry(&self) -> Option<Listed<'_>> {
        let key = self.key();
        Some(Listed {
            tag: self.tag,
            key,
            found: self.find(key)?,
            end: Location::GRANULARITY,
        })
    }
}

/// A separate function, so that hits in closed pages contain no code for it. It takes a slice, and
/// not `Value`, which should stay in registers.
#[inline(never)]
fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// Whether two keys are the same. Most are short: two overlapping words are compared inline, where
/// a comparison of any length is a call.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    const WORD: usize = size_of::<u64>();
    if one.len() != other.len() {
        return false;
    }
    if one.len() <= 2 * WORD
        && let (Some(first), Some(last)) = (one.first_chunk::<WORD>(), one.last_chunk::<WORD>())
    {
        return Some(first) == other.first_chunk() && Some(last) == other.last_chunk();
    }
    one == other
}

// No methods: those would be for one lifetime of `Found` each, where the cache passes them on for
// any.

/// The value with the time left.
#[inline]
pub(crate) fn hit(found: &Found<'_>, left: Left) -> Hit<Bytes> {
    Hit {
        value: found.value.to_bytes(),
        ttl: left.unwrap_or(Some(Duration::ZERO)),
    }
}

/// The whole entry, with that time left.
#[inline]
pub(crate) fn hold(found: &Found<'_>, left: Left) -> Held {
    if !found.terms.extras.is_empty() {
        return hold_with_extras(found, left);
    }
    Held {
        value: found.value.to_bytes(),
        note: Bytes::new(),
        life: Life {
            ttl: left.unwrap_or(Some(Duration::ZERO)),
            serve_stale: Duration::ZERO,
            keep_stale: Duration::ZERO,
            refresh_ahead: Duration::ZERO,
        },
        due: false,
    }
}

/// A separate function, so that hits without extras are not slowed down by it.
#[inline(never)]
fn hold_with_extras(found: &Found<'_>, left: Left) -> Held {
    let (life, due) = found.terms.life(left);
    Held {
        value: found.value.to_bytes(),
        note: found.note(),
        life,
        due,
    }
}

impl Found<'_> {
    /// Whether a small entry's record could hold that value and those terms in place of its own.
    pub(crate) fn fits(&self, entry: &Small<'_>) -> bool {
        self.value.len() == entry.value.len()
            && record::is_timed(self.terms) == record::is_timed(entry.terms)
            && self.terms.extras.len() == entry.terms.extras.len()
    }

    /// Shared, or a copy if it is in no closed page. An empty one shares nothing.
    fn note(&self) -> Bytes {
        let note = self.terms.note();
        if note.is_empty() {
            return Bytes::new();
        }
        match self.page {
            Some(page) => page.slice_ref(note),
            None => Bytes::copy_from_slice(note),
        }
    }
}

impl Listed<'_> {
    /// The key, shared, or a copy if it is in no closed page.
    pub(crate) fn to_key(&self) -> Bytes {
        match self.found.page {
            Some(page) => page.slice_ref(self.key),
            None => Bytes::copy_from_slice(self.key),
        }
    }

    /// The bytes of its key, its value and its note.
    pub(crate) fn len(&self) -> u64 {
        (self.key.len() + self.found.value.at.len() + self.found.terms.note().len()) as u64
    }
}

impl Live {
    #[expect(clippy::cast_possible_truncation, reason = "within a page")]
    pub(crate) fn add(&mut self, len: usize) {
        debug_assert!(len <= 2 * Location::MAX_PAGE);
        self.records += 1;
        self.bytes += len as u16;
    }

    #[expect(clippy::cast_possible_truncation, reason = "within a page")]
    pub(crate) fn remove(&mut self, len: usize) {
        self.records -= 1;
        self.bytes -= len as u16;
    }

    /// Whether a page of that many bytes has more holes than entries.
    pub(crate) fn is_sparse(self, page: usize) -> bool {
        usize::from(self.bytes) * 2 < page
    }
}

impl Value<'_> {
    /// Shared, or a copy if it is in the open page.
    #[inline]
    pub(crate) fn to_bytes(&self) -> Bytes {
        match self.shared {
            Some(whole) => whole.slice(self.at.clone()),
            None => copy(self.as_slice()),
        }
    }

    /// In bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.whole.get(self.at.clone()).unwrap_or_default()
    }

    /// Whether it can only be copied.
    #[inline]
    pub(crate) fn is_copied(&self) -> bool {
        self.shared.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_cache_line() {
        assert_eq!(size_of::<Slot>(), 64);
    }

    #[test]
    fn keys_that_differ_in_a_byte_or_in_length_are_not_the_same() {
        for len in 0..40_usize {
            let key = vec![7; len];
            assert!(is_same(&key, &key.clone()));
            assert!(!is_same(&key, &vec![7; len + 1]));
            for at in 0..len {
                let mut other = key.clone();
                other[at] = 8;
                assert!(!is_same(&key, &other), "{len}, {at}");
            }
        }
    }
}
