//! Checks base URLs.

use tonic::transport::{Endpoint, Uri};

/// A string that is not a base URL of a peer for this transport.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no base URL of a gRPC peer: {reason}")]
pub struct BaseUrlError {
    /// The string.
    pub url: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The endpoint at `url`.
pub(crate) fn endpoint(url: &str) -> Result<Endpoint, BaseUrlError> {
    check(url).map_err(|reason| BaseUrlError {
        url: url.to_owned(),
        reason,
    })
}

fn check(url: &str) -> Result<Endpoint, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("it must begin with http:// or https://".into());
    }
    let authority = uri.authority().ok_or("it names no host")?;
    let host = authority.host();
    if host.is_empty() {
        return Err("it names no host".into());
    }
    // `host` and `host:port` pass; this refuses `user@host` and a port that is not a number.
    if authority.port_u16().is_none() && authority.as_str() != host || url.contains('@') {
        return Err("after the scheme it takes a host and perhaps a port".into());
    }
    // gRPC fixes the path of a call.
    if uri.path() != "/" || uri.query().is_some() || url.contains('#') {
        return Err("it must end after the host and the port".into());
    }
    Ok(Endpoint::from(uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_is_all_it_takes() {
        for good in [
            "http://10.0.0.1:8001",
            "http://[::1]:8001",
            "http://cache-1",
            "http://h:1/",
            "https://cache-1:8001",
        ] {
            assert!(check(good).is_ok(), "{good}: {:?}", check(good).err());
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "cache-1:8001",
            "//cache-1",
            "http://",
            "http://:8001",
            "ftp://cache-1",
            "https://me@cache-1",
            "http://me@cache-1",
            "http://me:secret@cache-1:80",
            "http://cache-1:",
            "http://cache-1:65536",
            "http://cache-1/path",
            "http://cache-1?q",
            "http://cache-1#f",
            "http://cache 1",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
