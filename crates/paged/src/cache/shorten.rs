//! Lowering the lives of what is held.

use std::hash::BuildHasher;
use std::time::Duration;

use gaggle_shards::{Counted, Deadline, Dropped};

use super::PagedCache;
use crate::Life;
use crate::ceiling::Ceiling;
use crate::log::Log;

impl<S: BuildHasher> PagedCache<S> {
    /// Lowers the life of every entry that is held to `longest`, counted from now, as far as it is
    /// longer: the `ttl`, and each of the windows. What has no end gets one, if `longest` has one.
    /// Nothing is made longer, and nothing is removed.
    ///
    /// Where all would end together, they would be loaded again together: `ttl` is asked for the
    /// time of each page and each large entry whose `ttl` is lowered, is given that of `longest`,
    /// and may say less. It runs under a shard's lock: using the same cache in it may deadlock.
    ///
    /// What is stored meanwhile has the life that it is given, unless eviction moves it. An entry
    /// that was there before is not missed. The lock of one shard is held for one page at a time,
    /// and the whole takes about as long as to look at every entry: some 50 to 100 ms for each
    /// million. Where entries had no end, or values are in somebody's hands, they are moved, which
    /// takes ten times as long and makes them the youngest.
    pub fn shorten(&self, longest: &Life, mut ttl: impl FnMut(Duration) -> Duration) {
        // Of two at once, one would end the other's lowering of what is moved.
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
                // What is moved needs a page.
                self.tidy_up(home, &mut dropped);
                number += 1;
            }
        }
        dropped.finish();
    }
}

/// Has what is moved in a shard lowered, also where a panic ends it.
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
