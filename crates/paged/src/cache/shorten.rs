//! Lowers the lifetimes of entries.

use std::hash::BuildHasher;
use std::time::Duration;

use gaggle_shards::{Counted, Deadline, Dropped};

use super::PagedCache;
use crate::Life;
use crate::ceiling::Ceiling;
use crate::log::Log;

impl<S: BuildHasher> PagedCache<S> {
    /// Lowers the lifetime of every entry to `longest`, counted from now, if it is longer: the
    /// `ttl`, and each of the windows. An entry without end gets one, if `longest` has one. No
    /// lifetime becomes longer, and nothing is removed.
    ///
    /// If all ended together, they would be loaded again together: `ttl` is called once for each
    /// page and each large entry whose `ttl` is lowered, gets that of `longest`, and may return
    /// less. It runs under a shard's lock: using the same cache in it may deadlock.
    ///
    /// An entry stored meanwhile keeps the lifetime that it is given, unless eviction moves it.
    /// Every entry that existed before is included. The lock of one shard is held for one page at
    /// a time, and the whole takes about as long as examining every entry: some 50 to 100 ms for
    /// each million. Entries that had no end, or whose values a caller holds, are moved, which
    /// takes ten times as long and makes them the youngest.
    pub fn shorten(&self, longest: &Life, mut ttl: impl FnMut(Duration) -> Duration) {
        // Of two concurrent calls, one would end the other's lowering of moved entries.
        let _alone = self.shortening.lock();
        let mut dropped = Dropped::default();
        let ceiling = || Ceiling::of(longest, &self.clock);
        for (home, shard) in self.shards.iter().enumerate() {
            let _moved = LowerMoved::begin(shard, ceiling());
            let mut number = 0;
            loop {
                let mut blocks = Vec::new();
                {
                    let mut log = shard.lock();
                    if number >= log.numbers() {
                        break;
                    }
                    let drawn = |ceiling: &Ceiling| match longest.ttl {
                        Some(longest) => {
                            ceiling.ending(Deadline::after(Some(ttl(longest)), &self.clock))
                        }
                        None => *ceiling,
                    };
                    let mut now = self.now();
                    let shared = &self.shared;
                    log.shorten(number, &ceiling(), drawn, &mut now, shared, &mut blocks);
                }
                dropped.take_all(blocks);
                // Moved entries need a page.
                self.tidy_up(home, &mut dropped);
                number += 1;
            }
        }
        dropped.finish();
    }
}

/// Enables the lowering of moved entries in a shard, and ends it even after a panic.
struct LowerMoved<'a>(&'a Counted<Log>);

impl<'a> LowerMoved<'a> {
    fn begin(shard: &'a Counted<Log>, ceiling: Ceiling) -> Self {
        shard.lock().lower_moved(Some(ceiling));
        Self(shard)
    }
}

impl Drop for LowerMoved<'_> {
    fn drop(&mut self) {
        self.0.lock().lower_moved(None);
    }
}
