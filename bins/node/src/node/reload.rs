//! Reading the configuration of a running node again, on SIGHUP and `POST /reload`.
//!
//! All of the new configuration is checked before anything changes: whether a node could be
//! started with it, whether it differs only in what can change in place ([`changes`]), and whether
//! the token and the certificates that it names can be read. Then it is [applied](running), with
//! warm caches. Otherwise the node runs on as it was.
//!
//! One task does that, one reload after the other, so that a client that goes away does not leave
//! one incomplete.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use gaggle_api_http::{Readiness, Reload, ReloadError, Reloaded};
use gaggle_group::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::prepared;
use crate::config::{Config, ConfigError, Loaded, Sources};
use crate::signals::Hangups;
use crate::systemd::Systemd;

mod changes;
mod running;

use changes::Changes;
pub(super) use running::Running;

/// Reads the configuration. Blocks for as long as that takes.
pub(crate) type Load = Arc<dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync>;

/// The source of a node's configuration, and the trigger of reloads.
pub(crate) struct Source {
    pub(crate) load: Load,
    pub(crate) hangups: Hangups,
}

type Outcome = Result<Reloaded, ReloadError>;

/// The receiver of a reload's result.
type Ask = oneshot::Sender<Outcome>;

/// How many reloads may wait at one time.
const WAITING: usize = 8;

/// Requests reloads. A cheap-clone handle.
#[derive(Clone)]
pub(super) struct ReloadHandle {
    generation: Arc<AtomicU64>,
    asks: mpsc::Sender<Ask>,
}

/// The requests of all clones of a [`ReloadHandle`].
pub(super) struct Asked(mpsc::Receiver<Ask>);

pub(super) fn channel() -> (ReloadHandle, Asked) {
    let (asks, asked) = mpsc::channel(WAITING);
    let generation = Arc::new(AtomicU64::new(1));
    (ReloadHandle { generation, asks }, Asked(asked))
}

impl ReloadHandle {
    /// Requests a reload at each SIGHUP. Never ends.
    pub(super) async fn at_each(&self, hangups: &mut Hangups) {
        loop {
            hangups.next().await;
            if let Err(ReloadError::Unavailable(line)) = self.reload().await {
                warn!(error = %line, "SIGHUP has no effect");
            }
        }
    }
}

#[async_trait]
impl Reload for ReloadHandle {
    fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    async fn reload(&self) -> Outcome {
        let (ask, outcome) = oneshot::channel();
        let unavailable = |line: &str| ReloadError::Unavailable(line.to_owned());
        let nobody =
            "nothing is read again: the node stops, or was started without a configuration";
        self.asks.try_send(ask).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => unavailable("too many reloads wait already"),
            mpsc::error::TrySendError::Closed(_) => unavailable(nobody),
        })?;
        outcome.await.unwrap_or_else(|_| Err(unavailable(nobody)))
    }
}

/// The task that reads and applies configurations.
pub(super) struct Reloader {
    pub(super) asked: Asked,
    pub(super) handle: ReloadHandle,
    pub(super) load: Load,
    pub(super) running: Running,
    pub(super) readiness: Readiness,
    pub(super) systemd: Systemd,
    /// The configuration that the node was started with.
    pub(super) started: Arc<Config>,
    /// The one that it runs with.
    pub(super) current: Arc<Config>,
}

impl Reloader {
    /// Ends when all handles are gone.
    pub(super) async fn run(mut self) {
        while let Some(ask) = self.asked.0.recv().await {
            // While it starts or stops, systemd waits for another message.
            let is_told = self.readiness.is_ready();
            if is_told {
                self.systemd.reloading();
            }
            let outcome = self.reload().await;
            let status = match &outcome {
                Ok(Reloaded {
                    generation,
                    changed,
                }) => {
                    let changed = changed.join(", ");
                    info!(generation, %changed, "the configuration was read again");
                    format!("serving; configuration {generation}")
                }
                Err(refused) => {
                    let generation = self.handle.generation();
                    warn!(generation, error = %refused, "the configuration stays as it is");
                    format!("serving; configuration {generation}; another was refused: {refused}")
                }
            };
            if is_told && self.readiness.is_ready() {
                self.systemd.ready(&status);
            }
            // Err: the caller has gone away.
            let _ = ask.send(outcome);
        }
    }

    async fn reload(&mut self) -> Outcome {
        let invalid = |failure: ConfigError| ReloadError::Invalid(failure.to_string());
        let load = Arc::clone(&self.load);
        let Loaded { config, sources } = blocking(move || load()).await?.map_err(invalid)?;
        let explained = |failure| invalid(sources.explain(failure));
        let changes = Changes::between(&self.current, &config).map_err(invalid)?;
        if let Some(refused) = changes.refused(&self.started, &config) {
            return Err(ReloadError::Fixed(told(refused, &sources)));
        }
        if changes.have("cluster.peers") {
            prepared::is_listed(&config).await.map_err(explained)?;
        }
        let security = config.security.clone();
        let credentials = blocking(move || security.open())
            .await?
            .map_err(explained)?;
        let (running, config) = (self.running.clone(), Arc::new(config));
        let (old, new) = (Arc::clone(&self.current), Arc::clone(&config));
        let read = blocking(move || running.take_over(&old, &new, &credentials)).await?;
        let mut changed = changes.names();
        for name in read.map_err(explained)? {
            if !changed.iter().any(|known| known == name) {
                changed.push(name.to_owned());
            }
        }
        self.current = config;
        let generation = self.handle.generation.fetch_add(1, Relaxed) + 1;
        Ok(Reloaded {
            generation,
            changed,
        })
    }
}

fn told(refused: ConfigError, sources: &Sources) -> String {
    sources.explain(refused).to_string()
}

/// Does it on a thread that may block. It continues there even if this future is dropped.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReloadError> {
    // It panicked, or the runtime ends.
    spawn_blocking(work).await.map_err(|failure| {
        ReloadError::Unavailable(format!("the reload was interrupted: {failure}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(handle: &ReloadHandle) -> String {
        match handle.reload().await {
            Err(ReloadError::Unavailable(line)) => line,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_node_that_reads_nothing_again_says_so() {
        let (handle, asked) = channel();
        drop(asked);
        assert!(refused(&handle).await.starts_with("nothing is read again"));
        assert_eq!(handle.generation(), 1);
    }

    #[tokio::test]
    async fn few_reloads_wait_and_all_of_them_hear_of_a_stop() {
        let (handle, asked) = channel();
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..WAITING {
            let handle = handle.clone();
            waiting.spawn(async move { refused(&handle).await });
        }
        while asked.0.len() < WAITING {
            tokio::task::yield_now().await;
        }
        assert_eq!(refused(&handle).await, "too many reloads wait already");
        drop(asked);
        for line in waiting.join_all().await {
            assert!(line.starts_with("nothing is read again"), "{line}");
        }
    }
}
