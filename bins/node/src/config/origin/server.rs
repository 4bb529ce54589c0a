//! A database behind a network: PostgreSQL, MySQL and MariaDB.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use gaggle_origin_sql::ServerOptions;
use serde::{Deserialize, Serialize};

use super::KeyType;
use crate::config::secret::{Secret, read_file};
use crate::config::{ConfigError, Group, Span, bounds, mask};

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Server {
    /// With the user, and the password unless that comes from elsewhere.
    pub(crate) url: String,
    /// A file that holds the URL, in place of `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url_file: Option<PathBuf>,
    /// In place of the URL's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<Secret>,
    /// A file that holds the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<PathBuf>,
    /// URLs of servers with copies of the database, from which to load.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) replicas: Vec<String>,
    pub(crate) query: String,
    pub(crate) key_type: KeyType,
    /// The most connections to each server.
    pub(crate) max_connections: u32,
    /// How long a load waits for one of them; by default as long as it may wait for its turn, and
    /// at least 1 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acquire_timeout: Option<Span>,
    pub(crate) connect_timeout: Span,
    /// How long the server works on a statement; by default as long as a load may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) statement_timeout: Option<Span>,
    pub(crate) idle_timeout: Span,
    pub(crate) max_lifetime: Span,
    /// The most keys that one statement looks up; 1 looks up each by itself.
    pub(crate) max_batch: usize,
    /// Whether the sessions can only read.
    pub(crate) read_only: bool,
    /// Authorities that are trusted beside the public ones: a file in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
}

impl Default for Server {
    fn default() -> Self {
        let options = ServerOptions::default();
        Self {
            url: options.url,
            url_file: None,
            password: None,
            password_file: None,
            replicas: options.replicas,
            query: options.query,
            key_type: KeyType::default(),
            max_connections: options.max_connections,
            acquire_timeout: None,
            connect_timeout: Span(options.connect_timeout),
            statement_timeout: None,
            idle_timeout: Span(options.idle_timeout),
            max_lifetime: Span(options.max_lifetime),
            max_batch: options.max_batch,
            read_only: options.read_only,
            ca: options.ca_file,
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &mask::url(&self.url))
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// How to open it for that group. Reads the files; `field` names one in an error.
    pub(crate) fn options(
        &self,
        group: &Group,
        field: impl Fn(&str) -> String,
    ) -> Result<ServerOptions, ConfigError> {
        Ok(ServerOptions {
            url: self.url(&field)?,
            password: self
                .password
                .as_ref()
                .map(|secret| secret.reveal().to_owned()),
            // Read at each connection, so that a new password needs no restart.
            password_file: self.password_file.clone(),
            replicas: self.replicas.clone(),
            query: self.query.clone(),
            key_type: self.key_type.into(),
            max_connections: self.connections(group),
            acquire_timeout: self.acquire_timeout(group),
            connect_timeout: self.connect_timeout.0,
            statement_timeout: self.statement_timeout(group),
            idle_timeout: self.idle_timeout.0,
            max_lifetime: self.max_lifetime.0,
            max_batch: self.max_batch,
            read_only: self.read_only,
            ca_file: self.ca.clone(),
            ca_pem: None,
        })
    }

    /// The URL, from wherever it comes.
    pub(crate) fn url(&self, field: impl Fn(&str) -> String) -> Result<String, ConfigError> {
        match &self.url_file {
            Some(path) => read_file(&field("url-file"), path),
            None => Ok(self.url.clone()),
        }
    }

    /// More connections than loads may ask at one time are useless.
    pub(crate) fn connections(&self, group: &Group) -> u32 {
        let most = u32::try_from(group.max_origin_loads.most).unwrap_or(u32::MAX);
        most.min(self.max_connections)
    }

    /// Of all servers from which loads come.
    pub(crate) fn all_connections(&self) -> u32 {
        let servers = u32::try_from(self.replicas.len().max(1)).unwrap_or(u32::MAX);
        self.max_connections.saturating_mul(servers)
    }

    /// As long as a load may wait for its turn: this is one more queue for the same load.
    pub(crate) fn acquire_timeout(&self, group: &Group) -> Duration {
        let turn = group.limits().wait_for_origin();
        self.acquire_timeout
            .map_or(turn.max(Duration::from_secs(1)), |timeout| timeout.0)
    }

    /// The server need not continue a statement whose load has ended.
    pub(crate) fn statement_timeout(&self, group: &Group) -> Duration {
        self.statement_timeout
            .map_or(group.load_timeout.0, |timeout| timeout.0)
    }

    pub(super) fn validate(&self, field: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        check_credentials(
            &field,
            &self.url,
            self.url_file.is_some(),
            self.password.is_some() && self.password_file.is_some(),
        )?;
        if self.query.is_empty() {
            return Err(ConfigError::new(field("query"), "missing"));
        }
        bounds::some(&field("max-connections"), self.max_connections)?;
        for (name, timeout) in [
            ("acquire-timeout", self.acquire_timeout),
            ("statement-timeout", self.statement_timeout),
            ("connect-timeout", Some(self.connect_timeout)),
        ] {
            if let Some(timeout) = timeout {
                bounds::timeout(&field(name), timeout)?;
            }
        }
        bounds::at_most_a_day(&field("idle-timeout"), self.idle_timeout)?;
        bounds::at_most_a_day(&field("max-lifetime"), self.max_lifetime)?;
        if !(1..=1024).contains(&self.max_batch) {
            return Err(ConfigError::new(field("max-batch"), "expected 1 to 1024"));
        }
        Ok(())
    }

    pub(super) fn mask(&mut self) {
        self.url = mask::url(&self.url);
        for replica in &mut self.replicas {
            *replica = mask::url(replica);
        }
        if let Some(password) = &mut self.password {
            *password = Secret::masked();
        }
    }
}

/// Checks that there is one URL, and not two passwords.
pub(in crate::config) fn check_credentials(
    field: impl Fn(&str) -> String,
    url: &str,
    url_file: bool,
    two_passwords: bool,
) -> Result<(), ConfigError> {
    if url.is_empty() && !url_file {
        return Err(ConfigError::new(field("url"), "missing"));
    }
    if !url.is_empty() && url_file {
        let problem = "expected one of url and url-file, not both";
        return Err(ConfigError::new(field("url-file"), problem));
    }
    if two_passwords {
        let problem = "expected one of password and password-file, not both";
        return Err(ConfigError::new(field("password-file"), problem));
    }
    Ok(())
}
