//! Values that were put recently, and may not be the latest values of their keys.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gaggle_group::{Group, Key};
use tokio::time::{Instant, sleep};

use crate::apply::remove_all;
use crate::stats::Progress;

/// How long another node may have been following the source before this node notices that it has
/// lost it.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);
/// The most keys that are kept; beyond that the oldest are forgotten.
const MOST: usize = 4_096;
/// How long a message may still arrive after its sender stopped waiting for the answer.
const ARRIVES_WITHIN: Duration = Duration::from_secs(1);

/// The keys of values that were put in the last seconds.
///
/// Removals can be applied twice and late. Values cannot: node A is about to put value 1 and loses
/// the source without noticing; B follows, and puts 1 and 2; then A's 1 arrives. A node that has
/// lost the source therefore removes the keys that it put last.
#[derive(Default)]
pub(crate) struct RecentPuts {
    batches: VecDeque<(Instant, Arc<[Key]>)>,
    keys: usize,
}

impl RecentPuts {
    /// Those values have been put.
    pub(crate) fn push(&mut self, keys: Arc<[Key]>) {
        if keys.is_empty() {
            return;
        }
        self.keys += keys.len();
        self.batches.push_back((Instant::now(), keys));
        self.forget();
    }

    /// Forgets keys that are too old, and the oldest if there are too many.
    pub(crate) fn forget(&mut self) {
        let more = |keys: usize, at: &Instant| keys > MOST || at.elapsed() > NOTICED_WITHIN;
        while let Some((at, keys)) = self.batches.front()
            && more(self.keys, at)
        {
            self.keys -= keys.len();
            self.batches.pop_front();
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Key> {
        self.forget();
        self.keys = 0;
        let batches = self.batches.drain(..);
        batches.flat_map(|(_, keys)| keys.to_vec()).collect()
    }
}

/// Removes those keys once no message that was sent before now can arrive any more. It runs in the
/// background.
pub(crate) fn settle(group: &Group, keys: Vec<Key>, progress: &Arc<Progress>) {
    if keys.is_empty() {
        return;
    }
    let (group, progress) = (group.clone(), Arc::clone(progress));
    tokio::spawn(async move {
        sleep(ARRIVES_WITHIN).await;
        remove_all(&group, &keys, &progress).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: usize) -> Arc<[Key]> {
        (0..count).map(|n| Key::from(format!("{n}"))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_put_long_ago_is_forgotten_and_so_is_what_is_too_much() {
        let mut recent = RecentPuts::default();
        recent.push(keys(3));
        tokio::time::advance(NOTICED_WITHIN / 2).await;
        recent.push(keys(2));
        assert_eq!(recent.take().len(), 5);
        assert!(recent.take().is_empty());
        recent.push(keys(3));
        tokio::time::advance(2 * NOTICED_WITHIN).await;
        recent.push(keys(2));
        assert_eq!(recent.take().len(), 2);
        for _ in 0..10 {
            recent.push(keys(1_000));
        }
        assert_eq!(recent.take().len(), 4_000);
    }
}
