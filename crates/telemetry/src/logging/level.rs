//! Which lines are written, as something that can change.

use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::{self, Handle};

use super::LogError;

/// Changes the filter of one log. Its type names all that the log is made of, which is no matter
/// to who changes it.
#[derive(Clone)]
pub(super) struct Level(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Level {
    pub(super) fn of<S: 'static>(handle: Handle<EnvFilter, S>) -> Self {
        Self(Arc::new(move |filter| handle.reload(filter)))
    }

    pub(super) fn set(&self, filter: EnvFilter) -> Result<(), LogError> {
        (self.0)(filter).map_err(|gone| LogError::Ended {
            reason: gone.to_string(),
        })
    }
}
