use std::time::Duration;

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use crate::Tls;

impl Tls {
    /// How often [`watch`](Self::watch) should look, unless there is reason for something else.
    pub const WATCH_EVERY: Duration = Duration::from_secs(5);

    /// Reads the files again each time `every` has passed, and takes over what is new in them.
    /// Never ends; drop it to stop. `every` is at least a millisecond.
    ///
    /// Each change is one line in the log, and so is each error, until it is another one. While
    /// there is an error the files that were good go on being used. That a certificate and its key
    /// do not belong together, while one of two files is replaced, is over with the next look.
    pub async fn watch(self, every: Duration) {
        let mut ticks = interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first is at once, and the files have just been read.
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
