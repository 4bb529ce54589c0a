//! The sources of a group's changes, by `kind`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use gaggle_follow_postgres::{NotifyOptions, ReplicationOptions, TableMap};
use serde::{Deserialize, Serialize};

use super::origin::check_credentials;
use super::secret::{Secret, read_file};
use super::units::Size;
use super::{ConfigError, Origin, Span, bounds, mask};

/// The bound of [`gaggle_follow_postgres`], which it checks only when it starts.
const SHORTEST_STATUS_INTERVAL: Duration = Duration::from_millis(10);

/// The `follow` table of a group. `kind` chooses the variant, and each variant refuses the fields
/// of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Follow {
    Postgres(Replication),
    PostgresNotify(Notify),
    Files(Watch),
}

/// A database, and how to log in. Without a URL it is that of the group's origin, with its
/// password and authorities.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) password: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Replication {
    /// The URL of a user who may replicate. By default the origin's, if that is PostgreSQL.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// By default the default name of the slot.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) publication: String,
    /// By default `gaggle_` and the group's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) slot: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) create_slot: bool,
    /// The most changes that are taken at a time.
    pub(crate) max_batch: usize,
    /// The longest change of a row that is read.
    pub(crate) max_row: Size,
    pub(crate) status_interval: Span,
    pub(crate) silence_timeout: Span,
    pub(crate) connect_timeout: Span,
}

impl Default for Replication {
    fn default() -> Self {
        let options = ReplicationOptions::default();
        Self {
            url: options.url,
            url_file: None,
            password: None,
            password_file: None,
            ca: options.ca,
            publication: options.publication,
            slot: options.slot,
            tables: Vec::new(),
            create_slot: options.create_slot,
            max_batch: options.max_batch,
            max_row: options.max_row.into(),
            status_interval: Span(options.status_interval),
            silence_timeout: Span(options.silence_timeout),
            connect_timeout: Span(options.connect_timeout),
        }
    }
}

/// How the rows of a table become keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Table {
    pub(crate) table: String,
    /// With columns in braces.
    pub(crate) key: String,
    /// The column that is the key's value: it is kept instead of the key being removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<String>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Notify {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// By default `gaggle_` and the group's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) channel: String,
    /// For which `follow-sql` prints triggers.
    pub(crate) tables: Vec<Table>,
    pub(crate) max_batch: usize,
    /// How often a silent connection is tried.
    pub(crate) check_interval: Span,
    pub(crate) check_timeout: Span,
    pub(crate) connect_timeout: Span,
}

impl Default for Notify {
    fn default() -> Self {
        let options = NotifyOptions::default();
        Self {
            url: options.url,
            url_file: None,
            password: None,
            password_file: None,
            ca: options.ca,
            channel: options.channel,
            tables: Vec::new(),
            max_batch: options.max_batch,
            check_interval: Span(options.check_interval),
            check_timeout: Span(options.check_timeout),
            connect_timeout: Span(options.connect_timeout),
        }
    }
}

/// A directory tree that is watched.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Watch {
    /// By default the origin's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<PathBuf>,
    /// Whether each node watches its own tree, instead of one node a tree that all share.
    pub(crate) everywhere: bool,
}

macro_rules! masked_debug {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("url", &mask::url(&self.url))
                    .field("tables", &self.tables)
                    .finish_non_exhaustive()
            }
        }
    };
}
masked_debug!(Replication);
masked_debug!(Notify);

impl Replication {
    /// How to follow. Reads the files; `field` names one in an error.
    pub(crate) fn options(
        &self,
        origin: Option<(&Origin, &str)>,
        field: impl Fn(&str) -> String,
    ) -> Result<ReplicationOptions, ConfigError> {
        let given = Given {
            url: &self.url,
            url_file: &self.url_file,
            password: &self.password,
            password_file: &self.password_file,
            ca: &self.ca,
        };
        let Server {
            url,
            password,
            password_file,
            ca,
        } = given.server(origin, field)?;
        Ok(ReplicationOptions {
            url,
            password,
            password_file,
            ca,
            publication: self.publication.clone(),
            slot: self.slot.clone(),
            tables: self.tables.iter().map(TableMap::from).collect(),
            create_slot: self.create_slot,
            max_batch: self.max_batch,
            max_row: self.max_row.length(),
            status_interval: self.status_interval.0,
            silence_timeout: self.silence_timeout.0,
            connect_timeout: self.connect_timeout.0,
        })
    }
}

impl Notify {
    /// As [`Replication::options`].
    pub(crate) fn options(
        &self,
        origin: Option<(&Origin, &str)>,
        field: impl Fn(&str) -> String,
    ) -> Result<NotifyOptions, ConfigError> {
        let given = Given {
            url: &self.url,
            url_file: &self.url_file,
            password: &self.password,
            password_file: &self.password_file,
            ca: &self.ca,
        };
        let Server {
            url,
            password,
            password_file,
            ca,
        } = given.server(origin, field)?;
        Ok(NotifyOptions {
            url,
            password,
            password_file,
            ca,
            channel: self.channel.clone(),
            tables: self.tables.iter().map(TableMap::from).collect(),
            max_batch: self.max_batch,
            check_interval: self.check_interval.0,
            check_timeout: self.check_timeout.0,
            connect_timeout: self.connect_timeout.0,
        })
    }
}

impl From<&Table> for TableMap {
    fn from(table: &Table) -> Self {
        let map = Self::new(&table.table, &table.key);
        match &table.payload {
            Some(payload) => map.with_payload(payload),
            None => map,
        }
    }
}

fn revealed(secret: &Secret) -> String {
    secret.reveal().to_owned()
}

/// The fields that both kinds of PostgreSQL have.
struct Given<'a> {
    url: &'a String,
    url_file: &'a Option<PathBuf>,
    password: &'a Option<Secret>,
    password_file: &'a Option<PathBuf>,
    ca: &'a Option<PathBuf>,
}

impl Given<'_> {
    fn has_url(&self) -> bool {
        !self.url.is_empty() || self.url_file.is_some()
    }

    /// `origin` comes with the name of its table.
    fn server(
        &self,
        origin: Option<(&Origin, &str)>,
        field: impl Fn(&str) -> String,
    ) -> Result<Server, ConfigError> {
        let of_origin = match origin {
            Some((Origin::Postgres(server), table)) if !self.has_url() => {
                let field = |name: &str| format!("{table}.{name}");
                Server {
                    url: server.url(field)?,
                    password: server.password.as_ref().map(revealed),
                    password_file: server.password_file.clone(),
                    ca: server.ca.clone(),
                }
            }
            _ => Server::default(),
        };
        let url = match self.url_file {
            Some(path) => read_file(&field("url-file"), path)?,
            None if self.url.is_empty() => of_origin.url,
            None => self.url.clone(),
        };
        if let Some(path) = self.password_file {
            // It is read at each connection. It is read here to check that it can be.
            read_file(&field("password-file"), path)?;
        }
        let has_password = self.password.is_some() || self.password_file.is_some();
        let (password, password_file) = if has_password {
            let password = self.password.as_ref().map(revealed);
            (password, self.password_file.clone())
        } else {
            (of_origin.password, of_origin.password_file)
        };
        Ok(Server {
            url,
            password,
            password_file,
            ca: self.ca.clone().or(of_origin.ca),
        })
    }

    fn validate(
        &self,
        origin: Option<&Origin>,
        field: impl Fn(&str) -> String,
    ) -> Result<(), ConfigError> {
        let two_passwords = self.password.is_some() && self.password_file.is_some();
        let has_url = self.has_url() || matches!(origin, Some(Origin::Postgres(_)));
        check_credentials(
            field,
            if has_url && !self.has_url() {
                "of the origin"
            } else {
                self.url
            },
            self.url_file.is_some(),
            two_passwords,
        )
    }
}

impl Follow {
    /// Checks that need no connection. `table` is its place in the configuration.
    pub(super) fn validate(&self, table: &str, origin: Option<&Origin>) -> Result<(), ConfigError> {
        let field = |field: &str| format!("{table}.{field}");
        match self {
            Self::Postgres(replication) => {
                let given = Given {
                    url: &replication.url,
                    url_file: &replication.url_file,
                    password: &replication.password,
                    password_file: &replication.password_file,
                    ca: &replication.ca,
                };
                given.validate(origin, field)?;
                check_tables(&replication.tables, field)?;
                bounds::some(&field("max-batch"), replication.max_batch)?;
                bounds::at_least(
                    &field("status-interval"),
                    replication.status_interval,
                    SHORTEST_STATUS_INTERVAL,
                )?;
                bounds::timeout(&field("status-interval"), replication.status_interval)?;
                bounds::timeout(&field("silence-timeout"), replication.silence_timeout)?;
                bounds::timeout(&field("connect-timeout"), replication.connect_timeout)
            }
            Self::PostgresNotify(notify) => {
                let given = Given {
                    url: &notify.url,
                    url_file: &notify.url_file,
                    password: &notify.password,
                    password_file: &notify.password_file,
                    ca: &notify.ca,
                };
                given.validate(origin, field)?;
                if notify.tables.iter().any(|table| table.payload.is_some()) {
                    let problem = "a notice brings no value; only kind = \"postgres\" does";
                    return Err(ConfigError::new(field("tables"), problem));
                }
                bounds::some(&field("max-batch"), notify.max_batch)?;
                bounds::period(&field("check-interval"), notify.check_interval)?;
                bounds::timeout(&field("check-timeout"), notify.check_timeout)?;
                bounds::timeout(&field("connect-timeout"), notify.connect_timeout)
            }
            Self::Files(watch) => {
                if watch.root.is_none() && !matches!(origin, Some(Origin::Files(_))) {
                    let problem = "missing, as the origin is not of kind \"files\"";
                    return Err(ConfigError::new(field("root"), problem));
                }
                Ok(())
            }
        }
    }

    /// Masks what must not be printed.
    pub(super) fn mask(&mut self) {
        let (url, password) = match self {
            Self::Postgres(replication) => (&mut replication.url, &mut replication.password),
            Self::PostgresNotify(notify) => (&mut notify.url, &mut notify.password),
            Self::Files(_) => return,
        };
        *url = mask::url(url);
        if let Some(password) = password {
            *password = Secret::masked();
        }
    }
}

fn check_tables(tables: &[Table], field: impl Fn(&str) -> String) -> Result<(), ConfigError> {
    let missing = |problem: &str| Err(ConfigError::new(field("tables"), problem));
    if tables.is_empty() {
        return missing("missing; expected such as [{ table = \"users\", key = \"{id}\" }]");
    }
    if tables
        .iter()
        .any(|table| table.table.is_empty() || table.key.is_empty())
    {
        return missing(
            "each needs a table and a key, such as { table = \"users\", key = \"{id}\" }",
        );
    }
    Ok(())
}
