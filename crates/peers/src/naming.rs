//! The name that an address stands for if none is configured.

use std::net::Ipv6Addr;

/// The name in the ring of a node that is reached at `address`, a base URL: its host and port,
/// without the scheme, in lower case, with the scheme's default port if it names none. A change
/// from http to https therefore renames no node, if the port is named and stays the same.
pub fn name_of(address: &str) -> String {
    let address = address.trim().to_ascii_lowercase();
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("http", &*address),
    };
    let rest = rest.trim_end_matches('/');
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, Some(path)),
        None => (rest, None),
    };
    let default = if scheme == "https" { "443" } else { "80" };
    let (host, port) = split(authority);
    let port = match port {
        // A port may have leading zeros.
        Some(port) => port
            .parse::<u16>()
            .map_or_else(|_| port.to_owned(), |port| port.to_string()),
        None => default.to_owned(),
    };
    let mut name = format!("{}:{port}", host_of(host));
    if let Some(path) = path {
        name.push('/');
        name.push_str(path);
    }
    name
}

/// The host, and the port after it.
fn split(authority: &str) -> (&str, Option<&str>) {
    if let Some(rest) = authority.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((host, port)) => (host, port.strip_prefix(':').filter(|port| !port.is_empty())),
            None => (authority, None),
        };
    }
    match authority.rsplit_once(':') {
        // An IPv6 address without brackets has no port.
        Some((host, _)) if host.contains(':') => (authority, None),
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

/// One spelling of a host. A name that ends in a dot is the same without it.
fn host_of(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.to_string(),
            None => format!("[{ip}]"),
        },
        Err(_) => host.trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one_name() {
        for (name, spelled) in [
            (
                "10.0.0.1:80",
                &[
                    "http://10.0.0.1",
                    "10.0.0.1:80",
                    "HTTP://10.0.0.1:080/",
                    "http://10.0.0.1:",
                ][..],
            ),
            (
                "node-3:8001",
                &["http://Node-3:8001", "https://node-3.:8001/", "NODE-3:8001"],
            ),
            ("node:443", &["https://node", "https://node:443/"]),
            (
                "[::1]:8001",
                &["http://[::1]:8001", "http://[0:0:0:0:0:0:0:1]:8001"],
            ),
            ("10.0.0.1:8001", &["http://[::ffff:10.0.0.1]:8001"]),
            ("node:80/behind/a/prefix", &["http://node/behind/a/prefix/"]),
        ] {
            for spelled in spelled {
                assert_eq!(name_of(spelled), name, "{spelled}");
                assert_eq!(name_of(name), name);
            }
        }
        assert_ne!(name_of("http://node:8001"), name_of("http://node:8002"));
    }
}
