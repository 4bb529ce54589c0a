//! Requests that another site has a browser send.
//!
//! A browser inside of the network does what any page on the web tells it to, and lends the page
//! its place behind the firewall. Two things give that away:
//!
//! - **Its `Host`**, where the page had its own name resolve to this node (DNS rebinding): to the
//!   browser the page and the node are then one site. So only names are answered that nobody on
//!   the web can give an address to: see [`is_ours`].
//! - **`Origin` and `Sec-Fetch-Site`**, by which a browser says that a page of another site sends
//!   a request.
//!
//! Programs send neither of the last two, and whatever `Host` they were told to ask. What they may
//! do is another matter.

use std::net::IpAddr;

use axum::http::header::{HOST, HeaderValue, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode};

use crate::reply::Refusal;

/// By what a browser says whether a page of the same site sends a request (W3C Fetch Metadata).
const FETCH_SITE: &str = "sec-fetch-site";

/// Domains in which nobody on the web has names.
const PRIVATE: [&str; 4] = [
    // RFC 6761, 6.3: this machine.
    "localhost",
    // Set aside by ICANN for private use in 2024; also Docker's, as in `host.docker.internal`.
    "internal",
    // A Kubernetes service, as its own cluster's DNS has it: `gaggle.default.svc`, and the whole
    // name of it.
    "svc",
    "cluster.local",
];

/// Whether a request may be answered that goes by these names.
///
/// # Errors
///
/// 421 for a name that is not this node's, 403 for a request of another site.
pub(super) fn check(head: &Parts, hosts: &[String]) -> Result<(), Refusal> {
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    // They change nothing and tell next to nothing, and load balancers ask for them by whatever
    // name.
    if reads && matches!(head.uri.path(), "/livez" | "/readyz") {
        return Ok(());
    }
    let named = named(head).map_err(|()| misdirected())?;
    if let Some(named) = named
        && !is_ours(named, hosts)
    {
        return Err(misdirected());
    }
    // The page may be opened by a link on another site: it holds nothing of the node, and what it
    // asks for are requests of its own site.
    let is_page = reads && head.uri.path() == "/";
    if !is_page && is_of_another_site(head, named) {
        let line = "a page of another site may not ask this port".to_owned();
        return Err(Refusal::new(StatusCode::FORBIDDEN, line));
    }
    Ok(())
}

fn misdirected() -> Refusal {
    let line = "this port is not asked by that name: use an IP address, or a name that the node is told is its own";
    Refusal::new(StatusCode::MISDIRECTED_REQUEST, line.to_owned())
}

/// The name and perhaps the port that a request goes by; `None` where it goes by none, as one of
/// HTTP/1.0 may: no browser sends that. `Err` where it cannot be told, or goes by two.
fn named(head: &Parts) -> Result<Option<&str>, ()> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next().map(|host| host.to_str().map_err(|_| ()));
    let host = host.transpose()?;
    let target = head.uri.authority().map(Authority::as_str);
    match (host, target) {
        _ if hosts.next().is_some() => Err(()),
        (Some(host), Some(target)) if !host.eq_ignore_ascii_case(target) => Err(()),
        (host, target) => Ok(host.or(target)),
    }
}

/// Whether a name is one to which nobody on the web can give an address, so that no page can have
/// it:
///
/// - an IP address: it was not looked up;
/// - a name without a dot: a container's, a machine's, a service's. There are no addresses at the
///   top of the web's DNS;
/// - one in a [private](PRIVATE) domain;
/// - one of those that the node is told are its own, for all others, such as an ingress has.
///
/// `.local` by itself is none of them, for by multicast DNS any machine on the link can answer for
/// a name there. Some systems ask the link for `cluster.local`, too; that is answered as
/// Kubernetes' own names are there. Ports do not matter: a page that could choose the port could
/// choose the name.
fn is_ours(named: &str, hosts: &[String]) -> bool {
    let host = without_port(named);
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse::<IpAddr>().is_ok();
    }
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || !host.bytes().all(is_name) {
        return false;
    }
    !host.contains('.')
        || PRIVATE.iter().any(|domain| is_in(host, domain))
        || hosts.iter().any(|own| {
            let own = without_port(own);
            host.eq_ignore_ascii_case(own.strip_suffix('.').unwrap_or(own))
        })
}

fn is_in(host: &str, domain: &str) -> bool {
    let Some((name, end)) = host
        .len()
        .checked_sub(domain.len())
        .and_then(|at| host.split_at_checked(at))
    else {
        return false;
    };
    name.ends_with('.') && end.eq_ignore_ascii_case(domain)
}

fn without_port(named: &str) -> &str {
    match named.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => named,
    }
}

/// Whether a browser says so.
fn is_of_another_site(head: &Parts, named: Option<&str>) -> bool {
    let fetches = head.headers.get_all(FETCH_SITE).iter();
    let told = |site: &HeaderValue| !matches!(site.as_bytes(), b"same-origin" | b"none");
    let mut origins = head.headers.get_all(ORIGIN).iter();
    let foreign = |origin: &HeaderValue| {
        let origin = origin.to_str().ok();
        !origin.is_some_and(|origin| named.is_some_and(|named| is_same(origin, named)))
    };
    fetches.into_iter().any(told) || origins.any(foreign)
}

/// Whether the origin of a page, `scheme://host[:port]`, is where the request goes. The port of
/// the scheme may be left out; which scheme this port speaks cannot be told, since a proxy may
/// have ended TLS.
fn is_same(origin: &str, named: &str) -> bool {
    let (host, port) = match origin.split_once("://") {
        Some(("http", host)) => (host, ":80"),
        Some(("https", host)) => (host, ":443"),
        _ => return false,
    };
    let bare = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    bare(host) == bare(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_on_the_web_can_have_are_answered() {
        let hosts = [
            "Cache-1.Example.com".to_owned(),
            "admin.example.net:9990".to_owned(),
        ];
        for good in [
            "127.0.0.1",
            "127.0.0.1:9990",
            "10.1.2.3:80",
            "[::1]:9990",
            "[fd00::1]",
            "localhost:9990",
            "LOCALHOST",
            "node.localhost",
            "gaggle-0",
            "gaggle_node-1:9990",
            "gaggle.default.svc:9990",
            "gaggle-0.gaggle.default.svc.cluster.local",
            "host.docker.internal:9990",
            "ip-10-0-0-1.ec2.INTERNAL.",
            "cache-1.example.com:1234",
            "CACHE-1.example.com.",
            "admin.example.net",
        ] {
            assert!(is_ours(good, &hosts), "{good}");
        }
        for bad in [
            "",
            ":9990",
            ".",
            "evil.example",
            "evil.example:9990",
            "example.com",
            "x.cache-1.example.com",
            "printer.local",
            "localhost.evil.example",
            "evil-localhost.example",
            "notinternal.example",
            "xinternal.com",
            "10.0.0.1.evil.example",
            "127.0.0.1.nip.io",
            "evil.example@localhost",
            "localhost/evil.example",
            "[evil.example]",
            "evil.example:80:90",
            "\u{ff0e}",
        ] {
            assert!(!is_ours(bad, &hosts), "{bad}");
        }
    }

    #[test]
    fn a_page_of_this_port_may_leave_out_the_port_of_its_scheme() {
        for (origin, named, same) in [
            ("http://node:9990", "node:9990", true),
            ("http://NODE:9990", "node:9990", true),
            ("https://admin.internal", "admin.internal", true),
            ("https://admin.internal", "admin.internal:443", true),
            ("http://10.0.0.1", "10.0.0.1:80", true),
            ("http://node:9991", "node:9990", false),
            ("http://node", "node:9990", false),
            ("https://node", "node:80", false),
            ("null", "node:9990", false),
            ("file://node:9990", "node:9990", false),
            ("node:9990", "node:9990", false),
            ("", "node:9990", false),
        ] {
            assert_eq!(is_same(origin, named), same, "{origin} to {named}");
        }
    }
}
