//! Opening a group's origin: the one place that knows the kinds.

use std::sync::Arc;

use gaggle_group::Origin;
use gaggle_origin_files::FilesOrigin;
use gaggle_origin_http::HttpOrigin;
use gaggle_origin_sql::SqliteOrigin;

use crate::config::{self, ConfigError, Group};

pub(super) async fn open(group: &str, config: &Group) -> Result<Arc<dyn Origin>, ConfigError> {
    let field = |field: &str| format!("groups.{group}.origin{field}");
    let Some(origin) = &config.origin else {
        return Err(ConfigError::new(field(""), "missing"));
    };
    Ok(match origin {
        config::Origin::Sqlite(sqlite) => {
            let opened = SqliteOrigin::open(sqlite.options(config)).await;
            Arc::new(opened.map_err(|failure| ConfigError::new(field(""), failure))?)
        }
        config::Origin::Http(http) => Arc::new(
            HttpOrigin::allowing(http.options(), http.allow())
                .map_err(|failure| ConfigError::new(field(".url"), failure))?,
        ),
        config::Origin::Files(files) => Arc::new(
            FilesOrigin::open(&files.root)
                .map_err(|failure| ConfigError::new(field(".root"), failure))?,
        ),
    })
}
