//! Addresses in a configuration: to listen at, and to be reached at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use url::{Host, Url};

use super::ConfigError;

/// A host and a port that other nodes reach, in a normal form: lower case, IPv6 in its short form,
/// the port always present.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Place {
    /// The address, if it is one and no name.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        ip_of(&self.host)
    }

    /// Whether it means the reader's own machine.
    pub(crate) fn is_loopback(&self) -> bool {
        host_is_loopback(&self.host)
    }
}

fn ip_of(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(ip) => Some(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(*ip).to_canonical()),
    }
}

fn host_is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name.eq_ignore_ascii_case("localhost")
        }
        _ => ip_of(host).is_some_and(|ip| ip.is_loopback()),
    }
}

/// `HOST:PORT`, to listen at. Port 0 lets the system choose.
pub(super) fn listening(field: &str, text: &str) -> Result<Place, ConfigError> {
    host_and_port(text).ok_or_else(|| {
        ConfigError::new(
            field,
            format!("{text:?} is not an address; expected HOST:PORT, such as \"127.0.0.1:8001\""),
        )
    })
}

/// `HOST:PORT`, to be reached at.
pub(super) fn reached(field: &str, text: &str) -> Result<Place, ConfigError> {
    let place = listening(field, text)?;
    can_be_reached(field, text, &place)?;
    Ok(place)
}

fn can_be_reached(field: &str, text: &str, place: &Place) -> Result<(), ConfigError> {
    let problem = if place.ip().is_some_and(|ip| ip.is_unspecified()) {
        "is an unspecified address, which no other node can reach; expected the address that they use"
    } else if place.port == 0 {
        "has port 0, and no other node can reach it; expected the port that they use"
    } else {
        return Ok(());
    };
    Err(ConfigError::new(field, format!("{text:?} {problem}")))
}

fn host_and_port(text: &str) -> Option<Place> {
    let (host, port) = text.rsplit_once(':')?;
    // `parse` would take a sign.
    let port = port.bytes().all(|b| b.is_ascii_digit()).then_some(port)?;
    Some(Place {
        host: host_of(host)?,
        port: port.parse().ok()?,
    })
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn host_of(text: &str) -> Option<Host> {
    let host = Host::parse(text).ok()?;
    match &host {
        // A host name may not contain an underscore, but Compose uses it in names of services.
        Host::Domain(name) => {
            let letters = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            (name.chars().all(letters) && !name.starts_with('.') && name.len() <= 253)
                .then_some(host)
        }
        _ => Some(host),
    }
}

/// A name that a certificate may have: of a host, or an address.
pub(super) fn host_name(field: &str, text: &str) -> Result<(), ConfigError> {
    match host_of(text) {
        Some(_) => Ok(()),
        None => Err(ConfigError::new(
            field,
            format!("{text:?} is no host name; expected one such as \"gaggle.internal\""),
        )),
    }
}

/// Whether only this machine can reach a listener there. A name counts as reachable from
/// elsewhere, since name servers decide that, except `localhost`.
pub(super) fn is_loopback(listening: &str) -> bool {
    host_and_port(listening).is_some_and(|place| place.is_loopback())
}

/// A base URL of a node: its text, and whether it is over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    pub(crate) https: bool,
    pub(crate) place: Place,
}

/// A base URL, without a path.
pub(super) fn base_url(field: &str, text: &str) -> Result<BaseUrl, ConfigError> {
    let good = |url: Url| {
        let plain = ["http", "https"].contains(&url.scheme())
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let host = host_of(url.host_str()?)?;
        let port = url.port_or_known_default()?;
        let https = url.scheme() == "https";
        let place = Place { host, port };
        plain.then_some(BaseUrl { https, place })
    };
    // The parser accepts a missing or an extra slash, and spaces around the URL.
    let strict = text.split_once("://").is_some_and(|(_, rest)| {
        !rest.contains(|c: char| "/\\@".contains(c) || c.is_whitespace() || c.is_control())
    });
    let read = strict
        .then(|| Url::parse(text).ok().and_then(good))
        .flatten();
    let Some(url) = read else {
        return Err(ConfigError::new(
            field,
            format!(
                "{:?} is not a base URL; expected one such as \"http://10.0.0.1:8001\", without a path or a trailing slash",
                super::mask::url(text)
            ),
        ));
    };
    can_be_reached(field, text, &url.place)?;
    Ok(url)
}

/// A base URL of a peer, whose scheme may be left out.
pub(super) fn peer_url(field: &str, text: &str, scheme: &str) -> Result<BaseUrl, ConfigError> {
    base_url(field, &with_scheme(text, scheme))
}

/// The base URL with its scheme.
pub(super) fn with_scheme(text: &str, scheme: &str) -> String {
    if text.contains("://") {
        text.to_owned()
    } else {
        format!("{scheme}://{text}")
    }
}

/// Whether it is an address of this machine: a socket can be bound to it. Nothing is sent.
pub(crate) fn is_own(ip: IpAddr) -> bool {
    let unspecified = match ip {
        IpAddr::V4(ip) => ip == Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(ip) => ip == Ipv6Addr::UNSPECIFIED,
    };
    !unspecified && UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_spelling() {
        let place = |text: &str| peer_url("f", text, "http").unwrap().place.to_string();
        for (text, spelled) in [
            ("10.0.0.1", "10.0.0.1:80"),
            ("10.0.0.1:8001", "10.0.0.1:8001"),
            ("http://10.0.0.1:80", "10.0.0.1:80"),
            ("https://Node-1.Example", "node-1.example:443"),
            ("my_node:8001", "my_node:8001"),
            ("[2001:DB8:0:0::1]:8001", "[2001:db8::1]:8001"),
            ("http://[::1]", "[::1]:80"),
        ] {
            assert_eq!(place(text), spelled, "{text}");
        }
        let https = peer_url("f", "10.0.0.1", "https").unwrap();
        assert_eq!((https.place.port, https.https), (443, true));
    }

    #[test]
    fn an_unreachable_address_is_no_peer() {
        for text in [
            "",
            "http://",
            "ftp://a",
            "a/b",
            "http://a:1/",
            "http://u:pw@a:1",
            "a b",
            "a\nb:1",
            "http:///a",
            "http://a?b",
            "http://a#b",
            "a:99999",
            "a:-1",
            "0.0.0.0:8001",
            "http://[::]:1",
            "a:0",
            "::1",
            "[::1",
            "http://a:1,b",
            "\\a",
            " a:1",
        ] {
            let failure = peer_url("f", text, "http").unwrap_err().to_string();
            assert!(
                !failure.contains("pw") && !failure.contains('\n'),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn addresses_to_listen_at_have_a_host_and_a_port() {
        for good in [
            "127.0.0.1:0",
            "0.0.0.0:1",
            "[::]:65535",
            "localhost:1",
            "my_host:1",
        ] {
            listening("f", good).unwrap();
        }
        for bad in [
            "8001", ":8001", "a:", "a:65536", "a:+1", "a/b:1", "[::1:1", "a b:1",
        ] {
            listening("f", bad).unwrap_err();
        }
    }

    #[test]
    fn what_only_this_machine_reaches_is_distinguished_from_the_rest() {
        for own in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "localhost:1",
            "LOCALHOST.:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(own), "{own}");
        }
        for open in [
            "0.0.0.0:1",
            "[::]:1",
            "10.0.0.1:1",
            "node:1",
            "[::ffff:10.0.0.1]:1",
            "localhost.example:1",
        ] {
            assert!(!is_loopback(open), "{open}");
        }
    }

    #[test]
    fn an_address_of_this_machine_can_be_bound() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_own(Ipv4Addr::UNSPECIFIED.into()));
        // Reserved for documentation: no machine has it.
        assert!(!is_own(Ipv4Addr::new(192, 0, 2, 1).into()));
    }
}
