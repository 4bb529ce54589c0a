//! A SQLite database.

use std::path::PathBuf;
use std::time::Duration;

use gaggle_origin_sql::SqliteOptions;
use serde::{Deserialize, Serialize};

use super::KeyType;
use crate::config::{ConfigError, Group, Span, bounds};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Sqlite {
    pub(crate) path: PathBuf,
    pub(crate) query: String,
    pub(crate) key_type: KeyType,
    pub(crate) read_only: bool,
    /// The most connections, each with a thread.
    pub(crate) max_connections: u32,
    /// How long a load waits for one of them; by default as long as it may wait for its turn, and
    /// at least 1 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acquire_timeout: Option<Span>,
    /// How long a statement waits for a writer's lock.
    pub(crate) busy_timeout: Span,
}

impl Default for Sqlite {
    fn default() -> Self {
        let options = SqliteOptions::default();
        Self {
            path: options.path,
            query: options.query,
            key_type: KeyType::default(),
            read_only: options.read_only,
            max_connections: options.max_connections,
            acquire_timeout: None,
            busy_timeout: Span(options.busy_timeout),
        }
    }
}

impl Sqlite {
    /// How to open it for that group.
    pub(crate) fn options(&self, group: &Group) -> SqliteOptions {
        SqliteOptions {
            path: self.path.clone(),
            query: self.query.clone(),
            key_type: self.key_type.into(),
            read_only: self.read_only,
            // More connections than loads may ask at one time are useless.
            max_connections: u32::try_from(group.max_origin_loads.most)
                .unwrap_or(u32::MAX)
                .min(self.max_connections),
            acquire_timeout: self.acquire_timeout(group),
            busy_timeout: self.busy_timeout.0,
        }
    }

    /// As long as a load may wait for its turn: this is one more queue for the same load. At least
    /// a second, since opening a connection takes time.
    fn acquire_timeout(&self, group: &Group) -> Duration {
        let turn = group.limits().wait_for_origin();
        self.acquire_timeout
            .map_or(turn.max(Duration::from_secs(1)), |timeout| timeout.0)
    }
}

impl Sqlite {
    pub(super) fn validate(&self, field: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        for (name, missing) in [
            ("path", self.path.as_os_str().is_empty()),
            ("query", self.query.is_empty()),
        ] {
            if missing {
                return Err(ConfigError::new(field(name), "missing"));
            }
        }
        bounds::some(&field("max-connections"), self.max_connections)?;
        if let Some(timeout) = self.acquire_timeout {
            bounds::timeout(&field("acquire-timeout"), timeout)?;
        }
        bounds::at_most_a_day(&field("busy-timeout"), self.busy_timeout)
    }
}
