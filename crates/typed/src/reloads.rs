//! Which caller removes a value that cannot be decoded, and how often.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gaggle_group::Key;
use tokio::sync::watch;
use tokio::time::Instant;

/// This node removes a key for this reason at most once per interval. Otherwise nodes of two
/// releases that cannot read each other's values would remove each other's values with each get.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// Keys that are remembered. If more of them cannot be decoded within the interval, the values of
/// the others are errors until there is room.
const MOST: usize = 1024;

/// Which keys were removed recently.
#[derive(Default)]
pub(crate) struct Reloads {
    lately: Mutex<HashMap<Key, Reload>>,
}

struct Reload {
    began: Instant,
    /// Closed when the removal has finished or was cancelled.
    done: watch::Receiver<()>,
}

/// What to do about a value that cannot be decoded.
pub(crate) enum Turn {
    /// Remove it, and drop this afterwards.
    Remove(watch::Sender<()>),
    /// Another caller does, or did: wait for that and look it up again.
    Wait(watch::Receiver<()>),
    /// There is no room to remember it.
    Leave,
}

impl Reloads {
    pub(crate) fn turn(&self, key: &[u8]) -> Turn {
        let now = Instant::now();
        let mut lately = self.lately();
        if let Some(reload) = lately.get(key)
            && now.duration_since(reload.began) < INTERVAL
        {
            return Turn::Wait(reload.done.clone());
        }
        if lately.len() >= MOST {
            lately.retain(|_, reload| now.duration_since(reload.began) < INTERVAL);
        }
        if lately.len() >= MOST {
            return Turn::Leave;
        }
        let (removing, done) = watch::channel(());
        lately.insert(Key::copy_from_slice(key), Reload { began: now, done });
        Turn::Remove(removing)
    }

    fn lately(&self) -> MutexGuard<'_, HashMap<Key, Reload>> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_removed_once_in_an_interval_and_others_wait_for_that() {
        let reloads = Reloads::default();
        let first = reloads.turn(b"Tom");
        assert!(matches!(&first, Turn::Remove(_)));
        let Turn::Wait(mut second) = reloads.turn(b"Tom") else {
            unreachable!("somebody removes it")
        };
        assert!(matches!(reloads.turn(b"Jack"), Turn::Remove(_)));
        drop(first);
        assert!(second.changed().await.is_err(), "the first is done");
        assert!(matches!(reloads.turn(b"Tom"), Turn::Wait(_)));
        tokio::time::advance(INTERVAL).await;
        assert!(matches!(reloads.turn(b"Tom"), Turn::Remove(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn it_remembers_a_bounded_number() {
        let reloads = Reloads::default();
        for number in 0..MOST {
            let turn = reloads.turn(&number.to_be_bytes());
            assert!(matches!(turn, Turn::Remove(_)));
        }
        assert!(matches!(reloads.turn(b"one more"), Turn::Leave));
        tokio::time::advance(INTERVAL).await;
        assert!(matches!(reloads.turn(b"one more"), Turn::Remove(_)));
        assert_eq!(reloads.lately().len(), 1);
    }
}
