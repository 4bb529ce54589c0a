//! The configuration as it is printed.

use std::fmt::Write as _;

use toml::de::{DeTable, DeValue};

use super::secret::Secret;
use super::sources::{Path, Sources};
use super::{Config, ConfigError, Origin, mask, one_line};

impl Config {
    /// The same with the fields that follow from others unless they are given.
    pub(super) fn spelled_out(&self) -> Result<Self, ConfigError> {
        let mut config = self.clone();
        config.node.drain_delay = Some(config.node.drain().delay.into());
        config.cluster.client = config.cluster.client_spelled_out()?;
        for group in config.groups.values_mut() {
            let turn = group.limits().wait_for_origin();
            group.max_wait.get_or_insert_with(|| turn.into());
            let as_it_is = group.clone();
            match &mut group.origin {
                Some(Origin::Sqlite(sqlite)) => {
                    let waits = sqlite.options(&as_it_is).acquire_timeout;
                    sqlite.acquire_timeout.get_or_insert_with(|| waits.into());
                }
                Some(Origin::Postgres(server) | Origin::Mysql(server)) => {
                    let waits = server.acquire_timeout(&as_it_is);
                    let works = server.statement_timeout(&as_it_is);
                    server.acquire_timeout.get_or_insert_with(|| waits.into());
                    server.statement_timeout.get_or_insert_with(|| works.into());
                }
                _ => {}
            }
        }
        Ok(config)
    }

    /// The configuration without its secrets: for printing only.
    pub(super) fn without_secrets(mut self) -> Self {
        for group in self.groups.values_mut() {
            if let Some(origin) = &mut group.origin {
                origin.mask();
            }
            if let Some(follow) = &mut group.follow {
                follow.mask();
            }
        }
        if let Some(endpoint) = &mut self.tracing.endpoint {
            *endpoint = mask::url(endpoint);
        }
        if let Some(token) = &mut self.security.token {
            *token = Secret::masked();
        }
        self
    }

    /// The configuration as a file that would produce it, secrets masked.
    pub(crate) fn masked(&self) -> Result<String, ConfigError> {
        toml::to_string(&self.spelled_out()?.without_secrets())
            .map_err(|failure| ConfigError::new("the configuration", failure))
    }

    /// [`masked`](Self::masked), with a comment after each value that differs from its default:
    /// where it was set.
    pub(crate) fn annotated(&self, sources: &Sources) -> Result<String, ConfigError> {
        let text = self.masked()?;
        let parsed = DeTable::parse(&text)
            .map_err(|failure| ConfigError::new("the configuration", failure.message()))?;
        let mut ends = Vec::new();
        ends_of(parsed.get_ref(), &mut Vec::new(), &mut ends);
        ends.sort_unstable_by_key(|(_, end)| *end);
        let mut printed = String::with_capacity(text.len() * 2);
        let mut from = 0;
        for (path, end) in ends {
            let Some(source) = sources.of(&path) else {
                continue;
            };
            let line = text.get(end..).and_then(|rest| rest.find('\n'));
            let end = line.map_or(text.len(), |line| end + line);
            printed.push_str(text.get(from..end).unwrap_or_default());
            // A file's name may hold anything, and a comment ends with its line. Writing to a
            // string cannot fail.
            let _ = write!(printed, "  # {}", one_line(&source.to_string()));
            from = end;
        }
        printed.push_str(text.get(from..).unwrap_or_default());
        Ok(printed)
    }
}

/// The values of a table that are not tables, each with the offset of its end.
fn ends_of(table: &DeTable<'_>, path: &mut Path, ends: &mut Vec<(Path, usize)>) {
    for (name, value) in table {
        path.push(name.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => ends_of(inner, path, ends),
            _ => ends.push((path.clone(), value.span().end)),
        }
        path.pop();
    }
}
