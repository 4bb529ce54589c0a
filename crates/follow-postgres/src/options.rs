//! The options of a feed.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::OptionsError;
use crate::names::TableName;
use crate::template::KeyTemplate;

/// What a [`ReplicationFeed`](crate::ReplicationFeed) follows, and how.
///
/// `Debug` shows neither the URL nor the password.
#[derive(Clone)]
pub struct ReplicationOptions {
    /// `postgres://user:password@host:port/database?sslmode=verify-full`. The parameters are those
    /// of `libpq` that the crate's documentation lists.
    pub url: String,
    /// A password in place of the URL's.
    pub password: Option<String>,
    /// A file with the password, in place of [`password`](Self::password) and the URL's. It is
    /// read at each connect, so that a password that is replaced needs no restart. One line break
    /// at its end is left out. It has 64 KiB at most.
    pub password_file: Option<PathBuf>,
    /// A file of certificates in PEM: the authorities that the server's certificate must come
    /// from. With it, `sslmode` is `verify-full` unless the URL says otherwise.
    pub ca: Option<PathBuf>,
    /// The publication that names the tables. By default (empty) `gaggle_` and the group's name,
    /// like the slot. Several groups can share one that is named here.
    pub publication: String,
    /// The replication slot: up to 63 lower-case letters, digits and underscores. By default
    /// (empty) `gaggle_` and the group's name, with characters that are not allowed replaced. Two
    /// groups cannot share one, and neither can two clusters that follow one database.
    pub slot: String,
    /// The tables that are followed. Other tables of the publication are ignored.
    pub tables: Vec<TableMap>,
    /// Whether a slot is created if it does not exist or was lost. `true` by default.
    pub create_slot: bool,
    /// The most changes in a batch: 1,024 by default. A batch also has at most 256 KiB of keys and
    /// values, unless one is longer.
    pub max_batch: usize,
    /// The longest change of a row that is read, in bytes of both rows' text: 64 MiB by default,
    /// and never less than 128 KiB. A longer one of a followed table counts as a change of
    /// everything.
    pub max_row: usize,
    /// How often the feed reports to the server that it is alive: 10 seconds by default. It is
    /// never more than a third of the server's `wal_sender_timeout`.
    pub status_interval: Duration,
    /// After how long without a message the server counts as down: 60 seconds by default, and
    /// never less than three times `status_interval`. A server that decodes a large transaction
    /// can be silent for half its `wal_sender_timeout`.
    pub silence_timeout: Duration,
    /// How long connecting and logging in may take: 10 seconds by default.
    pub connect_timeout: Duration,
}

impl Default for ReplicationOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            password: None,
            password_file: None,
            ca: None,
            publication: String::new(),
            slot: String::new(),
            tables: Vec::new(),
            create_slot: true,
            max_batch: 1024,
            max_row: 64 << 20,
            status_interval: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for ReplicationOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicationOptions")
            .field("url", &Masked)
            .field("password", &self.password.as_ref().map(|_| Masked))
            .field("password_file", &self.password_file)
            .field("ca", &self.ca)
            .field("publication", &self.publication)
            .field("slot", &self.slot)
            .field("tables", &self.tables)
            .field("create_slot", &self.create_slot)
            .field("max_batch", &self.max_batch)
            .field("max_row", &self.max_row)
            .field("status_interval", &self.status_interval)
            .field("silence_timeout", &self.silence_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish()
    }
}

/// What a [`NotifyFeed`](crate::NotifyFeed) listens to, and how.
///
/// `Debug` shows neither the URL nor the password.
#[derive(Clone)]
pub struct NotifyOptions {
    /// As [`ReplicationOptions::url`].
    pub url: String,
    /// A password in place of the URL's.
    pub password: Option<String>,
    /// A file with the password, in place of [`password`](Self::password) and the URL's. It is
    /// read at each connect, so that a password that is replaced needs no restart. One line break
    /// at its end is left out. It has 64 KiB at most.
    pub password_file: Option<PathBuf>,
    /// As [`ReplicationOptions::ca`].
    pub ca: Option<PathBuf>,
    /// The channel, of 1 to 63 bytes. By default (empty) `gaggle_` and the group's name, made like
    /// the name of a slot.
    pub channel: String,
    /// The tables whose triggers [`notify_sql`](crate::notify_sql) prints. Following does not need
    /// them, since a notice contains its key.
    pub tables: Vec<TableMap>,
    /// The most changes in a batch: 1,024 by default.
    pub max_batch: usize,
    /// How often an idle connection is checked: 10 seconds by default.
    pub check_interval: Duration,
    /// How long the server may take to answer that: 10 seconds by default.
    pub check_timeout: Duration,
    /// How long connecting and logging in may take: 10 seconds by default.
    pub connect_timeout: Duration,
}

impl Default for NotifyOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            password: None,
            password_file: None,
            ca: None,
            channel: String::new(),
            tables: Vec::new(),
            max_batch: 1024,
            check_interval: Duration::from_secs(10),
            check_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for NotifyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyOptions")
            .field("url", &Masked)
            .field("password", &self.password.as_ref().map(|_| Masked))
            .field("password_file", &self.password_file)
            .field("ca", &self.ca)
            .field("channel", &self.channel)
            .field("tables", &self.tables)
            .field("max_batch", &self.max_batch)
            .field("check_interval", &self.check_interval)
            .field("check_timeout", &self.check_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish()
    }
}

/// How the rows of a table become keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableMap {
    /// `schema.table`, or `table`, which is in `public`. Upper and lower case are as in the
    /// server's catalog.
    pub table: String,
    /// The key of a row: text with columns in braces, such as `{id}`, `user:{id}` or
    /// `{tenant}/{id}`. `{{` and `}}` stand for braces. A column is written as the type's output
    /// function writes it: times in UTC and ISO 8601, `bool` as `t` and `f`, `inet` of a single
    /// host without a mask, `char(n)` without the blanks at its end. Replication has `bytea` as
    /// its bytes. A row in which one of the columns is `NULL` has no key.
    pub key: String,
    /// The column that is the key's value. With it, inserts and updates carry the new value, in
    /// the form of `column::text` (`bool` as `true` and `false`, `inet` with its mask), or the
    /// bytes of a `bytea`. Without it, the key is removed.
    pub payload: Option<String>,
}

impl TableMap {
    /// Without a payload.
    pub fn new(table: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            key: key.into(),
            payload: None,
        }
    }

    /// With the column that is the key's value.
    #[must_use]
    pub fn with_payload(mut self, column: impl Into<String>) -> Self {
        self.payload = Some(column.into());
        self
    }
}

/// A [`TableMap`] after parsing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: TableName,
    pub(crate) key: KeyTemplate,
    pub(crate) payload: Option<String>,
}

pub(crate) fn tables(maps: &[TableMap]) -> Result<Vec<Table>, OptionsError> {
    if maps.is_empty() {
        return Err(OptionsError::new("tables", "there is none to be followed"));
    }
    let mut tables: Vec<Table> = Vec::with_capacity(maps.len());
    for map in maps {
        let name = TableName::parse(&map.table)?;
        let of = |what: &str| format!("{what} of table {:?}", map.table);
        let key = KeyTemplate::parse(&map.key)
            .map_err(|problem| OptionsError::new(of("key"), problem))?;
        if let Some(payload) = &map.payload {
            crate::names::check(&of("payload"), payload)?;
        }
        if tables.iter().any(|other| other.name == name) {
            return Err(OptionsError::new(
                format!("table {:?}", map.table),
                "it is named twice",
            ));
        }
        tables.push(Table {
            name,
            key,
            payload: map.payload.clone(),
        });
    }
    Ok(tables)
}

struct Masked;

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MASKED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let replication = ReplicationOptions {
            url: "postgres://me:secret@host/app".into(),
            password: Some("secret".into()),
            ..ReplicationOptions::default()
        };
        let notify = NotifyOptions {
            url: replication.url.clone(),
            password: replication.password.clone(),
            ..NotifyOptions::default()
        };
        let all = format!("{replication:?} {notify:?}");
        assert!(!all.contains("secret") && all.contains("MASKED"), "{all}");
    }

    #[test]
    fn a_table_is_named_once() {
        let maps = [
            TableMap::new("players", "{id}"),
            TableMap::new("public.players", "x{id}"),
        ];
        assert!(tables(&maps).is_err());
        assert!(tables(&maps[..1]).is_ok());
        assert!(tables(&[]).is_err());
    }
}
