//! Waits with a bound.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

/// The bound of every wait. It is far above what any of them takes, so that it only ends tests
/// that would hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks repeatedly until the answer is yes.
pub(crate) async fn until(what: &str, mut asked: impl AsyncFnMut() -> bool) {
    let mut tick = interval(Duration::from_millis(20));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let waited = timeout(PATIENCE, async {
        loop {
            tick.tick().await;
            if asked().await {
                return;
            }
        }
    });
    assert!(waited.await.is_ok(), "it did not come about: {what}");
}
