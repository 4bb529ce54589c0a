//! SIGTERM and SIGINT: the first asks for an orderly stop; the second ends the process at once,
//! whatever hangs. And SIGHUP, which asks for the configuration to be read again.

use std::process;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use gaggle_telemetry::Log;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

/// How long an ending process waits for its last log lines to be written. With either grace it is
/// less than a second.
pub(crate) const LAST_LINES: Duration = Duration::from_millis(250);

/// How late an orderly stop may be before it is given up.
const GRACE: Duration = Duration::from_millis(400);

/// How late it may be before the process ends without its runtime: a blocked runtime must not keep
/// the process alive.
const LAST_GRACE: Duration = Duration::from_millis(700);

/// The exit code of a process that had to be ended while it was stopping.
const NOT_IN_TIME: i32 = 1;

/// Signals that the process was asked to stop.
#[derive(Clone)]
pub(crate) struct Stop {
    asked: watch::Receiver<bool>,
    limit: Duration,
}

/// Signals each SIGHUP.
pub(crate) struct Hangups {
    /// How many there were.
    count: watch::Receiver<u64>,
}

/// Catches the signals from now on, in a separate thread that nothing else can delay. `limit`
/// is how long an orderly stop may take: the process ends within one second after that in any
/// case, with exit code 1 if the runtime is blocked. A second signal ends it at once, with 128
/// and the signal's number: 130 for SIGINT, 143 for SIGTERM. SIGHUP does not end the process,
/// whether or not a task waits for it.
pub(crate) fn listen(limit: Duration, log: Log) -> anyhow::Result<(Stop, Hangups)> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime for signals could not be started")?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::catch()?
    };
    let (ask, asked) = watch::channel(false);
    let (hang_up, count) = watch::channel(0);
    thread::Builder::new()
        .name("gaggle-signals".into())
        .spawn(move || {
            runtime.block_on(async {
                signals.stop(&hang_up).await;
                ask.send_replace(true);
                let second = signals.stop(&hang_up);
                let code = match timeout(limit.saturating_add(LAST_GRACE), second).await {
                    Ok(second) => {
                        warn!("a second signal: ending at once");
                        128 + second.as_raw_value()
                    }
                    Err(_) => {
                        error!("stopping takes too long: ending at once");
                        NOT_IN_TIME
                    }
                };
                log.flush(LAST_LINES);
                process::exit(code);
            });
        })
        .context("the thread for signals could not be started")?;
    Ok((Stop { asked, limit }, Hangups { count }))
}

impl Hangups {
    /// Waits for a SIGHUP, or for several that arrive before the next call.
    pub(crate) async fn next(&mut self) {
        // An error means that no task listens for signals any more; then none is received.
        if self.count.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Stop {
    /// Waits for the first signal.
    pub(crate) async fn received(&self) {
        // An error means that no task listens for signals any more; then none is received.
        if self.asked.clone().wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for `starting`, or the first signal: then there is no result.
    pub(crate) async fn before<T>(&self, starting: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            started = starting => Some(started),
            () = self.received() => {
                info!("stopped while starting");
                None
            }
        }
    }

    /// Waits for `running`, which learns of the first signal by other means, but not much longer
    /// than stopping may take.
    pub(crate) async fn bound<T>(&self, running: impl Future<Output = T>) -> Option<T> {
        let late = async {
            self.received().await;
            sleep(self.limit.saturating_add(GRACE)).await;
        };
        tokio::select! {
            ended = running => Some(ended),
            () = late => {
                warn!("stopping takes too long: requests under way are cut");
                None
            }
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Within a runtime.
    fn catch() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("signals cannot be caught");
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    /// The next signal that asks for an end. Other signals are counted meanwhile.
    async fn stop(&mut self, hangups: &watch::Sender<u64>) -> SignalKind {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return SignalKind::terminate(),
                _ = self.interrupt.recv() => return SignalKind::interrupt(),
                _ = self.hangup.recv() => hangups.send_modify(|count| *count += 1),
            }
        }
    }
}
