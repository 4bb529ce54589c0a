//! The watch over loads that their leaders poll: a load whose leader does not poll it becomes a
//! task.
//!
//! A caller may hold its waiter and not poll it, for example as one of many futures of a stream
//! whose consumer is busy. Anything that the load holds, such as a permit of a limiter, would be
//! held that long.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::sync::Arc;
use crate::table::Table;

/// The time between two rounds. An unpolled load becomes a task after one to two rounds.
pub(crate) const ROUND: Duration = Duration::from_millis(10);

/// A round over a large table takes time; the pause after it is this many times as long, if that
/// is more.
const SHARE: u32 = 50;

/// Whether the caller has to start a [`Watch`] over the table. The watch sees every load that is
/// held before this call.
pub(crate) fn is_due<K, V>(table: &Table<K, V>) -> bool {
    !table.watched.load(SeqCst) && !table.watched.swap(true, SeqCst)
}

/// The duty to watch. Another watch can be started once this has ended, however it ends.
pub(crate) struct Watch<K, V>(Option<Arc<Table<K, V>>>);

impl<K, V> Watch<K, V> {
    /// To be called after [`is_due`] has returned true.
    pub(crate) fn new(table: Arc<Table<K, V>>) -> Self {
        Self(Some(table))
    }

    /// Runs for as long as there are loads to watch over.
    pub(crate) async fn run(mut self) {
        let mut pause = ROUND;
        while let Some(table) = &self.0 {
            sleep(pause).await;
            let began = Instant::now();
            let left = table.hand_over_idle();
            pause = ROUND.max(began.elapsed() * SHARE);
            if left > 0 {
                continue;
            }
            table.watched.store(false, SeqCst);
            // A load that began before that store has found a watch running, and may have started
            // after that watch's round.
            if table.hand_over_idle() == 0 || table.watched.swap(true, SeqCst) {
                self.0 = None;
            }
        }
    }
}

impl<K, V> Drop for Watch<K, V> {
    fn drop(&mut self) {
        if let Some(table) = &self.0 {
            table.watched.store(false, SeqCst);
        }
    }
}
