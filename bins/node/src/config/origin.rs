//! What a group loads from, by `kind`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use gaggle_origin_http::{Allow, HttpOptions};
use gaggle_origin_sql::SqliteOptions;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::{ConfigError, Group, Span, bounds, mask};

/// The `origin` table of a group. `kind` chooses the variant, and each variant refuses the fields
/// of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Origin {
    Sqlite(Sqlite),
    Http(Http),
    Files(Files),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Sqlite {
    pub(crate) path: PathBuf,
    pub(crate) query: String,
    pub(crate) key_type: KeyType,
    pub(crate) read_only: bool,
    /// The most connections, each with a thread.
    pub(crate) max_connections: u32,
    /// How long a load waits for one of them; by default as long as it may wait for its turn, and at least 1 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) acquire_timeout: Option<Span>,
    /// How long a statement waits for a writer's lock.
    pub(crate) busy_timeout: Span,
}

impl Default for Sqlite {
    fn default() -> Self {
        let options = SqliteOptions::default();
        Self {
            path: options.path,
            query: options.query,
            key_type: KeyType::default(),
            read_only: options.read_only,
            max_connections: options.max_connections,
            acquire_timeout: None,
            busy_timeout: Span(options.busy_timeout),
        }
    }
}

impl Sqlite {
    /// How to open it for that group.
    pub(crate) fn options(&self, group: &Group) -> SqliteOptions {
        SqliteOptions {
            path: self.path.clone(),
            query: self.query.clone(),
            key_type: match self.key_type {
                KeyType::Text => gaggle_origin_sql::KeyType::Text,
                KeyType::Blob => gaggle_origin_sql::KeyType::Blob,
            },
            read_only: self.read_only,
            // More are of no use than loads may ask at one time.
            max_connections: u32::try_from(group.max_origin_loads.most)
                .unwrap_or(u32::MAX)
                .min(self.max_connections),
            acquire_timeout: self.acquire_timeout(group),
            busy_timeout: self.busy_timeout.0,
        }
    }

    /// As long as a load may wait for its turn: it is one more queue for the same. But opening one
    /// takes its time.
    fn acquire_timeout(&self, group: &Group) -> Duration {
        let turn = group.limits().wait_for_origin();
        self.acquire_timeout
            .map_or(turn.max(Duration::from_secs(1)), |timeout| timeout.0)
    }
}

/// As what a key is bound in the query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyType {
    #[default]
    Text,
    Blob,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Http {
    pub(crate) url: String,
    pub(crate) connect_timeout: Span,
    pub(crate) read_timeout: Span,
    pub(crate) max_idle_connections: usize,
    /// How long a connection is kept open while idle; `0s` keeps none. Best below what the
    /// service does.
    pub(crate) idle_timeout: Span,
    /// Whether the answers' own freshness counts.
    pub(crate) honour_freshness: bool,
    /// Whether keys that come to `.` or `..` in the path are asked for.
    pub(crate) allow_dot_segments: bool,
    /// Whether link-local addresses and those of clouds' metadata services are connected to.
    pub(crate) allow_link_local: bool,
    /// Sent with each request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, Secret>,
}

impl Default for Http {
    fn default() -> Self {
        let (options, allow) = (HttpOptions::default(), Allow::default());
        Self {
            url: options.url,
            connect_timeout: Span(options.connect_timeout),
            read_timeout: Span(options.read_timeout),
            max_idle_connections: options.max_idle_connections,
            idle_timeout: Span(options.idle_timeout),
            honour_freshness: options.honour_freshness,
            allow_dot_segments: allow.dot_segments,
            allow_link_local: allow.link_local,
            headers: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("url", &mask::url(&self.url))
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl Http {
    pub(crate) fn options(&self) -> HttpOptions {
        let headers = self.headers.iter();
        HttpOptions {
            url: self.url.clone(),
            headers: headers
                .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
                .collect(),
            connect_timeout: self.connect_timeout.0,
            read_timeout: self.read_timeout.0,
            max_idle_connections: self.max_idle_connections,
            idle_timeout: self.idle_timeout.0,
            honour_freshness: self.honour_freshness,
        }
    }

    /// What is refused unless it is allowed.
    pub(crate) fn allow(&self) -> Allow {
        Allow {
            dot_segments: self.allow_dot_segments,
            link_local: self.allow_link_local,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Files {
    pub(crate) root: PathBuf,
}

impl Origin {
    /// What can be said of it without opening it. `table` is where it stands.
    pub(super) fn validate(&self, table: &str) -> Result<(), ConfigError> {
        let field = |field: &str| format!("{table}.{field}");
        let missing = |name: &str| Err(ConfigError::new(field(name), "missing"));
        match self {
            Self::Sqlite(sqlite) if sqlite.path.as_os_str().is_empty() => missing("path"),
            Self::Sqlite(sqlite) if sqlite.query.is_empty() => missing("query"),
            Self::Sqlite(sqlite) => {
                bounds::some(&field("max-connections"), sqlite.max_connections)?;
                if let Some(timeout) = sqlite.acquire_timeout {
                    bounds::timeout(&field("acquire-timeout"), timeout)?;
                }
                bounds::at_most_a_day(&field("busy-timeout"), sqlite.busy_timeout)
            }
            Self::Http(http) if http.url.is_empty() => missing("url"),
            Self::Http(http) => {
                bounds::timeout(&field("connect-timeout"), http.connect_timeout)?;
                bounds::timeout(&field("read-timeout"), http.read_timeout)?;
                bounds::at_most_a_day(&field("idle-timeout"), http.idle_timeout)?;
                // Asks nobody: it checks the template and the headers.
                gaggle_origin_http::HttpOrigin::allowing(http.options(), http.allow())
                    .map(drop)
                    .map_err(|failure| {
                        ConfigError::new(field(&failure.field.replace('_', "-")), failure.reason)
                    })
            }
            Self::Files(files) if files.root.as_os_str().is_empty() => missing("root"),
            Self::Files(_) => Ok(()),
        }
    }

    /// Hides what should not be printed.
    pub(super) fn mask(&mut self) {
        if let Self::Http(http) = self {
            http.url = mask::url(&http.url);
            http.headers
                .values_mut()
                .for_each(|value| *value = Secret::masked());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Origin, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_http_origin_has_an_idle_timeout() {
        let url = "kind = \"http\"\nurl = \"http://h/{key}\"\n";
        let idle = |text: &str| match parse(&format!("{url}{text}")) {
            Ok(Origin::Http(http)) => Ok(http.idle_timeout.0),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        assert_eq!(idle("").unwrap(), Duration::from_secs(4));
        assert_eq!(
            idle("idle-timeout = \"1s\"").unwrap(),
            Duration::from_secs(1)
        );
        assert_eq!(idle("idle-timeout = \"0s\"").unwrap(), Duration::ZERO);
        idle("idle-timeout = 1").unwrap_err();
        let error = idle("idle_timeout = \"1s\"").unwrap_err();
        assert!(error.contains("unknown field `idle_timeout`"), "{error}");
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let text = "kind = \"http\"\nurl = \"http://h/{key}\"\nidle-timeout = \"1s 500ms\"\n[headers]\nX-Key = \"v\"\n";
        let origin = parse(text).unwrap();
        let printed = toml::to_string(&origin).unwrap();
        assert_eq!(parse(&printed).unwrap(), origin, "{printed}");
    }

    #[test]
    fn a_database_waits_as_long_as_the_group_does() {
        let sqlite = Sqlite::default();
        let group = Group::default();
        let usual = sqlite.options(&group);
        assert_eq!(usual.acquire_timeout, Duration::from_secs(1));
        assert_eq!(
            usual.max_connections,
            SqliteOptions::default().max_connections
        );
        let patient = Group {
            max_wait: Some(Span::from_secs(7)),
            ..Group::default()
        };
        assert_eq!(
            sqlite.options(&patient).acquire_timeout,
            Duration::from_secs(7)
        );
        let told = Sqlite {
            acquire_timeout: Some(Span::from_secs(3)),
            max_connections: 2,
            ..Sqlite::default()
        };
        assert_eq!(
            told.options(&patient).acquire_timeout,
            Duration::from_secs(3)
        );
        let group = Group {
            origin: Some(Origin::Sqlite(told)),
            ..patient
        };
        assert_eq!(group.limits().max_origin_loads, 2);
    }
}
