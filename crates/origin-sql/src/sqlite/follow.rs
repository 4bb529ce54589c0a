//! Follows a path: when it names another file, that one is opened.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gaggle_group::{OriginError, OriginFault};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::database::Database;
use super::opening::{Opened, Opening, Seen};
use crate::OpenError;
use crate::error::Failure;

/// How old the last check of the path may be. A load that arrives later waits for another check.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The database that a path names. A clone shares it.
#[derive(Clone)]
pub(super) struct Follower(Arc<Shared>);

struct Shared {
    opening: Opening,
    /// How long a load waits for a check.
    patience: Duration,
    state: Mutex<State>,
    /// Notifies the waiting loads that a check is over.
    looks: watch::Sender<()>,
}

struct State {
    current: Result<Current, OpenError>,
    /// When the last check began.
    looked: Instant,
    looking: bool,
}

#[derive(Clone)]
struct Current {
    database: Arc<Database>,
    file: Seen,
    immutable: bool,
}

impl From<Opened> for Current {
    fn from(opened: Opened) -> Self {
        Self {
            database: Arc::new(opened.database),
            file: opened.file,
            immutable: opened.immutable,
        }
    }
}

impl Follower {
    /// Opens the file. A load waits for `patience` at most while the path is checked.
    pub(super) async fn open(opening: Opening, patience: Duration) -> Result<Self, OpenError> {
        let looked = Instant::now();
        let current = Current::from(opening.open().await?);
        Ok(Self(Arc::new(Shared {
            opening,
            patience,
            state: Mutex::new(State {
                current: Ok(current),
                looked,
                looking: false,
            }),
            looks: watch::Sender::new(()),
        })))
    }

    /// The database that the path named within the last second, or why there is none.
    pub(super) async fn current(&self) -> Result<Arc<Database>, OriginError> {
        let mut over = {
            let mut state = self.0.state();
            if state.looked.elapsed() < BETWEEN_LOOKS {
                return state.database();
            }
            // One check serves all loads, and continues if the load that began it is dropped.
            if !state.looking {
                state.looking = true;
                tokio::spawn(Look(Arc::clone(&self.0)).run());
            }
            // Under the lock, without which a check cannot end.
            self.0.looks.subscribe()
        };
        match timeout(self.0.patience, over.changed()).await {
            Ok(_) => self.0.state().database(),
            Err(_) => Err(OriginError::failed(Failure {
                database: self.0.opening.name.clone(),
                reason: format!("not checked and opened within {:?}", self.0.patience),
                source: None,
            })
            .known_as(OriginFault::TimedOut)),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn database(&self) -> Result<Arc<Database>, OriginError> {
        match &self.current {
            Ok(current) => Ok(Arc::clone(&current.database)),
            Err(error) => {
                let fault = match error {
                    OpenError::Open { .. } | OpenError::Unavailable { .. } => {
                        OriginFault::Unreachable
                    }
                    OpenError::Query { .. } => OriginFault::Unusable,
                };
                Err(OriginError::failed(error.clone()).known_as(fault))
            }
        }
    }
}

/// A check in progress. Its drop ends it.
struct Look(Arc<Shared>);

impl Look {
    async fn run(self) {
        let began = Instant::now();
        let known = self.0.state().current.clone();
        let found = self.found(known.as_ref().ok()).await;
        match (&known, &found) {
            (_, Ok(None)) => {}
            (_, Ok(Some(_))) => {
                tracing::info!(database = %self.0.opening.name, "another file: opened again");
            }
            (Ok(_), Err(error)) => tracing::warn!(%error, "the database is lost"),
            (Err(_), Err(error)) => tracing::debug!(%error, "the database is still lost"),
        }
        let old = {
            let mut state = self.0.state();
            state.looked = began;
            match found {
                Ok(None) => None,
                Ok(Some(current)) => Some(std::mem::replace(&mut state.current, Ok(current))),
                Err(error) => Some(std::mem::replace(&mut state.current, Err(error))),
            }
        };
        // Loads in progress have the old database, and end on it.
        drop(old);
    }

    /// The database that is at the path now; `None` if it is the known one.
    async fn found(&self, known: Option<&Current>) -> Result<Option<Current>, OpenError> {
        let opening = &self.0.opening;
        let now = opening.look().await;
        let now = now.map_err(|error| opening.refused(error.to_string()))?;
        if known.is_some_and(|it| it.file.still_is(&now, it.immutable)) {
            return Ok(None);
        }
        opening.open().await.map(|opened| Some(opened.into()))
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.0.state().looking = false;
        self.0.looks.send_replace(());
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Follower").field(&self.0.opening).finish()
    }
}
