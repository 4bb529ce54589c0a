//! The differences of two configurations, and which of them can change while a node runs.
//!
//! They are compared as they are written, field by field. A field that is not listed here cannot
//! change: so a new field is refused, and not ignored, until it is listed.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::config::{Config, ConfigError, Group, Origin};

/// The fields that can change while the node runs; `*` is any name. [`Running`](super::Running)
/// changes each of them.
const CAN_CHANGE: [&str; 28] = [
    "node.log-level",
    "node.max-in-flight",
    "cluster.peers",
    // The token may change, but not whether there is one.
    "security.token",
    "security.token-file",
    // Only the check of the configuration uses it.
    "security.insecure",
    "groups.*.capacity",
    "groups.*.load-timeout",
    "groups.*.max-key",
    "groups.*.max-value",
    "groups.*.max-origin-loads",
    "groups.*.max-wait",
    "groups.*.origin-grace",
    "groups.*.circuit-breaker",
    "groups.*.max-loads",
    "groups.*.retry-after",
    "groups.*.hot-copies",
    "groups.*.hot-ttl",
    "groups.*.stand-in-ttl",
    "groups.*.hand-over-timeout",
    "groups.*.removal-timeout",
    "groups.*.ttl",
    "groups.*.ttl-jitter",
    "groups.*.stale-while-revalidate",
    "groups.*.stale-if-error",
    "groups.*.negative-ttl",
    "groups.*.refresh-ahead",
    "groups.*.freshness",
];

/// The names of a field and of the tables around it, outermost first.
type Path = Vec<String>;

/// The fields in which two configurations differ. A table that only one of them has counts as one
/// field.
pub(super) struct Changes(Vec<Path>);

impl Changes {
    pub(super) fn between(old: &Config, new: &Config) -> Result<Self, ConfigError> {
        let table = |config: &Config| {
            Table::try_from(config)
                .map_err(|failure| ConfigError::new("the configuration", failure))
        };
        let mut found = Vec::new();
        compare(&table(old)?, &table(new)?, &mut Path::new(), &mut found);
        Ok(Self(found))
    }

    pub(super) fn have(&self, field: &str) -> bool {
        self.0.iter().any(|path| is_like(path, field))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|path| path.join(".")).collect()
    }

    /// The first field that cannot change in a node that was `started` with this configuration,
    /// and how many more there are.
    pub(super) fn refused(&self, started: &Config, new: &Config) -> Option<ConfigError> {
        let refused = |path: &Path| Some((path.join("."), obstacle(path, started, new)?));
        let mut refused = self.0.iter().filter_map(refused);
        let (field, obstacle) = refused.next()?;
        let restart = match refused.count() {
            0 => "restart it for this".to_owned(),
            1 => "restart it for this and 1 more field".to_owned(),
            more => format!("restart it for this and {more} more fields"),
        };
        Some(ConfigError::new(field, format!("{obstacle}; {restart}")))
    }
}

fn compare(old: &Table, new: &Table, path: &mut Path, found: &mut Vec<Path>) {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let is_other = |name: &str| old.get(name) != new.get(name);
    // With another kind all other fields differ, too.
    let kind = names.iter().find(|name| **name == "kind" && is_other(name));
    for name in kind.map_or(names.clone(), |kind| [*kind].into()) {
        path.push(name.clone());
        match (old.get(name), new.get(name)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => compare(old, new, path, found),
            (old, new) if old != new => found.push(path.clone()),
            _ => {}
        }
        path.pop();
    }
}

fn is_like(path: &[String], pattern: &str) -> bool {
    let pattern: Vec<_> = pattern.split('.').collect();
    let mut pairs = path.iter().zip(&pattern);
    path.len() == pattern.len() && pairs.all(|(name, like)| *like == "*" || name == like)
}

/// Why a field cannot change to what it is in `new`; `None` if it can.
fn obstacle(path: &Path, started: &Config, new: &Config) -> Option<String> {
    let names: Vec<_> = path.iter().map(String::as_str).collect();
    match names[..] {
        ["groups", _] => Some("no group comes or goes while the node runs".into()),
        // The check for it is a part of the ports.
        ["security", "token" | "token-file"]
            if !(started.security.has_token() && new.security.has_token()) =>
        {
            Some("whether there is a token cannot change while the node runs".into())
        }
        ["groups", group, "hot-ttl"] => longer_copies(started, new.groups.get(group)?),
        ["groups", group, "max-origin-loads"] => {
            more_connections(started.groups.get(group)?, new.groups.get(group)?)
        }
        _ if CAN_CHANGE.iter().any(|like| is_like(path, like)) => None,
        _ => Some("cannot change while the node runs".into()),
    }
}

/// Copies must not live longer than their owner remembers the nodes that may have some: these
/// would not be notified of a removal.
fn longer_copies(started: &Config, new: &Group) -> Option<String> {
    let most = started.peers_options().remember_for;
    let is_longer = new.hot_ttl.0 > most;
    is_longer.then(|| {
        format!("copies would outlive the {most:?} for which this node remembers others since it was started")
    })
}

/// A database is opened with no more connections than loads may ask at one time.
fn more_connections(started: &Group, new: &Group) -> Option<String> {
    let connections = |group: &Group| match (&started.origin, &group.origin) {
        (Some(Origin::Sqlite(_)), Some(Origin::Sqlite(sqlite))) => {
            Some(sqlite.options(group).max_connections)
        }
        (Some(Origin::Postgres(_)), Some(Origin::Postgres(server)))
        | (Some(Origin::Mysql(_)), Some(Origin::Mysql(server))) => Some(server.connections(group)),
        _ => None,
    };
    let (opened, wanted) = (connections(started)?, connections(new)?);
    (wanted > opened)
        .then(|| format!("the database was opened with {opened} connections, one for each load"))
}

#[cfg(test)]
mod tests;
