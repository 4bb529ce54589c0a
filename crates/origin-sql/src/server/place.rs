//! A server's URL. It is parsed here and not by the driver, which ignores unknown parameters, and
//! logs them with their values.

use url::Url;

/// A parameter that a URL may have: its name in errors, and its other names.
pub(crate) type Known = (&'static str, &'static [&'static str]);

/// The place of a server, and its URL's parameters for the connection.
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: Option<String>,
    /// By their names in the list of known parameters, each once.
    pub(crate) parameters: Vec<(String, String)>,
}

impl Place {
    /// Reads a URL of which all parameters must be known. A name that ends with `[` stands for all
    /// that begin with it and end with `]`. `Err` contains names, and no values.
    pub(crate) fn read(url: &str, known: &[Known]) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("the URL cannot be read: {error}"))?;
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in url.query_pairs() {
            let Some(name) = canonical(&name, known) else {
                let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
                let names = names.join(", ");
                return Err(format!(
                    "the URL's parameter {name:?} is not known; these are: {names}"
                ));
            };
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(format!("the URL has the parameter {name:?} twice"));
            }
            parameters.push((name, value.into_owned()));
        }
        let user = decoded(url.username(), "user")?;
        if user.is_empty() {
            return Err("the URL names no user".to_owned());
        }
        let host = decoded(url.host_str().unwrap_or_default(), "host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let database = decoded(url.path().trim_start_matches('/'), "database")?;
        Ok(Self {
            host: if host.is_empty() { "localhost" } else { host }.to_owned(),
            port: url.port(),
            user,
            password: url
                .password()
                .map(|password| decoded(password, "password"))
                .transpose()?,
            database: (!database.is_empty()).then_some(database),
            parameters,
        })
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        parameters
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter's value as a `T`, if there is one. `Err` contains the allowed values.
    pub(crate) fn parsed<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let parse = |value| parse(value).ok_or_else(|| wrong(name, expected));
        self.parameter(name).map(parse).transpose()
    }
}

/// The error for a parameter's value that cannot be used.
pub(crate) fn wrong(name: &str, expected: &str) -> String {
    format!("the URL's parameter {name:?} must be {expected}")
}

/// How many statements of a connection the driver may keep prepared.
pub(crate) fn cache_capacity(text: &str) -> Option<usize> {
    text.parse().ok().filter(|count| (1..=1000).contains(count))
}

fn canonical(name: &str, known: &[Known]) -> Option<String> {
    let is = |listed: &str| match listed.strip_suffix('[') {
        Some(_) => name.starts_with(listed) && name.ends_with(']'),
        None => name == listed,
    };
    let (listed, _) = known
        .iter()
        .find(|(listed, others)| is(listed) || others.contains(&name))?;
    Some(if listed.ends_with('[') { name } else { listed }.to_owned())
}

/// A part of a URL without its percent-encoding.
fn decoded(part: &str, what: &str) -> Result<String, String> {
    let wrong = || format!("the {what} in the URL is not percent-encoded UTF-8 text");
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = others.get(..2).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            let digits = digits
                .bytes()
                .all(|b| b.is_ascii_hexdigit())
                .then_some(digits)?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(digits.ok_or_else(wrong)?);
        rest = &others[2..];
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    // The protocols end texts with it.
    if text.contains('\0') {
        return Err(wrong());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known] = &[("sslmode", &["ssl-mode"]), ("options[", &[])];

    #[test]
    fn a_url_is_read_whole() {
        let url = "postgres://me%40:p%2Fs%25@[::1]:7/d%20b?ssl-mode=a%26b&options[x]=1";
        let place = Place::read(url, KNOWN).unwrap();
        assert_eq!((&*place.host, place.port), ("::1", Some(7)));
        assert_eq!(
            (&*place.user, place.password.as_deref()),
            ("me@", Some("p/s%"))
        );
        assert_eq!(place.database.as_deref(), Some("d b"));
        assert_eq!(place.parameter("sslmode"), Some("a&b"));
        assert_eq!(place.parameter("options[x]"), Some("1"));
        let place = Place::read("postgres://me@h/", KNOWN).unwrap();
        assert_eq!((&*place.host, place.port), ("h", None));
        assert_eq!((place.password, place.database), (None, None));
        let place = Place::read("postgres://me@%2Frun%2Fpg/d", KNOWN).unwrap();
        assert_eq!(place.host, "/run/pg");
    }

    #[test]
    fn what_is_not_known_is_refused_without_its_value() {
        for (url, reason) in [
            ("postgres://u@h/d?sslmod=hunter2", "\"sslmod\" is not known"),
            (
                "postgres://u@h/d?password=hunter2",
                "\"password\" is not known",
            ),
            (
                "postgres://u@h/d?SSLMODE=hunter2",
                "\"SSLMODE\" is not known",
            ),
            ("postgres://u@h/d?sslmode=a&ssl-mode=hunter2", "twice"),
            ("postgres://h/d", "no user"),
            ("postgres://u:hunter2%@h/d", "the password in the URL"),
            ("postgres://u:hunter2%00@h/d", "the password in the URL"),
            ("postgres://u:hunter2%FF@h/d", "the password in the URL"),
        ] {
            let error = Place::read(url, KNOWN).err().unwrap();
            assert!(error.contains(reason), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
