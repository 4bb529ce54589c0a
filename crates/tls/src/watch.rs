use std::time::Duration;

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use crate::Tls;

impl Tls {
    /// How often [`watch`](Self::watch) should check, unless there is a reason for another
    /// interval.
    pub const WATCH_EVERY: Duration = Duration::from_secs(5);

    /// Reads the files again each time `every` has passed, and uses their changes. Never ends;
    /// drop it to stop. `every` is at least a millisecond.
    ///
    /// Each change is logged once, and so is each error, until a different one occurs. While there
    /// is an error, the last valid files stay in use. A certificate and key that do not match,
    /// while one of the two files is being replaced, are resolved by the next check.
    pub async fn watch(self, every: Duration) {
        let mut ticks = interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is immediate, and the files have just been read.
        ticks.tick().await;
        let mut told = None;
        loop {
            ticks.tick().await;
            let tls = self.clone();
            let done = spawn_blocking(move || tls.reload()).await;
            match done {
                Ok(Ok(changed)) => {
                    if changed {
                        let generation = self.generation();
                        info!(
                            generation,
                            "certificates were read again: new connections use them"
                        );
                    } else if told.is_some() {
                        info!("the files of certificates are again those in use");
                    }
                    told = None;
                }
                Ok(Err(error)) => tell(&mut told, error.to_string()),
                // The runtime ends, or reading panicked.
                Err(error) => tell(&mut told, error.to_string()),
            }
        }
    }
}

fn tell(told: &mut Option<String>, error: String) {
    if told.as_ref() != Some(&error) {
        warn!(%error, "certificates cannot be read again: the old ones stay in use");
        *told = Some(error);
    }
}
