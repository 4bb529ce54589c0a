//! `gaggle-node follow-sql`: the statements that set a database up to be followed.

use std::io::{self, Write as _};

use anyhow::{Context as _, bail};
use gaggle_follow_postgres::{notify_sql, replication_sql};

use crate::cli::FollowSqlArgs;
use crate::config::{self, ConfigError, Follow, Loaded};
use crate::node::name_at_source;

/// Prints those of one group, or of all that follow PostgreSQL. Asks no database.
pub(crate) fn run(args: &FollowSqlArgs) -> anyhow::Result<()> {
    let Loaded { config, .. } = config::load(&args.serve)?;
    if let Some(group) = &args.group
        && !config.groups.contains_key(group)
    {
        bail!("no group {group:?} is configured");
    }
    let mut text = String::new();
    for (name, group) in &config.groups {
        if args.group.as_ref().is_some_and(|group| group != name) {
            continue;
        }
        let at_source = name_at_source(&config, name);
        let field = |field: &str| format!("groups.{name}.follow.{field}");
        let table = format!("groups.{name}.origin");
        let origin = group.origin.as_ref().map(|origin| (origin, table.as_str()));
        let refused = |failure| ConfigError::new(format!("groups.{name}.follow"), failure);
        match &group.follow {
            Some(Follow::Postgres(replication)) => {
                let options = replication.options(origin, field)?;
                text.push_str(&replication_sql(&options, &at_source).map_err(refused)?);
            }
            Some(Follow::PostgresNotify(notify)) => {
                let options = notify.options(origin, field)?;
                text.push_str(&notify_sql(&options, &at_source).map_err(refused)?);
            }
            Some(Follow::Files(_)) | None => {}
        }
    }
    if text.is_empty() {
        bail!(
            "no group follows PostgreSQL; expected a table such as [groups.NAME.follow] with kind = \"postgres\""
        );
    }
    write!(io::stdout(), "{text}").context("the statements cannot be printed")
}
