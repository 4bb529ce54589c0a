use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{ClientConfig, pki_types::ServerName};

use crate::Tls;

/// The configurations of a client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ClientTls {
    tls: Tls,
    unnamed: PeerTls,
}

/// The configurations for connections to one server, which may have other names than the host that
/// is dialled. Cheap to clone; sessions are resumed only among the connections of clones.
#[derive(Clone)]
pub struct PeerTls {
    tls: Tls,
    names: Vec<ServerName<'static>>,
    current: Arc<Mutex<Option<Made>>>,
}

/// A configuration and the generation of the files that it was made from.
struct Made {
    generation: u64,
    config: Arc<ClientConfig>,
}

impl ClientTls {
    pub(crate) fn new(tls: Tls) -> Self {
        let unnamed = PeerTls::new(tls.clone(), Vec::new());
        Self { tls, unnamed }
    }

    /// The configuration for the next connection to a server that has the name that is dialled, or
    /// the [common one](crate::TlsFiles::peer_name). The same one until the files change.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        self.unnamed.config()
    }

    /// For connections to the peer of that name. Its certificate may be for the name's host part:
    /// for `cache-0.cache:8001`, `cache-0.cache`. A name that cannot be in a certificate is
    /// ignored; the certificate then has to be for the host that is dialled.
    #[must_use]
    pub fn peer(&self, name: &str) -> PeerTls {
        self.peer_named([name])
    }

    /// Like [`peer`](Self::peer), for a peer with several names; its certificate may be for any of
    /// them.
    #[must_use]
    pub fn peer_named<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> PeerTls {
        let names = names.into_iter();
        let names = names.filter_map(|name| ServerName::try_from(host(name).to_owned()).ok());
        PeerTls::new(self.tls.clone(), names.collect())
    }
}

impl PeerTls {
    fn new(tls: Tls, names: Vec<ServerName<'static>>) -> Self {
        Self {
            tls,
            names,
            current: Arc::default(),
        }
    }

    /// The configuration for the next connection. The same one until the files change. It offers
    /// no protocol (ALPN): the caller adds its own.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        let material = self.tls.material();
        // A panic would leave the old one or the new one, both complete.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            // A thread may be late, with material from before a reload.
            Some(made) if made.generation >= material.generation => Arc::clone(&made.config),
            _ => {
                let config = Arc::new(material.client(&self.names));
                *current = Some(Made {
                    generation: material.generation,
                    config: Arc::clone(&config),
                });
                config
            }
        }
    }
}

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerTls")
            .field("names", &self.names)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// The host of `HOST`, `HOST:PORT` or a URL, without the brackets of an IPv6 address.
fn host(name: &str) -> &str {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    let name = name.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some(rest) = name.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match name.split_once(':') {
        // More than one colon: an IPv6 address.
        Some((_, rest)) if rest.contains(':') => name,
        Some((host, _)) => host,
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_names_host_is_found_however_it_is_written() {
        for (name, expected) in [
            ("cache-0", "cache-0"),
            ("cache-0.cache:8001", "cache-0.cache"),
            ("10.0.0.1:8001", "10.0.0.1"),
            ("[::1]:8001", "::1"),
            ("::1", "::1"),
            ("http://10.0.0.1:8001", "10.0.0.1"),
            ("https://[::1]:8001/a", "::1"),
            ("http://cache-0/behind/a:path", "cache-0"),
            ("", ""),
        ] {
            assert_eq!(host(name), expected, "{name:?}");
        }
    }
}
