//! The URL of a bucket or a directory, with a prefix in it.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

/// A URL, checked and taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) scheme: String,
    /// The bucket; for Azure the container, or `container@host`. Empty for a directory.
    pub(crate) bucket: String,
    /// The path, decoded and without its first and last slash.
    pub(crate) prefix: String,
}

impl Place {
    /// Parses a URL; the error is for its author, and does not repeat it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        if url.password().is_some() {
            return Err("has a password, which belongs in an option of its own".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or a fragment, which are not used".to_owned());
        }
        if url.port().is_some() {
            return Err("has a port, which belongs in `endpoint`".to_owned());
        }
        let host = url.host_str().unwrap_or_default();
        let bucket = match (url.scheme(), url.username()) {
            (_, "") => host.to_owned(),
            ("abfs" | "abfss" | "az", container) => format!("{container}@{host}"),
            _ => return Err("has a user name, which is not used".to_owned()),
        };
        let path = percent_decode_str(url.path()).decode_utf8();
        let path = path.map_err(|_| "has a path that is not UTF-8".to_owned())?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        Ok(Self {
            scheme: url.scheme().to_owned(),
            bucket,
            prefix: path.strip_suffix('/').unwrap_or(path).to_owned(),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.scheme, self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_bucket_and_a_prefix() {
        for (url, bucket, prefix) in [
            ("s3://bucket", "bucket", ""),
            ("s3://my_bucket.x/", "my_bucket.x", ""),
            ("s3://bucket/a/b/", "bucket", "a/b"),
            ("gs://bucket/a%20b", "bucket", "a b"),
            ("az://container/p", "container", "p"),
            (
                "abfs://fs@account.dfs.core.windows.net/p",
                "fs@account.dfs.core.windows.net",
                "p",
            ),
            ("file:///srv/data", "", "srv/data"),
            ("memory:///", "", ""),
        ] {
            let place = Place::parse(url).unwrap();
            assert_eq!((&*place.bucket, &*place.prefix), (bucket, prefix), "{url}");
        }
    }

    #[test]
    fn what_is_not_used_is_refused_and_not_repeated() {
        for (url, reason) in [
            ("", "not a URL"),
            ("hunter2", "not a URL"),
            ("s3://user:hunter2@bucket/", "password"),
            ("s3://hunter2@bucket/", "user name"),
            ("s3://bucket/?token=hunter2", "query"),
            ("s3://bucket/#hunter2", "fragment"),
            ("s3://bucket:9000/", "endpoint"),
            ("s3://bucket/%ff", "UTF-8"),
        ] {
            let said = Place::parse(url).unwrap_err();
            assert!(said.contains(reason), "{url}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
