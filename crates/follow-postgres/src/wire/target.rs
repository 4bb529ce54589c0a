//! The server, and the user.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use url::Url;

use super::tls::{Tls, Verify};
use crate::OptionsError;

/// The parts of a URL, with the options that override them.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    /// Read at each connect, in place of the password.
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) database: String,
    pub(crate) tls: Tls,
    pub(crate) application: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name or an address.
    Net(String),
    /// The directory of a Unix socket.
    Socket(PathBuf),
}

impl Target {
    /// Reads `postgres://user:password@host:port/database?sslmode=…`.
    pub(crate) fn parse(
        url: &str,
        password: Option<&str>,
        ca: Option<&Path>,
    ) -> Result<Self, OptionsError> {
        // Errors of the parser name no part of the URL, and those below name no value that can be
        // secret.
        let problem = |problem: &str| OptionsError::new("url", problem);
        if url.is_empty() {
            return Err(problem("expected postgres://user@host/database"));
        }
        let url = Url::parse(url).map_err(|error| problem(&error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(problem("expected postgres:// or postgresql://"));
        }
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            let text = text.map_err(|_| problem("a part is not UTF-8"))?;
            if text.contains('\0') {
                return Err(problem("a part contains a zero byte"));
            }
            Ok(text.into_owned())
        };
        let mut target = Self {
            host: host(&decoded(url.host_str().unwrap_or_default())?),
            port: url.port().unwrap_or(5432),
            user: decoded(url.username())?,
            password: url.password().map(decoded).transpose()?,
            database: decoded(url.path().trim_start_matches('/'))?,
            tls: Tls::default(),
            password_file: None,
            application: None,
        };
        for (name, value) in url.query_pairs() {
            target.set(&name, value.into_owned())?;
        }
        if let Some(password) = password {
            target.password = Some(password.into());
        }
        if let Some(ca) = ca {
            target.tls.ca = Some(ca.into());
        }
        target.complete()
    }

    /// For this group, with the password of that file, if there is one.
    pub(crate) fn of_group(
        mut self,
        group: &str,
        password_file: Option<&Path>,
    ) -> Result<Self, OptionsError> {
        if password_file.is_some_and(|path| path.as_os_str().is_empty()) {
            return Err(OptionsError::new("password_file", "expected a path"));
        }
        self.password_file = password_file.map(Into::into);
        let named = || format!("gaggle/{}", group.replace(char::is_control, "?"));
        self.application.get_or_insert_with(named);
        Ok(self)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), OptionsError> {
        let problem = |problem: &str| OptionsError::new("url", format!("{name}: {problem}"));
        match name {
            "host" => self.host = host(&value),
            "port" => self.port = value.parse().map_err(|_| problem("expected a port"))?,
            "user" => self.user = value,
            "password" => self.password = Some(value),
            "dbname" => self.database = value,
            "application_name" => self.application = Some(value),
            "sslmode" | "ssl-mode" => {
                self.tls.verify = Some(Verify::parse(&value).ok_or_else(|| {
                    problem("expected disable, prefer, require, verify-ca or verify-full")
                })?);
            }
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => self.tls.ca = Some(value.into()),
            "sslcert" | "ssl-cert" => self.tls.certificate = Some(value.into()),
            "sslkey" | "ssl-key" => self.tls.key = Some(value.into()),
            // Means something to sqlx, which may be given the same URL for the origin.
            "statement-cache-capacity" => {}
            _ => return Err(problem("no such parameter")),
        }
        Ok(())
    }

    fn complete(mut self) -> Result<Self, OptionsError> {
        if self.user.is_empty() {
            return Err(OptionsError::new("url", "it names no user"));
        }
        if self.database.is_empty() {
            self.database.clone_from(&self.user);
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err(OptionsError::new(
                "url",
                "sslcert and sslkey belong together",
            ));
        }
        if self.tls.ca.is_some() && self.tls.verify == Some(Verify::Disable) {
            return Err(OptionsError::new(
                "url",
                "sslmode is disable, and there is a CA",
            ));
        }
        Ok(self)
    }
}

fn host(text: &str) -> Host {
    if text.starts_with('/') {
        return Host::Socket(text.into());
    }
    // An IPv6 address stands in brackets in a URL, and without them elsewhere.
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    match bare.unwrap_or(text) {
        "" => Host::Net("localhost".into()),
        name => Host::Net(name.into()),
    }
}

/// For errors and logs: everything except the password.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            user,
            port,
            database,
            ..
        } = self;
        match &self.host {
            Host::Net(host) => write!(f, "{user}@{host}:{port}/{database}"),
            Host::Socket(dir) => write!(f, "{user}@{}:{port}/{database}", dir.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Target {
        Target::parse(url, None, None).unwrap()
    }

    #[test]
    fn a_url_tells_all() {
        let target = parse("postgres://us%40er:pa%2Fss@db.test:5433/app?sslmode=verify-full");
        assert_eq!(target.to_string(), "us@er@db.test:5433/app");
        assert_eq!(target.password.as_deref(), Some("pa/ss"));
        assert_eq!(target.tls.mode(), Verify::Full);
        let target = parse("postgresql://me@[::1]");
        assert_eq!(target.host, Host::Net("::1".into()));
        assert_eq!((target.port, target.database.as_str()), (5432, "me"));
        assert_eq!(target.tls.mode(), Verify::Prefer);
        let target = parse("postgres:///app?host=/run/postgresql&user=me");
        assert_eq!(target.host, Host::Socket("/run/postgresql".into()));
    }

    #[test]
    fn options_win_over_the_url() {
        let url = "postgres://me:wrong@db.test/app";
        let target = Target::parse(url, Some("right"), Some(Path::new("ca.pem"))).unwrap();
        assert_eq!(target.password.as_deref(), Some("right"));
        // An option that names a CA means that the server has to be verified.
        assert_eq!(target.tls.mode(), Verify::Full);
    }

    #[test]
    fn an_error_shows_no_secret() {
        for url in [
            "",
            "mysql://me:secret@db.test/app",
            "postgres://:secret@db.test/app",
            "postgres://me:secret@db.test:port/app",
            "postgres://me:secret@db.test/app?sslmode=secret",
            "postgres://me:secret@db.test/app?pass=secret",
            "postgres://me:secret@db.test/app?sslcert=a.pem",
            "postgres://me:secret%00@db.test/app",
        ] {
            let error = Target::parse(url, None, None).err().unwrap().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
