use std::hash::BuildHasher;

use bytes::Bytes;

use super::PagedCache;
use crate::scan::{Batch, Position, Step};
use crate::{Cursor, Held};

impl<S: BuildHasher> PagedCache<S> {
    /// The most steps of a call, each of a page that belongs to the pass or of 64 blocks that do
    /// not. That takes about a millisecond, even if all entries are stale.
    const MAX_STEPS: usize = 128;

    /// The next fresh entries with their keys, and the cursor to continue with; no cursor means
    /// that the scan has ended. It is neither counted nor a use. Stale entries are left out.
    ///
    /// A batch has up to `most_entries` (zero is taken as one), whose keys, values and notes have
    /// up to `most_bytes` together, or a single entry that has more. It may have fewer entries, or
    /// none, although there are more: a call takes about a millisecond at most.
    ///
    /// **Order.** First the main queue, then the small one. Within each the order is that of
    /// insertion, or of the last time that an eviction examined an entry and let it stay for its
    /// uses: in up to eight and four bands of that time, the youngest first, over all shards.
    /// Pages that are still written to (two of up to 4 KiB in each shard) are last, together with
    /// entries that were stored or moved after the scan had begun.
    ///
    /// **Consistency.** An entry that exists when the scan begins, and is not moved until the scan
    /// ends, is seen exactly once. One that is stored, overwritten, removed or moved meanwhile may
    /// be missed or seen twice; it is moved by an eviction that lets it stay, or with a page that
    /// is swept for its holes. A scan ends however much is stored meanwhile: it visits each block
    /// that the cache has room for at most thirteen times.
    ///
    /// **Locks.** A scan holds the lock of one shard at a time, shares it with lookups, and holds
    /// it for the time it takes to pass 64 blocks, or to copy out the entries of one page or one
    /// large key. Values are shared as lookups share them.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use gaggle_paged::{PagedCache, Cursor, Options};
    ///
    /// let cache = PagedCache::new(Options::default());
    /// cache.insert(b"Tom", Bytes::from_static(b"630"));
    /// cache.insert(b"Jack", Bytes::from_static(b"589"));
    ///
    /// let mut all = Vec::new();
    /// let mut next = Some(Cursor::default());
    /// while let Some(from) = next {
    ///     let (batch, then) = cache.scan(from, 100, 1 << 20);
    ///     all.extend(batch.into_iter().map(|(key, held)| (key, held.value)));
    ///     next = then;
    /// }
    /// all.sort();
    /// assert_eq!(all, [("Jack".into(), "589".into()), ("Tom".into(), "630".into())]);
    /// ```
    #[must_use]
    pub fn scan(
        &self,
        from: Cursor,
        most_entries: usize,
        most_bytes: u64,
    ) -> (Vec<(Bytes, Held)>, Option<Cursor>) {
        let begin = || Position::first(|queue| self.shared.ages(queue));
        let mut at = Position::of(from).unwrap_or_else(begin);
        let mut batch = Batch::new(most_entries, most_bytes);
        for _ in 0..Self::MAX_STEPS {
            if batch.is_full() {
                break;
            }
            batch.reserve();
            let step = match self.shards.get(at.shard) {
                Some(shard) => shard.share().scan(&mut at, &mut batch, &mut self.now()),
                None => Step::End,
            };
            match step {
                Step::Within => {}
                Step::End if at.next_shard(self.shards.len()) => {}
                Step::End => return (batch.entries, None),
                Step::Full => break,
            }
        }
        (batch.entries, Some(at.into()))
    }
}
