//! Opening a group's origin: the one place that knows the kinds.

use std::sync::Arc;

use gaggle_group::Origin;
use gaggle_origin_files::FilesOrigin;
use gaggle_origin_http::{HttpOptions, HttpOrigin};
use gaggle_origin_sql::{SqliteOptions, SqliteOrigin};

use crate::config::{self, ConfigError, Group};

pub(super) async fn open(group: &str, config: &Group) -> Result<Arc<dyn Origin>, ConfigError> {
    let field = |field: &str| format!("groups.{group}.origin{field}");
    let Some(origin) = &config.origin else {
        return Err(ConfigError::new(field(""), "missing"));
    };
    Ok(match origin {
        config::Origin::Sqlite { path, query } => {
            let options = SqliteOptions {
                path: path.clone(),
                query: query.clone(),
                // A load waits no longer than its group allows.
                acquire_timeout: config.load_timeout.0,
                ..SqliteOptions::default()
            };
            let opened = SqliteOrigin::open(options).await;
            Arc::new(opened.map_err(|failure| ConfigError::new(field(""), failure))?)
        }
        config::Origin::Http { url } => {
            let options = HttpOptions {
                url: url.clone(),
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
