//! Opening a group's origin: the one place that knows the kinds.

use std::sync::Arc;

use gaggle_group::Origin;
use gaggle_origin_files::FilesOrigin;
use gaggle_origin_http::HttpOrigin;
use gaggle_origin_object::ObjectOrigin;
use gaggle_origin_sql::{MysqlOrigin, OpenError, PostgresOrigin, SqliteOrigin};

use crate::config::{self, ConfigError, Group};

pub(super) async fn open(group: &str, config: &Group) -> Result<Arc<dyn Origin>, ConfigError> {
    let table = format!("groups.{group}.origin");
    let field = |field: &str| format!("{table}.{field}");
    let Some(origin) = &config.origin else {
        return Err(ConfigError::new(table, "missing"));
    };
    let refused = |failure: OpenError| {
        let is_transient = matches!(failure, OpenError::Unavailable { .. });
        let failure = ConfigError::new(&*table, failure);
        match is_transient {
            true => failure.transient(),
            false => failure,
        }
    };
    Ok(match origin {
        config::Origin::Sqlite(sqlite) => {
            let opened = SqliteOrigin::open(sqlite.options(config)).await;
            Arc::new(opened.map_err(refused)?)
        }
        config::Origin::Postgres(server) => {
            let opened = PostgresOrigin::open(server.options(config, field)?).await;
            Arc::new(opened.map_err(refused)?)
        }
        config::Origin::Mysql(server) => {
            let opened = MysqlOrigin::open(server.options(config, field)?).await;
            Arc::new(opened.map_err(refused)?)
        }
        config::Origin::Http(http) => Arc::new(
            HttpOrigin::allowing(http.options(), http.allow())
                .map_err(|failure| config::refused(&failure, field))?,
        ),
        config::Origin::Object(object) => Arc::new(
            ObjectOrigin::new(object.options(field)?).map_err(|failure| {
                ConfigError::new(field(&option(failure.field)), failure.reason)
            })?,
        ),
        config::Origin::Files(files) => Arc::new(
            FilesOrigin::open(&files.root)
                .map_err(|failure| ConfigError::new(field("root"), failure))?,
        ),
    })
}

/// The name that an option of the object store has here.
fn option(name: &str) -> String {
    match name {
        "timeout" => "total-timeout".to_owned(),
        other => other.replace('_', "-"),
    }
}
