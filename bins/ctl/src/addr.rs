//! Where a node is.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use hyper::http::uri::Authority;
use rustls::pki_types::ServerName;

/// A node's `HOST:PORT`, over TLS if it begins with `https://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addr {
    is_https: bool,
    host: String,
    /// Host and port.
    authority: String,
}

impl FromStr for Addr {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "HOST:PORT is expected, such as 127.0.0.1:9990, or https://HOST:PORT";
        let (is_https, text) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(EXPECTED),
            None => (false, text),
        };
        // Anything that a URL reads as more than host and port would send the request elsewhere.
        if text.contains(['/', '\\', '@', '?', '#']) || text.contains(char::is_whitespace) {
            return Err(EXPECTED);
        }
        let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
        let port: u16 = port.parse().map_err(|_| EXPECTED)?;
        // A node that listens on all addresses is asked on this machine's own.
        let host = match host {
            "0.0.0.0" => "127.0.0.1",
            "[::]" => "[::1]",
            host => host,
        };
        let authority = format!("{host}:{port}");
        let is_host = match host.strip_prefix('[') {
            Some(rest) => rest
                .strip_suffix(']')
                .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
            None => !host.is_empty() && !host.contains(':'),
        };
        if !is_host || authority.parse::<Authority>().is_err() {
            return Err(EXPECTED);
        }
        Ok(Self {
            is_https,
            host: host.to_owned(),
            authority,
        })
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_https {
            f.write_str("https://")?;
        }
        f.write_str(&self.authority)
    }
}

impl Addr {
    /// `HOST:PORT`, to connect to and for `Host`.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether what is sent there cannot be read on a network: it goes over TLS, or stays on this
    /// machine. A name counts as another machine's, except `localhost`.
    pub(crate) fn is_private(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let name = host.strip_suffix('.').unwrap_or(host);
        let ip = || host.parse::<IpAddr>().map(|ip| ip.to_canonical());
        self.is_https
            || name.eq_ignore_ascii_case("localhost")
            || ip().is_ok_and(|ip| ip.is_loopback())
    }

    /// The name that the node's certificate must have; `None` without TLS. `Err` for a name that
    /// no certificate can have.
    pub(crate) fn server_name(&self) -> Result<Option<ServerName<'static>>, &'static str> {
        if !self.is_https {
            return Ok(None);
        }
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(host.to_owned())
            .map(Some)
            .map_err(|_| "no certificate can have that name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port_and_perhaps_a_scheme_and_nothing_more() {
        for (text, addr) in [
            ("127.0.0.1:9999", "127.0.0.1:9999"),
            ("[::1]:80", "[::1]:80"),
            ("node-1.example:9990", "node-1.example:9990"),
            ("0.0.0.0:9990", "127.0.0.1:9990"),
            ("[::]:9990", "[::1]:9990"),
            ("http://a:1", "a:1"),
            ("https://a:1", "https://a:1"),
            ("https://[::]:1", "https://[::1]:1"),
        ] {
            let read = text.parse::<Addr>().unwrap();
            assert_eq!(read.to_string(), addr, "{text}");
            assert_eq!(
                read.server_name().unwrap().is_some(),
                addr.starts_with("https")
            );
        }
        for text in [
            "",
            "localhost",
            ":9990",
            "a:",
            "a:0x1",
            "a:65536",
            "::1:9990",
            "[::1:9990",
            "[a]:9990",
            "ftp://a:1",
            "https://a",
            "https://",
            "https://https://a:1",
            "a:1/",
            "u@a:1",
            "a?b:1",
            "a b:1",
        ] {
            assert!(text.parse::<Addr>().is_err(), "{text}");
        }
    }
    #[test]
    fn a_network_reads_what_goes_to_another_machine_without_tls() {
        let private = |text: &str| text.parse::<Addr>().unwrap().is_private();
        for text in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "0.0.0.0:1",
            "[::1]:1",
            "[::]:1",
            "[::ffff:127.0.0.1]:1",
            "LOCALHOST:1",
            "localhost.:1",
            "https://a:1",
            "https://10.0.0.1:1",
        ] {
            assert!(private(text), "{text}");
        }
        for text in [
            "10.0.0.1:1",
            "http://a:1",
            "[2001:db8::1]:1",
            "[::ffff:10.0.0.1]:1",
            "localhost.example:1",
        ] {
            assert!(!private(text), "{text}");
        }
    }
}
