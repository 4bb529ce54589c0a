use std::ops::Range;

use gaggle_shards::Deadline;

use crate::place::{Location, Tag};
use crate::terms::{self, Terms};

/// An entry in a page: one word, the deadline if it has one, the extras if it has any, the key.
/// The value is in the page's other buffer.
///
/// Keys and values are apart so that lookups, and evictions of unused entries, read a few dense
/// cache lines and no value.
#[derive(Clone, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) tag: Tag,
    pub(crate) key: &'a [u8],
    pub(crate) terms: Terms<'a>,
    /// The place of the value.
    pub(crate) value: Range<usize>,
    /// The start of the next record.
    pub(crate) end: usize,
}

/// An entry to be written into a page.
#[derive(Clone, Copy)]
pub(crate) struct Small<'a> {
    pub(crate) tag: Tag,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) terms: Terms<'a>,
}

impl Small<'_> {
    /// The length of its record, in bytes.
    pub(crate) fn record_len(&self) -> usize {
        Record::len(self.key, self.terms)
    }

    /// Appends it to a page's buffers.
    pub(crate) fn write(self, records: &mut Vec<u8>, values: &mut Vec<u8>) {
        let start = values.len();
        values.extend_from_slice(self.value);
        let head = Head::new(self.tag, self.key.len(), &(start..values.len()), self.terms);
        records.extend_from_slice(&head.0.to_le_bytes());
        if is_timed(self.terms) {
            records.extend_from_slice(&self.terms.deadline.to_bits().to_le_bytes());
        }
        records.extend_from_slice(self.terms.extras);
        records.extend_from_slice(self.key);
        // At most three bytes: a call would cost more.
        while !records.len().is_multiple_of(Location::GRANULARITY) {
            records.push(0);
        }
    }
}

/// The word: 28 bits of tag, eleven for the length of the key, eleven for that of the value,
/// twelve for its start, whether there is a deadline, and whether there are extras.
#[derive(Clone, Copy)]
struct Head(u64);

const WORD: usize = size_of::<u64>();
const TAG_BITS: u32 = 28;
const LEN_BITS: u32 = 11;
const START_BITS: u32 = 12;
const HAS_DEADLINE: u64 = 1 << (TAG_BITS + 2 * LEN_BITS + START_BITS);
const HAS_EXTRAS: u64 = HAS_DEADLINE << 1;

impl Head {
    fn new(tag: Tag, key: usize, value: &Range<usize>, terms: Terms<'_>) -> Self {
        let fields = [
            (u64::from(tag.to_bits()), TAG_BITS),
            (key as u64, LEN_BITS),
            (value.len() as u64, LEN_BITS),
            (value.start as u64, START_BITS),
            (u64::from(is_timed(terms)), 1),
            (u64::from(!terms.extras.is_empty()), 1),
        ];
        let mut at = 0;
        Self(fields.into_iter().fold(0, |word, (field, bits)| {
            debug_assert!(field >> bits == 0, "small enough for a page");
            at += bits;
            word | field << (at - bits)
        }))
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "28 bits at most")]
    fn bits(self, from: u32, bits: u32) -> usize {
        (self.0 >> from & ((1 << bits) - 1)) as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "28 bits")]
    fn tag(self) -> Tag {
        Tag::from_bits(self.bits(0, TAG_BITS) as u32)
    }

    #[inline]
    fn key_len(self) -> usize {
        self.bits(TAG_BITS, LEN_BITS)
    }

    #[inline]
    fn value(self) -> Range<usize> {
        let start = self.bits(TAG_BITS + 2 * LEN_BITS, START_BITS);
        start..start + self.bits(TAG_BITS + LEN_BITS, LEN_BITS)
    }
}

impl<'a> Record<'a> {
    /// The length of a record without its value, in bytes.
    pub(crate) fn len(key: &[u8], terms: Terms<'_>) -> usize {
        extras_at(terms)
            .saturating_add(terms.extras.len())
            .saturating_add(key.len())
            .saturating_add(Location::GRANULARITY - 1)
            & !(Location::GRANULARITY - 1)
    }

    /// The record at an offset where one begins; `None` at the end.
    #[inline]
    pub(crate) fn at(records: &'a [u8], offset: usize) -> Option<Self> {
        let (word, mut rest) = records.get(offset..)?.split_first_chunk::<WORD>()?;
        let head = Head(u64::from_le_bytes(*word));
        let mut deadline = Deadline::NEVER;
        let mut extras = &[][..];
        // One test for all that have neither.
        if head.0 & (HAS_DEADLINE | HAS_EXTRAS) != 0 {
            if head.0 & HAS_DEADLINE != 0 {
                let (word, after) = rest.split_first_chunk::<WORD>()?;
                deadline = Deadline::from_bits(u64::from_le_bytes(*word));
                rest = after;
            }
            if head.0 & HAS_EXTRAS != 0 {
                (extras, rest) = terms::split(rest)?;
            }
        }
        let (key, after) = rest.split_at_checked(head.key_len())?;
        Some(Self {
            tag: head.tag(),
            key,
            terms: Terms { deadline, extras },
            value: head.value(),
            end: (records.len() - after.len()).next_multiple_of(Location::GRANULARITY),
        })
    }
}

pub(crate) fn is_timed(terms: Terms<'_>) -> bool {
    terms.deadline != Deadline::NEVER
}

/// The place of the extras in a record.
fn extras_at(terms: Terms<'_>) -> usize {
    if is_timed(terms) { 2 * WORD } else { WORD }
}

/// Overwrites the value and the terms of the record at an offset with ones that
/// [fit](crate::block::Found::fits).
pub(crate) fn overwrite(
    records: &mut [u8],
    values: &mut [u8],
    offset: usize,
    value: &[u8],
    terms: Terms<'_>,
) {
    let Some(at) = Record::at(records, offset).map(|record| record.value) else {
        return;
    };
    if let Some(old) = values.get_mut(at) {
        old.copy_from_slice(value);
    }
    set_terms(records, offset, terms);
}

/// Overwrites the terms of the record at an offset with ones that
/// [fit](crate::block::Found::fits).
pub(crate) fn set_terms(records: &mut [u8], offset: usize, terms: Terms<'_>) {
    if is_timed(terms)
        && let Some(old) = records.get_mut(offset + WORD..offset + 2 * WORD)
    {
        old.copy_from_slice(&terms.deadline.to_bits().to_le_bytes());
    }
    let start = offset + extras_at(terms);
    if let Some(old) = records.get_mut(start..start + terms.extras.len()) {
        old.copy_from_slice(terms.extras);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Clock, Life};

    #[test]
    fn what_was_written_is_read() {
        let soon = Deadline::after(Some(Duration::from_secs(1)), &Clock::manual());
        let life = Life {
            ttl: Some(Duration::ZERO),
            serve_stale: Duration::from_secs(1),
            ..Life::default()
        };
        let extras = [&[][..], b"n", &[7; 300]].map(|note| terms::encode(&life, note));
        let extras = [Vec::new()].into_iter().chain(extras).collect::<Vec<_>>();
        let all = [Deadline::NEVER, soon]
            .into_iter()
            .flat_map(|deadline| extras.iter().map(move |extras| Terms { deadline, extras }));
        for terms in all {
            what_was_written_with_terms_is_read(terms);
        }
    }

    fn what_was_written_with_terms_is_read(terms: Terms<'_>) {
        let (mut records, mut values) = (Vec::new(), Vec::new());
        let mut written = Vec::new();
        let lens = [
            (0, 0),
            (1, 0),
            (0, 1),
            (3, 5),
            (12, 100),
            (1016, 0),
            (0, 1016),
        ];
        for (n, (key, value)) in lens.into_iter().enumerate() {
            let (key, value) = (vec![1; key], vec![2; value]);
            let tag = Tag::of(u64::MAX - n as u64);
            let before = records.len();
            let small = Small {
                tag,
                key: &key,
                value: &value,
                terms,
            };
            small.write(&mut records, &mut values);
            assert_eq!(records.len() - before, small.record_len());
            written.push((tag, key, value));
        }
        let mut at = 0;
        for (tag, key, value) in written {
            let record = Record::at(&records, at).unwrap();
            assert_eq!((record.tag, record.terms), (tag, terms));
            assert_eq!((record.key, &values[record.value]), (&*key, &*value));
            at = record.end;
        }
        assert_eq!(at, records.len());
        assert!(Record::at(&records, at).is_none());
    }
}
