//! What a group loads from, by `kind`.

mod http;
mod object;
mod server;
mod sqlite;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

pub(crate) use http::{Batch, Http, refused};
pub(crate) use object::Object;
pub(crate) use server::Server;
pub(super) use server::check_credentials;
pub(crate) use sqlite::Sqlite;

/// The `origin` table of a group. `kind` chooses the variant, and each variant refuses the fields
/// of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Origin {
    Sqlite(Sqlite),
    Postgres(Server),
    Mysql(Server),
    Http(Http),
    Object(Object),
    Files(Files),
}

/// The values of `kind`.
const KINDS: [&str; 6] = ["sqlite", "postgres", "mysql", "http", "object", "files"];

/// The type as which a key is bound in the query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyType {
    #[default]
    Text,
    Blob,
}

impl From<KeyType> for gaggle_origin_sql::KeyType {
    fn from(key_type: KeyType) -> Self {
        match key_type {
            KeyType::Text => Self::Text,
            KeyType::Blob => Self::Blob,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Files {
    pub(crate) root: PathBuf,
}

impl Origin {
    /// The kinds that there are, as text for a message.
    pub(super) fn kinds() -> String {
        let [others @ .., last] = KINDS;
        let others: Vec<_> = others.iter().map(|kind| format!("{kind:?}")).collect();
        format!("{} or {last:?}", others.join(", "))
    }

    /// Checks that need no connection. `table` is its place in the configuration.
    pub(super) fn validate(&self, table: &str) -> Result<(), ConfigError> {
        let field = |field: &str| format!("{table}.{field}");
        match self {
            Self::Sqlite(sqlite) => sqlite.validate(field),
            Self::Postgres(server) | Self::Mysql(server) => server.validate(field),
            Self::Http(http) => http.validate(field),
            Self::Object(object) => object.validate(field),
            Self::Files(files) if files.root.as_os_str().is_empty() => {
                Err(ConfigError::new(field("root"), "missing"))
            }
            Self::Files(_) => Ok(()),
        }
    }

    /// Masks what must not be printed.
    pub(super) fn mask(&mut self) {
        match self {
            Self::Postgres(server) | Self::Mysql(server) => server.mask(),
            Self::Http(http) => http.mask(),
            Self::Object(object) => object.mask(),
            Self::Sqlite(_) | Self::Files(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
