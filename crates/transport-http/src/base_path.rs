//! The path that all peer requests begin with.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The path before the group's name: `/_groupcache/` (the default), `/_gocache/`, `/geecache/`,
/// `/carrotCache/`.
///
/// It begins and ends with a slash and is sent unchanged, so it may contain only characters that
/// need no escaping, and no part `.` or `..`, which HTTP clients remove.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BasePath(Arc<str>);

/// The text is not a base path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path:?} is no base path: it begins and ends with '/', takes letters, digits and -_~!$&'()*+,;=:@ and dots \
     between the slashes, and has no part that is '.' or '..'"
)]
pub struct BasePathError {
    /// The text.
    pub path: String,
}

impl BasePath {
    /// The path as text, both slashes included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for BasePath {
    fn default() -> Self {
        Self("/_groupcache/".into())
    }
}

impl FromStr for BasePath {
    type Err = BasePathError;

    fn from_str(path: &str) -> Result<Self, BasePathError> {
        let slashes = path.starts_with('/') && path.ends_with('/');
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&b);
        let dots = path.split('/').any(|part| part == "." || part == "..");
        if slashes && path.bytes().all(plain) && !dots {
            Ok(Self(path.into()))
        } else {
            Err(BasePathError { path: path.into() })
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_taken_as_it_stands_or_not_at_all() {
        for good in ["/", "/_groupcache/", "/_gocache/", "/a/b.c/", "//"] {
            assert_eq!(good.parse::<BasePath>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "geecache/",
            "/geecache",
            "/a b/",
            "/a%20b/",
            "/a?/",
            "/a#/",
            "/../",
            "/a/./",
            "/\\/",
            "/é/",
        ] {
            assert!(bad.parse::<BasePath>().is_err(), "{bad:?}");
        }
    }
}
