//! The watch over loads that their leaders poll: one whose leader does not is made a task.
//!
//! A caller may hold its waiter and not poll it, as where it is one of many futures of a stream whose consumer is busy.
//! What the load holds, such as a slot of a limiter, would be held with it.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::sync::Arc;
use crate::table::Table;

/// Between two rounds. A load that is not polled becomes a task after one to two of these.
pub(crate) const ROUND: Duration = Duration::from_millis(10);

/// A round over a large table takes its time, and the pause after it so many times as long, if that is more.
const SHARE: u32 = 50;

/// Whether the caller has to start a [`Watch`] over the table. A load that is held before this is called is seen.
pub(crate) fn is_due<K, V>(table: &Table<K, V>) -> bool {
    !table.watched.load(SeqCst) && !table.watched.swap(true, SeqCst)
}

/// The duty to watch. However it ends, another can be started then.
pub(crate) struct Watch<K, V>(Option<Arc<Table<K, V>>>);

impl<K, V> Watch<K, V> {
    /// After [`is_due`] has said so.
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
            // A load that began before that store has found a watch, and may have come after its round.
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
