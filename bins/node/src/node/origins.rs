//! Opening a group's origin: the one place that knows the kinds.

use std::sync::Arc;
use std::time::Duration;

use gaggle_group::Origin;
use gaggle_origin_files::FilesOrigin;
use gaggle_origin_http::{HttpOptions, HttpOrigin};
use gaggle_origin_sql::{SqliteOptions, SqliteOrigin};

use crate::config::{self, ConfigError, Group};

/// How many loads may ask the origin at one time: what is configured, and no more than the connections that a database
/// has. What waits for one of those would wait outside of the group's queue.
pub(super) fn most_loads(config: &Group) -> usize {
    let most = config.max_origin_loads.most;
    match &config.origin {
        Some(config::Origin::Sqlite { .. }) => {
            let connections = SqliteOptions::default().max_connections;
            most.min(usize::try_from(connections).unwrap_or(usize::MAX))
        }
        _ => most,
    }
}

pub(super) async fn open(group: &str, config: &Group) -> Result<Arc<dyn Origin>, ConfigError> {
    let field = |field: &str| format!("groups.{group}.origin{field}");
    let Some(origin) = &config.origin else {
        return Err(ConfigError::new(field(""), "missing"));
    };
    Ok(match origin {
        config::Origin::Sqlite { path, query } => {
            let defaults = SqliteOptions::default();
            let options = SqliteOptions {
                path: path.clone(),
                query: query.clone(),
                // More are of no use than loads may ask at one time.
                max_connections: u32::try_from(config.max_origin_loads.most)
                    .unwrap_or(u32::MAX)
                    .min(defaults.max_connections),
                // As long as a load may wait for its turn: it is one more queue for the same.
                // But opening one takes its time.
                acquire_timeout: config
                    .max_wait
                    .map_or(config.load_timeout.0 / 5, |wait| wait.0)
                    .max(Duration::from_secs(1)),
                ..defaults
            };
            let opened = SqliteOrigin::open(options).await;
            Arc::new(opened.map_err(|failure| ConfigError::new(field(""), failure))?)
        }
        config::Origin::Http { url, idle_timeout } => {
            let options = HttpOptions {
                url: url.clone(),
                idle_timeout: idle_timeout.0,
                ..HttpOptions::default()
            };
            Arc::new(
                HttpOrigin::new(options)
                    .map_err(|failure| ConfigError::new(field(".url"), failure))?,
            )
        }
        config::Origin::Files { root } => Arc::new(
            FilesOrigin::open(root).map_err(|failure| ConfigError::new(field(".root"), failure))?,
        ),
    })
}
