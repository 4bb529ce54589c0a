//! The options for database servers.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::KeyType;

/// The server, the query, and the limits, for PostgreSQL, MySQL and MariaDB.
#[derive(Clone)]
pub struct ServerOptions {
    /// The server, the user and the database: `postgres://user:password@host:5432/database`, or
    /// `mysql://user:password@host:3306/database`. Characters of the password other than letters
    /// and digits are percent-encoded. It is a secret, and is shown without the user and the
    /// password.
    ///
    /// Only the parameters that the crate's documentation lists can be given. The driver's
    /// environment variables and `~/.pgpass` are not read.
    ///
    /// TLS is required by `?sslmode=verify-full` (PostgreSQL) or `?ssl-mode=VERIFY_IDENTITY`
    /// (MySQL, MariaDB). Without it TLS is used if the server offers it, and the certificate is
    /// not verified.
    pub url: String,
    /// The password, in place of the one in the URLs, for one that comes from an environment
    /// variable. None.
    pub password: Option<String>,
    /// A file that holds the password, in place of the one in the URLs, of 64 KiB at most. It is
    /// read for each new connection, so a changed password needs no restart. One line break at its
    /// end is not part of the password. None.
    pub password_file: Option<PathBuf>,
    /// Servers that hold copies of the database, as URLs like `url`. Loads go to these in turn;
    /// one that cannot be reached is not used for 5 s. If none can be reached, `url` is used.
    /// None.
    ///
    /// A replica may lag behind: a value that was removed from the cache because it has changed
    /// can be loaded from a replica as it was before. It then stays until it expires.
    pub replicas: Vec<String>,
    /// One `SELECT` with the key as its one parameter, written `$1` (PostgreSQL; as often as
    /// needed) or `?` (MySQL, MariaDB; once), and one column, the value, or two, the value and for
    /// how many seconds it is fresh.
    pub query: String,
    /// The type with which the key is bound. Text: a key that is not UTF-8, or contains a NUL, is
    /// refused.
    pub key_type: KeyType,
    /// The most connections to each server; a load over it waits. 8.
    pub max_connections: u32,
    /// How long a load waits for one of the connections before it fails. 1 s.
    pub acquire_timeout: Duration,
    /// How long connecting may take, including TLS and authentication. 2 s.
    pub connect_timeout: Duration,
    /// How long the server works on a statement before it ends it. 5 s. A statement for several
    /// keys has half of it; the keys that it leaves are looked up in smaller parts, in the rest of
    /// the time.
    pub statement_timeout: Duration,
    /// After how long without use a connection is closed. 10 min.
    pub idle_timeout: Duration,
    /// After how long a connection is closed in any case. 30 min.
    pub max_lifetime: Duration,
    /// The most keys that one statement looks up: 1 to 1,024. 128.
    pub max_batch: usize,
    /// Whether each session is read-only, so that functions that the query calls cannot write. On.
    pub read_only: bool,
    /// A file with certificates in PEM of authorities that are trusted in addition to the public
    /// ones (Mozilla's list, compiled in). It is read for each connection. None.
    pub ca_file: Option<PathBuf>,
    /// The same certificates themselves. None.
    pub ca_pem: Option<Vec<u8>>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            password: None,
            password_file: None,
            replicas: Vec::new(),
            query: String::new(),
            key_type: KeyType::default(),
            max_connections: 8,
            acquire_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(1800),
            max_batch: 128,
            read_only: true,
            ca_file: None,
            ca_pem: None,
        }
    }
}

/// The most keys of a statement, whatever the options say.
const MOST_KEYS: usize = 1024;
/// The longest statement timeout: servers store it as milliseconds in 31 bits.
const LONGEST_STATEMENT: Duration = Duration::from_secs(24 * 3600);

impl ServerOptions {
    /// Whether the numbers are valid; if not, why.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.max_connections == 0 {
            return Err("max_connections must be at least 1".to_owned());
        }
        if !(1..=MOST_KEYS).contains(&self.max_batch) {
            return Err(format!("max_batch must be 1 to {MOST_KEYS}"));
        }
        let statement = self.statement_timeout;
        if statement < Duration::from_millis(1) || statement > LONGEST_STATEMENT {
            return Err("statement_timeout must be 1 ms to 24 h".to_owned());
        }
        if self.ca_file.is_some() && self.ca_pem.is_some() {
            return Err("either ca_file or ca_pem can be given, not both".to_owned());
        }
        if self.password.is_some() && self.password_file.is_some() {
            return Err("either password or password_file can be given, not both".to_owned());
        }
        Ok(())
    }

    pub(crate) fn has_ca(&self) -> bool {
        self.ca_file.is_some() || self.ca_pem.is_some()
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = |url: &String| named(url).unwrap_or_else(|_| "(unreadable)".to_owned());
        f.debug_struct("ServerOptions")
            .field("url", &masked(&self.url))
            .field("password", &self.password.as_ref().map(|_| "(masked)"))
            .field("password_file", &self.password_file)
            .field(
                "replicas",
                &self.replicas.iter().map(masked).collect::<Vec<_>>(),
            )
            .field("query", &self.query)
            .field("key_type", &self.key_type)
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_lifetime", &self.max_lifetime)
            .field("max_batch", &self.max_batch)
            .field("read_only", &self.read_only)
            .field("ca_file", &self.ca_file)
            .field("ca_pem", &self.ca_pem.as_ref().map(Vec::len))
            .finish()
    }
}

/// A server's URL without its secrets, for errors: `postgres db.internal:5432/scores`. The
/// parser's errors contain no part of the URL.
pub(super) fn named(url: &str) -> Result<String, String> {
    let parsed = Url::parse(url).map_err(|error| format!("the URL cannot be read: {error}"))?;
    // A password with such a character ends the host's part of a URL: the text after it would be
    // shown.
    let after = parsed.path().contains('@')
        || parsed.query().is_some_and(|query| query.contains('@'))
        || parsed.fragment().is_some();
    if after {
        return Err(
            "the URL cannot be read: '/', '?', '#' and '@' in a user or a password must be \
             percent-encoded"
                .to_owned(),
        );
    }
    let scheme = match parsed.scheme() {
        "postgres" | "postgresql" => "postgres",
        "mysql" | "mariadb" => "mysql",
        other => other,
    };
    let host = parsed.host_str().unwrap_or("localhost");
    let port = parsed.port().map(|port| format!(":{port}"));
    let (port, path) = (port.unwrap_or_default(), parsed.path());
    Ok(format!("{scheme} {host}{port}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_contains_the_place_and_no_secret() {
        for (url, name) in [
            (
                "postgres://user:p%40ss@db.internal:5432/scores?sslmode=require",
                "postgres db.internal:5432/scores",
            ),
            ("mysql://user:secret@[::1]/scores", "mysql [::1]/scores"),
            ("mariadb://h/d", "mysql h/d"),
        ] {
            assert_eq!(named(url).as_deref(), Ok(name));
        }
        for url in [
            "postgres://user:123/secret@host/d",
            "postgres://user:1?secret@host/d",
            "postgres://user:1#secret@host/d",
            "postgres://user:pa/secret@host/d",
            "secret",
            "",
        ] {
            let error = named(url).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_shown_of_options_holds_no_secret() {
        let options = ServerOptions {
            url: "postgres://user:secret@host/d".to_owned(),
            password: Some("secret".to_owned()),
            replicas: vec!["postgres://user:secret@replica/d".to_owned()],
            ..ServerOptions::default()
        };
        let shown = format!("{options:?}");
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("postgres replica/d"), "{shown}");
    }

    #[test]
    fn numbers_that_cannot_be_meant_are_refused() {
        let default = ServerOptions::default;
        assert_eq!(default().check(), Ok(()));
        let wrong = [
            ServerOptions {
                max_connections: 0,
                ..default()
            },
            ServerOptions {
                max_batch: 0,
                ..default()
            },
            ServerOptions {
                max_batch: 1025,
                ..default()
            },
            ServerOptions {
                statement_timeout: Duration::ZERO,
                ..default()
            },
            ServerOptions {
                password: Some("secret".to_owned()),
                password_file: Some("file".into()),
                ..default()
            },
            ServerOptions {
                statement_timeout: Duration::MAX,
                ..default()
            },
        ];
        for options in wrong {
            assert!(options.check().is_err(), "{options:?}");
        }
    }
}
